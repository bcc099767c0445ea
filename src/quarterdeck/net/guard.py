"""Which addresses nobody may be sent to: checked on the address itself, when connecting.

A resolver that validates is never asked for an IP literal, and a name may resolve to something
else a moment later (measured with aiohttp: literals, redirects and `::ffff:` forms all got past
it). So the check is made on the address of the socket that is about to be connected.
"""

import asyncio
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any

import aiohappyeyeballs

from quarterdeck.core.errors import ConfigError

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]
"""As `getaddrinfo` gives them: family, type, protocol, canonical name, socket address."""

NEVER: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # unspecified: Linux connects it to this machine
        "169.254.0.0/16",  # link-local, with the metadata services of most clouds
        "100.100.100.200/32",  # metadata at Alibaba
        "192.0.0.192/32",  # metadata at Oracle
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, with broadcast
        "::/128",
        "fe80::/10",
        "fec0::/10",  # site-local, which nobody may use any more
        "ff00::/8",
        "fd00:ec2::254/128",  # metadata at Amazon
        "fd20:ce::254/128",  # metadata at Google
    )
)
"""No setting allows these."""

HAPPY_EYEBALLS_S = 0.25
"""Head start of one address before the next one of the same name is tried (RFC 8305)."""

_LAST_32_BITS = tuple(
    IPv6Network(text)
    for text in (
        "::ffff:0:0/96",  # mapped
        "::ffff:0:0:0/96",  # translated (RFC 2765)
        "::/96",  # compatible
        "64:ff9b::/96",  # NAT64
    )
)
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
_LOOPBACK = IPv6Address("::1")


class AddressRefused(OSError):
    """The address is one that this server must not connect to."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Refuses link-local, metadata, multicast and unspecified addresses, in every spelling.

    Loopback and private addresses are allowed unless they are denied.
    """

    deny: tuple[Network, ...] = ()
    """Further networks that are refused."""
    allow: tuple[Network, ...] = ()
    """Exceptions to `deny`; never to `NEVER`."""

    @classmethod
    def of(cls, deny: Iterable[str], allow: Iterable[str] = (), where: str = "deny") -> "Guard":
        """Build it from networks or single addresses as text; `where` is the setting's name.

        Raises:
            ConfigError: one of them is neither.
        """
        return cls(_networks(deny, where), _networks(allow, where))

    def require(self, address: str) -> None:
        """Admit an IP address.

        Raises:
            AddressRefused: it may not be reached from here, or it is no IP address.
        """
        try:
            parsed = ip_address(address)
        except ValueError:
            raise AddressRefused("this is no IP address") from None
        if any(self._is_refused(one) for one in (parsed, *embedded(parsed))):
            raise AddressRefused(f"connections to {parsed} are not allowed")

    def open_socket(self, info: AddressInfo) -> socket.socket:
        """A socket for one address, not yet connected: aiohttp's `socket_factory`.

        Raises:
            AddressRefused: it may not be reached from here.
        """
        self.require(str(info[4][0]))
        return socket.socket(info[0], info[1], info[2])

    async def resolve(self, host: str, port: int) -> list[tuple[int, tuple[str, int]]]:
        """Families and socket addresses of a host that may be connected to.

        Raises:
            AddressRefused: none of them may be.
            OSError: the name cannot be resolved.
        """
        infos = await self._infos(host, port)
        return [(info[0], (str(info[4][0]), port)) for info in infos]

    async def connect(self, host: str, port: int) -> socket.socket:
        """A connected non-blocking socket; its address was checked.

        Raises:
            AddressRefused: no address of the host may be reached.
            OSError: nobody answers there.
        """
        return await aiohappyeyeballs.start_connection(
            [_typed(info) for info in await self._infos(host, port)],
            happy_eyeballs_delay=HAPPY_EYEBALLS_S,
            socket_factory=self.open_socket,
        )

    async def _infos(self, host: str, port: int) -> list[AddressInfo]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError:
            raise socket.gaierror(socket.EAI_NONAME, "this is no host name") from None
        refused: AddressRefused | None = None
        admitted: list[AddressInfo] = []
        for info in found:
            try:
                self.require(str(info[4][0]))
            except AddressRefused as error:
                refused = error
            else:
                admitted.append(info)
        if not admitted:
            raise refused or socket.gaierror(socket.EAI_NONAME, "it has no address")
        return admitted

    def _is_refused(self, address: Address) -> bool:
        if _is_in(address, NEVER):
            return True
        return _is_in(address, self.deny) and not _is_in(address, self.allow)


def embedded(address: Address) -> list[IPv4Address]:
    """The IPv4 addresses that an IPv6 address may lead to by translation or in a tunnel."""
    if isinstance(address, IPv4Address) or address == _LOOPBACK:
        return []
    number = int(address)
    found = []
    if any(address in network for network in _LAST_32_BITS):
        found.append(IPv4Address(number & 0xFFFF_FFFF))
    if address in _LOCAL_NAT64:
        # Either in the last 32 bits, or as RFC 6052 has it with a prefix of 48: two bytes, an empty
        # one, the other two. What is zero in one form is in the other.
        split = number >> 48 & 0xFFFF_0000 | number >> 40 & 0xFFFF
        found.extend(IPv4Address(one) for one in (number & 0xFFFF_FFFF, split) if one)
    if address.sixtofour is not None:
        found.append(address.sixtofour)
    if address.teredo is not None:
        found.extend(address.teredo)
    if number >> 32 & 0xFCFF_FFFF == 0x0000_5EFE:
        found.append(IPv4Address(number & 0xFFFF_FFFF))  # ISATAP
    return found


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks if network.version == address.version)


def _networks(texts: Iterable[str], where: str) -> tuple[Network, ...]:
    found = []
    for text in texts:
        try:
            found.append(ip_network(text, strict=False))
        except ValueError:
            raise ConfigError(
                f"{where}: expected a network such as 10.0.0.0/8, not '{text}'."
            ) from None
    return tuple(found)


def _typed(info: AddressInfo) -> Any:
    """The library's own alias tells IPv4 and IPv6 apart; the system's list does not."""
    return info
