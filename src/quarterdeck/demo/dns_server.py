"""The sample platform's DNS: a list that lists one of its addresses in bad weather, and names.

It knows its own zone and nothing else; whatever else is asked for does not exist.
"""

import asyncio
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.reversename
import dns.rrset

from quarterdeck.demo.weather import Weather
from quarterdeck.reputation.names import question

ZONE = "dnsbl.quarterdeck.example"
LISTED = "203.0.113.12"
TTL_S = 2
REASON = "https://quarterdeck.example/evidence/sample: letters to sample traps"
TEST_POINTS = ("127.0.0.2", "::ffff:7f00:2")
NAMES = {
    "203.0.113.12": "mta1.quarterdeck.example.",
    "203.0.113.13": "mta2.quarterdeck.example.",
}


class DnsServer(asyncio.DatagramProtocol):
    """Answers questions about the list and about names."""

    def __init__(self, weather: Callable[[], Weather]) -> None:
        self._weather = weather
        self._always = {question(ip_address(point), ZONE) for point in TEST_POINTS}
        self._sometimes = question(ip_address(LISTED), ZONE)
        self._ptr = {dns.reversename.from_address(ip): name for ip, name in NAMES.items()}
        self._addresses = {dns.name.from_text(name): ip for ip, name in NAMES.items()}

    async def open(self, port: int) -> asyncio.DatagramTransport:
        """Begin to answer."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", port)
        )
        return transport

    def connection_made(self, transport: Any) -> None:
        """See `asyncio.DatagramProtocol`."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """See `asyncio.DatagramProtocol`."""
        try:
            query = dns.message.from_wire(data)
            answer = self._answered(query)
        except (dns.exception.DNSException, IndexError):
            return
        self._transport.sendto(answer.to_wire(), addr)

    def _answered(self, query: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(query)
        asked = query.question[0]
        records = self._records(asked.name, dns.rdatatype.to_text(asked.rdtype))
        if records is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif records:
            kind = dns.rdatatype.to_text(asked.rdtype)
            answer.answer.append(dns.rrset.from_text(asked.name, TTL_S, "IN", kind, *records))
        return answer

    def _records(self, name: dns.name.Name, kind: str) -> list[str] | None:
        """Records of a type at a name; None: there is no such name."""
        text = name.to_text().lower()
        is_listed = text in self._always or (text == self._sometimes and self._weather().is_listed)
        if is_listed:
            return {"A": ["127.0.0.2"], "TXT": [f'"{REASON}"']}.get(kind, [])
        if name in self._ptr:
            return [self._ptr[name]] if kind == "PTR" else []
        if name in self._addresses:
            return [self._addresses[name]] if kind == "A" else []
        return None
