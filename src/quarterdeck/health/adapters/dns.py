"""Asks one DNS server for one name."""

import time
from typing import Annotated, ClassVar, Literal

import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
from msgspec import Meta, Struct

from quarterdeck.core.errors import ConfigError
from quarterdeck.health.addresses import shown_address
from quarterdeck.health.model import Outcome, Reading
from quarterdeck.health.ports import Toolbox
from quarterdeck.health.probing import Misbehaved, Stage, observed


class DnsOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """What a `[[health.services.probes]]` entry of kind `dns` may say."""

    server: str
    """Address or name of the server that is asked."""
    name: str
    kind: str = "dns"
    port: Annotated[int, Meta(ge=1, le=65535)] = 53
    type: Literal["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT", "CAA"] = "A"
    expect: list[str] = []
    """Records that must be among the answers, as a zone file has them."""
    expect_rcode: str = "NOERROR"
    transport: Literal["udp", "tcp"] = "udp"
    """Over UDP an answer that was cut is asked for again over TCP."""


class DnsProbe:
    """OK when the server has the records that are expected: any, if none are named."""

    Options: ClassVar[type[Struct]] = DnsOptions

    def __init__(self, options: DnsOptions, toolbox: Toolbox) -> None:
        self._options = options
        self._toolbox = toolbox
        where = shown_address(options.server, options.port)
        self.target = f"{options.type} {options.name} at {where}"
        self._type = dns.rdatatype.from_text(options.type)
        try:
            self._name = dns.name.from_text(options.name)
            self._rcode = dns.rcode.from_text(options.expect_rcode)
        except dns.rcode.UnknownRcode:
            raise ConfigError("expect_rcode: expected one such as NOERROR or NXDOMAIN.") from None
        except (dns.exception.DNSException, ValueError):
            raise ConfigError("name: expected a domain name.") from None

    async def check(self) -> Reading:
        """Ask once."""
        return await observed(self._steps, self._toolbox.timeout_s, "DNS")

    async def close(self) -> None:
        """Nothing stays open."""

    async def _steps(self, stage: Stage) -> Reading:
        stage.waiting_for = "address of the server"
        places = await self._toolbox.guard.resolve(self._options.server, self._options.port)
        stage.waiting_for = "DNS answer"
        begun = time.perf_counter()
        answer = await self._ask([address for _, (address, _) in places])
        took = (time.perf_counter() - begun) * 1000
        self._compare(answer)
        return Reading(Outcome.OK, latency_ms=took)

    async def _ask(self, addresses: list[str]) -> dns.message.Message:
        """Ask at the first address that takes the question; all of them were checked."""
        query = dns.message.make_query(self._name, self._type)
        port, refused = self._options.port, OSError()
        for address in addresses:
            try:
                if self._options.transport == "tcp":
                    return await dns.asyncquery.tcp(query, address, port=port)
                answer, _ = await dns.asyncquery.udp_with_fallback(query, address, port=port)
            except OSError as error:
                refused = error
            else:
                return answer
        raise refused

    def _compare(self, answer: dns.message.Message) -> None:
        rcode = answer.rcode()
        if rcode != self._rcode:
            got, expected = dns.rcode.to_text(rcode), dns.rcode.to_text(self._rcode)
            raise Misbehaved(f"answered {got}, expected {expected}")
        if rcode != dns.rcode.NOERROR:
            return
        records = {
            _plain(record.to_text())
            for found in answer.answer
            if found.rdtype == self._type
            for record in found
        }
        if not records:
            raise Misbehaved(f"answered without any {self._options.type} record")
        missing = [text for text in self._options.expect if _plain(text) not in records]
        if missing:
            raise Misbehaved(f"the expected record {missing[0]} is not in its answer")


def _plain(record: str) -> str:
    """So that a trailing dot, quotes and case do not matter."""
    return record.strip().rstrip(".").replace('"', "").lower()
