"""What the suites of the probes share: their servers, and the toolbox they are built with."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import uvloop

import servers
from contract.health_probes import daemons
from contract.health_probes.certificates import Authority
from contract.health_probes.worlds import WORLDS, World
from quarterdeck.config import decode_options
from quarterdeck.core.clock import utc_now
from quarterdeck.core.errors import NotFound
from quarterdeck.health.adapters import probe_factory
from quarterdeck.health.ports import Probe, QueueBacklog, Toolbox
from quarterdeck.net.guard import Guard

Build = Callable[..., Probe]
TIMEOUT_S = 20.0
"""For what must succeed, however busy the machine is."""
SHORT_S = 0.4
"""For what must not."""


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Each test runs on both: drivers are given sockets and loops, and uvloop has its own ways."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def mariadb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[daemons.Daemon]:
    """One MariaDB server for the whole test process."""
    with daemons.mariadb() as server:
        yield server


@pytest.fixture(scope="session")
def pgbouncer_server(postgres_server: servers.PostgresServer) -> Iterator[daemons.Daemon]:
    """One PgBouncer for the whole test process."""
    with daemons.pgbouncer(postgres_server.port) as server:
        yield server


@pytest.fixture(scope="session")
def clickhouse_server() -> Iterator[daemons.Daemon]:
    """One ClickHouse for the whole test process."""
    with daemons.clickhouse() as server:
        yield server


@pytest.fixture(scope="session")
def locked_redis() -> Iterator[servers.RedisServer]:
    """One Redis that wants a password, for the whole test process."""
    with daemons.redis() as server:
        yield server


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whoever signs the certificates that are good."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest) -> World:
    """Each probe that connects."""
    return WORLDS[request.param]


@pytest.fixture
async def build() -> AsyncIterator[Build]:
    """Build a probe from its entry in the settings; it is closed at the end."""
    built: list[Probe] = []

    def make(
        kind: str, options: dict[str, Any], timeout_s: float = TIMEOUT_S, **tools: Any
    ) -> Probe:
        factory = probe_factory(kind)
        decoded = decode_options({"kind": kind, **options}, factory.Options, "probes[0]")
        probe = factory(decoded, toolbox(timeout_s, **tools))
        built.append(probe)
        return probe

    yield make
    for probe in built:
        await probe.close()


def toolbox(
    timeout_s: float = TIMEOUT_S,
    guard: Guard | None = None,
    clock: Callable[[], datetime] = utc_now,
    backlog: QueueBacklog | Exception | None = None,
    heartbeats: dict[str, datetime] | None = None,
) -> Toolbox:
    """What probes are given."""

    async def queue_backlog(name: str, source: str | None) -> QueueBacklog:
        if isinstance(backlog, QueueBacklog):
            return backlog
        raise backlog or NotFound(f"there is no queue {name}")

    return Toolbox(timeout_s, guard or Guard(), clock, queue_backlog, (heartbeats or {}).get)


def sockets() -> int:
    """How many sockets this process has open."""
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found += str(entry.readlink()).startswith("socket:")
        except OSError:
            continue
    return found


@asynccontextmanager
async def no_socket_is_left() -> AsyncIterator[None]:
    """Afterwards as many sockets are open as before; both ends may take their time to see it."""
    before = sockets()
    yield
    async with asyncio.timeout(10):
        while sockets() > before:
            await asyncio.sleep(0)
