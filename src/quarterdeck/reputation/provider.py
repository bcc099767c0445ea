"""Whose network an address is in: what the operator says, its confirmed name, published networks.

A name counts only if it leads back to the address: anybody may call an address of theirs anything.
"""

import tomllib
from bisect import bisect_right
from datetime import date
from importlib.resources import files
from ipaddress import ip_network

import msgspec
from msgspec import Struct

from quarterdeck.reputation.model import Address, DnsIdentity, Provider, SendingAddress

PACKAGED = "provider_networks.toml"


class ProviderEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """A `[[provider]]` of the data file."""

    name: str
    source: str
    ptr: list[str]
    networks: list[str]


class ProviderFile(Struct, frozen=True, forbid_unknown_fields=True):
    """The data file."""

    snapshot: date
    provider: list[ProviderEntry]


class ProviderFinder:
    """Tells providers; made once, from the data of the package."""

    def __init__(self) -> None:
        text = (files("quarterdeck.reputation") / "data" / PACKAGED).read_text(encoding="utf-8")
        data = msgspec.convert(tomllib.loads(text), ProviderFile)
        self.snapshot = data.snapshot
        """Of when the networks are."""
        self._names = {suffix: each.name for each in data.provider for suffix in each.ptr}
        # Ranges of one kind of address never overlap in the file: the last that begins before an
        # address is the only one that can hold it.
        self._ranges: dict[int, list[tuple[int, int, str]]] = {4: [], 6: []}
        for each in data.provider:
            for network in map(ip_network, each.networks):
                first, last = int(network.network_address), int(network.broadcast_address)
                self._ranges[network.version].append((first, last, each.name))
        for ranges in self._ranges.values():
            ranges.sort()

    def find(self, address: SendingAddress, identity: DnsIdentity | None) -> Provider:
        """The provider and how we know; `unknown` where nothing tells."""
        if address.provider:
            return Provider(address.provider, "operator")
        name = self._by_name(identity)
        if name is not None:
            return Provider(name, "ptr")
        name = self._by_network(address.address)
        return Provider(name, "prefix") if name is not None else Provider("unknown", "none")

    def _by_name(self, identity: DnsIdentity | None) -> str | None:
        if identity is None or not identity.ptr or identity.is_forward_confirmed is not True:
            return None
        labels = identity.ptr.split(".")
        suffixes = (".".join(labels[at:]) for at in range(len(labels)))
        return next((self._names[each] for each in suffixes if each in self._names), None)

    def _by_network(self, address: Address) -> str | None:
        ranges, number = self._ranges[address.version], int(address)
        at = bisect_right(ranges, (number, 1 << 128, "")) - 1
        if at >= 0 and ranges[at][0] <= number <= ranges[at][1]:
            return ranges[at][2]
        return None
