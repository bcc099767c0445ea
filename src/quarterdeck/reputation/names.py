"""Addresses as people write them, and as they are asked for (RFC 5782, 2.1 and 2.4). Pure."""

from ipaddress import IPv4Address, IPv6Address, ip_address

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.reputation.model import Address


def parse_address(text: str, field: str = "ip_address", place: str = "body") -> Address:
    """An address; the IPv4 one where it is an IPv4-mapped IPv6 one.

    Raises:
        InvalidRequest: it is none, or one that no mail is sent from.
    """
    try:
        found = ip_address(text.strip())
    except ValueError:
        raise InvalidRequest.of(
            field, "give an IPv4 or IPv6 address, such as 192.0.2.25 or 2001:db8::25", place
        ) from None
    address = plain(found)
    if address.is_unspecified or address.is_multicast:
        raise InvalidRequest.of(field, "no mail can be sent from this address", place)
    return address


def plain(address: Address) -> Address:
    """`::ffff:192.0.2.1` is 192.0.2.1, and a zone such as `%eth0` is of this machine only."""
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))


def reversed_name(address: Address) -> str:
    """`192.0.2.99` as `99.2.0.192`; of an IPv6 address the 32 nibbles."""
    if isinstance(address, IPv4Address):
        return ".".join(reversed(str(address).split(".")))
    return ".".join(reversed(address.exploded.replace(":", "")))


def question(address: Address, zone: str) -> str:
    """The name that a list is asked for."""
    return f"{reversed_name(address)}.{zone.rstrip('.')}."
