"""Servers in the tests' own event loop that speak the real protocols: HTTP, SMTP, DNS.

Elasticsearch and Prometheus cannot be had where the tests run; what stands for them gives answers
of their documented form, and no more.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
from aiohttp import web
from aiosmtpd.smtp import SMTP

ZONE = {
    ("mail.example.", "A"): ["192.0.2.10", "192.0.2.11"],
    ("example.", "MX"): ["10 mail.example."],
    ("example.", "TXT"): ['"v=spf1 -all"'],
}


@asynccontextmanager
async def web_server(
    routes: dict[str, Any], context: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[int]:
    """An aiohttp server with a handler for each path; gives its port."""
    app = web.Application()
    for path, handler in routes.items():
        app.router.add_route("*", path, handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def elasticsearch(status: str = "green", unassigned: int = 0) -> dict[str, Any]:
    """Routes of a cluster in this state, as 8.x answers."""

    async def root(_: web.Request) -> web.Response:
        return web.json_response(
            {
                "name": "node-1",
                "cluster_name": "logs",
                "version": {"number": "8.15.1", "build_flavor": "default"},
                "tagline": "You Know, for Search",
            }
        )

    async def health(_: web.Request) -> web.Response:
        return web.json_response(
            {
                "cluster_name": "logs",
                "status": status,
                "timed_out": False,
                "number_of_nodes": 3,
                "number_of_data_nodes": 3,
                "active_primary_shards": 10,
                "active_shards": 20,
                "relocating_shards": 0,
                "initializing_shards": 0,
                "unassigned_shards": unassigned,
                "active_shards_percent_as_number": 100.0,
            }
        )

    return {"/": root, "/_cluster/health": health}


def prometheus(values: dict[str, list[str] | str]) -> dict[str, Any]:
    """Routes of a Prometheus: a list is a vector's values, a text a scalar; else a bad query."""

    async def query(request: web.Request) -> web.Response:
        form = await request.post()
        found = values.get(str(form["query"]))
        if found is None:
            return web.json_response(
                {"status": "error", "errorType": "bad_data", "error": "parse error"}, status=400
            )
        data: dict[str, Any] = {"resultType": "scalar", "result": [1782907200.0, found]}
        if isinstance(found, list):
            series = [
                {"metric": {"n": str(number)}, "value": [1782907200.123, value]}
                for number, value in enumerate(found)
            ]
            data = {"resultType": "vector", "result": series}
        return web.json_response({"status": "success", "data": data})

    return {"/api/v1/query": query}


class Mailbox:
    """Notes what a client should never have sent."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        self.commands.append(f"EHLO {hostname}")
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, *_: object) -> str:  # noqa: N802
        self.commands.append("MAIL")
        return "250 OK"

    async def handle_NOOP(self, *_: object) -> str:  # noqa: N802
        self.commands.append("NOOP")
        return "250 OK"

    async def handle_QUIT(self, *_: object) -> str:  # noqa: N802
        self.commands.append("QUIT")
        return "221 Bye"


@asynccontextmanager
async def mail_server(
    mailbox: Mailbox,
    starttls: ssl.SSLContext | None = None,
    implicit: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    """An SMTP server; gives its port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(mailbox, hostname="mail.example", tls_context=starttls, loop=loop),
        "127.0.0.1",
        0,
        ssl=implicit,
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


class _Zone(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        self._transport.sendto(answered(data), address)


def answered(wire: bytes) -> bytes:
    """The answer from `ZONE` to a question."""
    query = dns.message.from_wire(wire)
    answer = dns.message.make_response(query)
    question = query.question[0]
    kind = question.to_text().rsplit(" ", 1)[-1]
    records = ZONE.get((str(question.name), kind))
    if records:
        answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *records))
    elif not any(name == str(question.name) for name, _ in ZONE):
        answer.set_rcode(dns.rcode.NXDOMAIN)
    return answer.to_wire()


async def _over_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            size = int.from_bytes(await reader.readexactly(2), "big")
            wire = answered(await reader.readexactly(size))
            writer.write(len(wire).to_bytes(2, "big") + wire)
            await writer.drain()
    except asyncio.IncompleteReadError:
        writer.close()


@asynccontextmanager
async def name_server() -> AsyncIterator[int]:
    """A DNS server of `ZONE` over UDP and TCP; gives their port."""
    server = await asyncio.start_server(_over_tcp, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(_Zone, local_addr=("127.0.0.1", port))
    try:
        yield port
    finally:
        transport.close()
        server.close()
        await server.wait_closed()
