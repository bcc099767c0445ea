"""Real DNS for tests: rbldnsd with lists that tests may change, unbound before it, and a server of
our own for everything that no decent server does."""

import asyncio
import os
import pwd
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import dns.rcode
import dns.rrset

import servers
from quarterdeck.net.resolver import NameServer, Resolver
from quarterdeck.reputation.model import BlockList, Code, Tier

SOA = "$SOA 60 ns.test. hostmaster.test. 0 1h 1h 1w 5s\n$NS 60 ns.test.\n$TTL 5\n"
POINT = "127.0.0.2"


def block_list(zone: str, **changes: Any) -> BlockList:
    """A list with two codes, on a zone of a test server."""
    known = {
        "127.0.0.2": Code("sbl", 30, "Ask the owner of the network."),
        "127.0.0.4": Code("xbl", 30, "Mend the host."),
        "127.0.0.10": Code("pbl", 10),
    }
    given = {"id": zone.split(".", maxsplit=1)[0], "zone": zone, "tier": Tier.MAJOR, "codes": known}
    return BlockList(**(given | changes))


@dataclass
class Rbldnsd:
    """A server of DNS lists. A zone may have several files, each `TYPE:NAME`."""

    port: int
    directory: Path
    zones: Mapping[str, list[str]]

    def write(self, name: str, text: str) -> None:
        """Change a file; the server reads it anew within a second or two."""
        path = self.directory / name
        new = path.with_suffix(".new")
        new.write_text(text)
        # It looks at the time of the change, in whole seconds.
        os.utime(new, (time.time() + len(text), time.time() + len(text)))
        new.rename(path)

    @property
    def server(self) -> NameServer:
        return NameServer("127.0.0.1", self.port)


@contextmanager
def rbldnsd(files: Mapping[str, str], zones: Mapping[str, list[str]]) -> Iterator[Rbldnsd]:
    """Start it on a free port. It refuses to run as root, and serves UDP only."""
    user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    with servers.own_directory("qd-rbldnsd-", user if os.geteuid() == 0 else None) as directory:
        server = Rbldnsd(servers.free_port(), directory, zones)
        for name, text in files.items():
            (directory / name).write_text(text)
        sources = [f"{zone}:{source}" for zone, all_of in zones.items() for source in all_of]
        command = [
            servers.program("rbldnsd"), "-n", "-f", "-u", user, "-b",
            f"127.0.0.1/{server.port}", "-w", str(directory), "-t", "5", "-c", "1", *sources,
        ]  # fmt: skip
        with (directory / "log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait_for_dns(server.port, next(iter(zones)), process, directory / "log")
            yield server
        finally:
            process.terminate()
            process.wait(20)


@contextmanager
def unbound(zones: Mapping[str, int], options: str = "") -> Iterator[NameServer]:
    """A resolver before servers on ports of this machine; each zone has a stub of its own."""
    with servers.own_directory("qd-unbound-") as directory:
        port = servers.free_port()
        stubs = "\n".join(
            f'stub-zone:\n name: "{zone}"\n stub-addr: 127.0.0.1@{at}\n'
            for zone, at in zones.items()
        )
        (directory / "unbound.conf").write_text(
            f'''server:
 interface: 127.0.0.1
 port: {port}
 do-daemonize: no
 username: ""
 chroot: ""
 directory: "{directory}"
 pidfile: "{directory}/pid"
 use-syslog: no
 do-not-query-localhost: no
 module-config: "iterator"
 local-zone: "test." nodefault
 cache-max-negative-ttl: 1
 {options}
remote-control:
 control-enable: no
{stubs}
'''
        )
        with (directory / "log").open("ab") as log:
            process = subprocess.Popen(
                [servers.program("unbound"), "-d", "-c", str(directory / "unbound.conf")],
                stdout=log, stderr=log,
            )  # fmt: skip
        try:
            _wait_for_dns(port, next(iter(zones)), process, directory / "log")
            yield NameServer("127.0.0.1", port)
        finally:
            process.terminate()
            process.wait(20)


def _wait_for_dns(
    port: int, zone: str, process: "subprocess.Popen[bytes]", log: Path, seconds: float = 30
) -> None:
    query = dns.message.make_query(f"2.0.0.127.{zone}", "A")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            dns.query.udp(query, "127.0.0.1", timeout=0.2, port=port)
        except (OSError, dns.exception.DNSException):
            continue
        return
    raise RuntimeError(f"no DNS server on port {port}:\n{log.read_text()}")


Answering = Callable[[dns.message.Message], dns.message.Message | None]


@dataclass
class Chaos(asyncio.DatagramProtocol):
    """Answers as it is told, zone by zone; None: it says nothing."""

    behaviours: dict[str, Answering] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    delay_s: float = 0.0
    port: int = 0
    _transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        name = query.question[0].name.to_text()
        self.asked.append(name)
        zone = next((zone for zone in self.behaviours if name.endswith(f".{zone}.")), None)
        answer = self.behaviours[zone](query) if zone else refused(query)
        if answer is None:
            return
        loop = asyncio.get_running_loop()
        loop.call_later(self.delay_s, self._transport.sendto, answer.to_wire(), addr)

    @property
    def server(self) -> NameServer:
        return NameServer("127.0.0.1", self.port)


@asynccontextmanager
async def chaos(**behaviours: Answering) -> AsyncIterator[Chaos]:
    """Zones are named by their first label: `slow=...` answers for `slow.test`."""
    loop = asyncio.get_running_loop()
    named = {f"{label}.test": behaviour for label, behaviour in behaviours.items()}
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: Chaos(named), local_addr=("127.0.0.1", 0)
    )
    try:
        yield protocol
    finally:
        transport.close()


