"""Asks DNS servers one question at a time, with deadlines of our own, and never raises an answer.

Built on dnspython's queries rather than on its resolver: that one hides which of SERVFAIL, REFUSED
and silence it met, and its deadlines were seen to pass unnoticed.
"""

import asyncio
import ipaddress
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver

from quarterdeck.core.errors import ConfigError

TRY_S = 2.0
TOTAL_S = 5.0
"""RFC 5782 gives no numbers; a list that takes longer is of no use to a mail server either."""

_SERVER = re.compile(
    r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<v4>[^:\[\]]+))(?::(?P<port>[0-9]{1,5}))?|(?P<bare>[^\[\]]+)"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a question."""

    rcode: str | None
    """`NOERROR`, `NXDOMAIN`, `SERVFAIL`, ...; None: nobody answered in time."""
    records: Sequence[str] = ()
    """Of the type that was asked for, as a zone file has them; TXT without quotes."""
    ttl_s: int = 0
    """How long it may be repeated; of a negative answer by the zone's SOA (RFC 2308)."""
    took_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class NameServer:
    """Where to ask."""

    address: str
    port: int = 53

    @classmethod
    def parse(cls, text: str, where: str) -> "NameServer":
        """`192.0.2.53`, `192.0.2.53:5353`, `2001:db8::53` or `[2001:db8::53]:5353`.

        Raises:
            ConfigError: it is none of these; `where` is the setting's name.
        """
        found = _SERVER.fullmatch(text.strip())
        host = (found["v6"] or found["v4"] or found["bare"]) if found else ""
        try:
            address, number = str(ipaddress.ip_address(host)), int((found and found["port"]) or 53)
        except ValueError:
            address, number = "", 0
        if not 0 < number < 65536:
            raise ConfigError(
                f"{where}: expected the address of a DNS server, such as 192.0.2.53 or "
                f"[2001:db8::53]:5353, not '{text}'."
            )
        return cls(address, number)


def system_servers() -> list[NameServer]:
    """Those of `/etc/resolv.conf`, or of the system's way to say it; maybe none."""
    try:
        found = dns.resolver.Resolver()
    except dns.exception.DNSException:
        return []
    return [NameServer(str(each), found.port) for each in found.nameservers]


class Resolver:
    """Asks servers in turn; each question costs `total_s` at most, whatever the servers do.

    Without servers nobody ever answers.
    """

    def __init__(
        self, servers: Sequence[NameServer], try_s: float = TRY_S, total_s: float = TOTAL_S
    ) -> None:
        self._servers = list(servers)
        self._try_s = try_s
        self._total_s = total_s

    async def ask(self, name: str, kind: str) -> Answer:
        """Ask for the records of a type (`A`, `TXT`, `PTR`, ...) at a name, from the root down."""
        begun = time.perf_counter()
        try:
            query = dns.message.make_query(dns.name.from_text(name, dns.name.root), kind)
        except dns.exception.DNSException:
            return Answer("FORMERR")
        met = _Met()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._total_s):
                await self._in_turn(query, met)
        took_ms = (time.perf_counter() - begun) * 1000
        if met.response is None:
            return Answer(met.rcode, took_ms=took_ms)
        return _answer(met.response, query, took_ms)

    async def _in_turn(self, query: dns.message.Message, met: "_Met") -> None:
        """Ask one server after another, each twice at most, until one has something to say."""
        for server in islice(cycle(self._servers), 2 * len(self._servers)):
            try:
                response, _ = await dns.asyncquery.udp_with_fallback(
                    query, server.address, self._try_s, server.port
                )
            except dns.exception.Timeout:
                continue
            except (OSError, dns.exception.DNSException):
                # The network refuses, or what came is not DNS.
                met.rcode = "SERVFAIL"
                continue
            if response.rcode() in _USEFUL:
                met.response = response
                return
            met.rcode = dns.rcode.to_text(response.rcode())


@dataclass(slots=True)
class _Met:
    """What was met on the way, also when the time is up."""

    response: dns.message.Message | None = None
    rcode: str | None = None


_USEFUL = (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)
"""Any other server may know better about everything else."""


def _answer(response: dns.message.Message, query: dns.message.Message, took_ms: float) -> Answer:
    kind = query.question[0].rdtype
    found = [rrset for rrset in response.answer if rrset.rdtype == kind]
    records = [_text(record, kind) for rrset in found for record in rrset]
    ttl_s = min((rrset.ttl for rrset in found), default=_negative_ttl(response))
    return Answer(dns.rcode.to_text(response.rcode()), records, ttl_s, took_ms)


def _text(record: Any, kind: dns.rdatatype.RdataType) -> str:
    if kind == dns.rdatatype.TXT:
        return b"".join(record.strings).decode(errors="replace")
    return str(record.to_text())


def _negative_ttl(response: dns.message.Message) -> int:
    for rrset in response.authority:
        if rrset.rdtype == dns.rdatatype.SOA:
            return int(min(rrset.ttl, *(record.minimum for record in rrset)))
    return 0
