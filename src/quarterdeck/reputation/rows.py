"""How listings and names are written in columns of JSON, and read again."""

from datetime import datetime
from ipaddress import ip_address
from typing import Any

import msgspec

from quarterdeck.reputation.model import Address, DnsIdentity, Listing


def listing_row(address: Address, listing: Listing) -> dict[str, Any]:
    """A row of `reputation_listings`."""
    return {
        "address": str(address),
        "list_id": listing.list_id,
        "state": listing.state.value,
        "since": listing.since,
        "listing": msgspec.to_builtins(listing),
    }


def identity_row(identity: DnsIdentity | None) -> Any:
    """JSON data of an identity."""
    return msgspec.to_builtins(identity, enc_hook=str)


def read_identity(row: Any) -> DnsIdentity | None:
    """What `identity_row` made."""
    if row is None:
        return None
    names = msgspec.convert(row, _Names)
    return DnsIdentity(
        address=ip_address(names.address),
        at=names.at,
        has_ptr=names.has_ptr,
        ptr=names.ptr,
        is_forward_confirmed=names.is_forward_confirmed,
        is_generic=names.is_generic,
        helo=names.helo,
        helo_resolves=names.helo_resolves,
        helo_matches=names.helo_matches,
    )


class _Names(msgspec.Struct, frozen=True):
    """A `DnsIdentity` with its address as text: a choice of two address types cannot be decoded."""

    address: str
    at: datetime
    has_ptr: bool | None
    ptr: str | None = None
    is_forward_confirmed: bool | None = None
    is_generic: bool | None = None
    helo: str | None = None
    helo_resolves: bool | None = None
    helo_matches: bool | None = None