def refused(query: dns.message.Message) -> dns.message.Message:
    return with_rcode(query, dns.rcode.REFUSED)


def silent(_: dns.message.Message) -> None:
    return None


def servfail(query: dns.message.Message) -> dns.message.Message:
    return with_rcode(query, dns.rcode.SERVFAIL)


def nodata(query: dns.message.Message) -> dns.message.Message:
    return dns.message.make_response(query)


def nothing(query: dns.message.Message) -> dns.message.Message:
    return with_rcode(query, dns.rcode.NXDOMAIN)


def with_rcode(query: dns.message.Message, rcode: int) -> dns.message.Message:
    answer = dns.message.make_response(query)
    answer.set_rcode(dns.rcode.Rcode(rcode))
    return answer


def always(*addresses: str) -> Answering:
    """Answers every question about an address with these."""

    def answering(query: dns.message.Message) -> dns.message.Message:
        return with_records(query, *addresses)

    return answering


def with_records(query: dns.message.Message, *addresses: str, ttl: int = 5) -> dns.message.Message:
    answer = dns.message.make_response(query)
    kind = "A" if query.question[0].rdtype == 1 else "TXT"
    values = addresses if kind == "A" else ["a reason"]
    answer.answer.append(dns.rrset.from_text(query.question[0].name, ttl, "IN", kind, *values))
    return answer


def listing(*names: str, code: str = "127.0.0.2", otherwise: Answering = nothing) -> Answering:
    """A list that works: its test point, and these addresses (reversed, as they are asked for)."""
    known = ("2.0.0.127.", "2.0.0.0.0.0.f.7.f.f.f.f.", *(f"{name}." for name in names))

    def answering(query: dns.message.Message) -> dns.message.Message | None:
        asked = query.question[0].name.to_text()
        return with_records(query, code) if asked.startswith(known) else otherwise(query)

    return answering


def resolver_of(*at: NameServer, try_s: float = 2.0, total_s: float = 5.0) -> Resolver:
    return Resolver(at, try_s, total_s)
