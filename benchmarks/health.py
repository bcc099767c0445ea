"""What watching costs, and what asking costs: `python benchmarks/health.py`.

A server watches 500 services every 15 s with real probes (HTTP, TCP, SMTP, DNS, Redis) of servers
on this machine, which run in processes of their own. Measured is the time that the watching server
itself spends on a core, samples stored and statuses judged. Then one with 100 services is asked for
their health over one kept connection.
"""

import asyncio
import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dns.message
import dns.rrset
from rich.console import Console
from rich.table import Table

import servers
from acceptance.server_process import PREFIX, ServerProcess

SERVICES = 500
ASKED = 100
INTERVAL_S = 15
WATCHED_S = 60
KINDS = ("http", "http", "tcp", "smtp", "dns", "redis")
"""In turns: a third of all are HTTP."""

HEAD = """
[rate_limit]
default = "100000000/minute"
"""
SERVICE = """
[[health.services]]
name = "{kind} {number}"
interval_s = {interval}
[[health.services.probes]]
kind = "{kind}"
{where}
"""


# What is watched


async def _http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _tcp(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _smtp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example ESMTP\r\n")
    try:
        while line := await reader.readline():
            verb = line[:4].upper()
            writer.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 mail.example\r\n")
    except ConnectionError:
        pass
    writer.close()


class _Dns(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = dns.message.make_response(dns.message.from_wire(data))
        name = answer.question[0].name
        answer.answer.append(dns.rrset.from_text(name, 60, "IN", "A", "192.0.2.1"))
        self._transport.sendto(answer.to_wire(), addr)


async def be_watched() -> None:
    """Serve all kinds on free ports, told on the first line of the output, until the input ends."""
    ports = []
    for serve in (_http, _tcp, _smtp):
        server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1000)
        ports.append(server.sockets[0].getsockname()[1])
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(_Dns, local_addr=("127.0.0.1", 0))
    ports.append(transport.get_extra_info("sockname")[1])
    sys.stdout.write(" ".join(map(str, ports)) + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    transport.close()


@contextmanager
def watched() -> Iterator[dict[str, str]]:
    """Kind to the settings of a probe that finds its server."""
    command = [sys.executable, __file__, "--be-watched"]
    with (
        servers.redis() as redis,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer,
    ):
        assert peer.stdout
        http_port, tcp, smtp, dns_port = peer.stdout.readline().split()
        yield {
            "http": f'url = "http://127.0.0.1:{http_port}/"\nbody_contains = "ok"',
            "tcp": f'host = "127.0.0.1"\nport = {tcp}',
            "smtp": f'host = "127.0.0.1"\nport = {smtp}',
            "dns": f'server = "127.0.0.1"\nport = {dns_port}\nname = "mail.example"',
            "redis": f'url = "{redis.url}"',
        }
        peer.communicate()


# Watching


@contextmanager
def watching(where: dict[str, str], count: int) -> Iterator[ServerProcess]:
    kinds = [KINDS[number % len(KINDS)] for number in range(count)]
    services = [
        SERVICE.format(kind=kind, number=number, interval=INTERVAL_S, where=where[kind])
        for number, kind in enumerate(kinds)
    ]
    with tempfile.TemporaryDirectory() as directory:
        server = ServerProcess(Path(directory), HEAD + "".join(services))
        server.start()
        try:
            yield server
        finally:
            server.stop()


def cpu_s(server: ServerProcess) -> float:
    """Seconds that the process has spent on a core, user and system."""
    assert server.process
    stat = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def statuses(server: ServerProcess) -> Counter[str]:
    found = server.get("/infrastructure/health").data["services"]
    return Counter(service["status"] for service in found)


def settled(server: ServerProcess, count: int) -> None:
    """Return when all are healthy: twice checked, connections open."""
    end = time.monotonic() + 5 * INTERVAL_S
    while (found := statuses(server))["healthy"] < count:
        if time.monotonic() > end:
            raise SystemExit(f"the servers that are watched do not work: {dict(found)}")
        time.sleep(1)


def share_of_a_core(where: dict[str, str]) -> float:
    with watching(where, SERVICES) as server:
        settled(server, SERVICES)
        before, begun = cpu_s(server), time.monotonic()
        time.sleep(WATCHED_S)
        spent, took = cpu_s(server) - before, time.monotonic() - begun
        settled(server, SERVICES)
    return 100 * spent / took


def asking_ms(where: dict[str, str]) -> float:
    """Median over one kept connection, while the services are being watched."""
    with watching(where, ASKED) as server:
        settled(server, ASKED)
        headers = {"Authorization": f"Bearer {server.token('viewer')}"}
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        times = []
        for _ in range(1000):
            begun = time.perf_counter()
            connection.request("GET", f"{PREFIX}/infrastructure/health", headers=headers)
            response = connection.getresponse()
            response.read()
            times.append(time.perf_counter() - begun)
            assert response.status == 200
        connection.close()
    return 1000 * statistics.median(times)


def main() -> None:
    with watched() as where:
        share, median = share_of_a_core(where), asking_ms(where)
    table = Table("what", "target", "measured", "", title="Service health")
    for what, limit, found, unit in (
        (f"{SERVICES} services every {INTERVAL_S} s, of a core", 30, share, "%"),
        (f"GET infrastructure/health, {ASKED} services, median", 3, median, "ms"),
    ):
        table.add_row(
            what, f"< {limit} {unit}", f"{found:.1f} {unit}", "ok" if found < limit else "MISSED"
        )
    Console(width=100).print(table)


if __name__ == "__main__":
    if "--be-watched" in sys.argv:
        asyncio.run(be_watched())
    else:
        main()
