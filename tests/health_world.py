"""Services that are watched in simulated time, on real databases and scripted probes."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection

import servers
from quarterdeck import config, health
from quarterdeck.facts import Facts, Insert, UnopenedFacts
from quarterdeck.health.connectivity import Connectivity
from quarterdeck.health.declared import DeclaredProbe, DeclaredService
from quarterdeck.health.heartbeats import Heartbeats
from quarterdeck.health.model import Outcome, Reading, ServiceHealth, ServiceSpec
from quarterdeck.health.samples import Samples
from quarterdeck.health.service import HealthChange, HealthParts, HealthService
from quarterdeck.health.store import HealthStore
from quarterdeck.health.windows import TelemetrySummary
from quarterdeck.state import Database, open_database
from unit.health_core.simulated import SimulatedLoop

T = TypeVar("T")

MIGRATIONS = tuple(dict.fromkeys([*servers.MIGRATIONS, Path(health.__path__[0]) / "migrations"]))

OK = Reading(Outcome.OK, latency_ms=12)
FAIL = Reading(Outcome.FAIL, "connection refused")

Answer = Callable[[float], Reading]
"""What a probe says, by simulated seconds."""


def always(reading: Reading) -> Answer:
    """A probe that says the same each time."""
    return lambda _: reading


class ScriptedProbe:
    """Says what its script says at that time."""

    def __init__(self, answer: Answer) -> None:
        self.target = "host:1"
        self.answer = answer
        self.checks = 0
        self.is_closed = False

    async def check(self) -> Reading:
        self.checks += 1
        return self.answer(asyncio.get_running_loop().time())

    async def close(self) -> None:
        self.is_closed = True


class StandingDatabase:
    """A real database; simulated time stands still while it works."""

    def __init__(self, database: Database, loop: SimulatedLoop) -> None:
        self._database = database
        self._loop = loop

    @property
    def name(self) -> str:
        return self._database.name

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        return self._database.dialect

    async def read(self, query: Callable[[Connection], T], timeout_s: float = 10.0) -> T:
        return await self._loop.outside(self._database.read(query, timeout_s))

    async def write(self, change: Callable[[Connection], T]) -> T:
        return await self._loop.outside(self._database.write(change))

    async def close(self) -> None:
        await self._loop.outside(self._database.close())


class StandingFacts:
    """A real store of facts; simulated time stands still while it works."""

    def __init__(self, facts: Facts, loop: SimulatedLoop) -> None:
        self._facts = facts
        self._loop = loop

    async def fetch(
        self, sql: str, row: type[T], params: Mapping[str, Any] | None = None
    ) -> list[T]:
        return await self._loop.outside(self._facts.fetch(sql, row, params or {}))

    async def execute(self, sql: str) -> None:
        await self._loop.outside(self._facts.execute(sql))

    async def insert(self, insert: Insert) -> None:
        await self._loop.outside(self._facts.insert(insert))


class PushedTelemetry:
    """What services push, by simulated seconds."""

    def __init__(self, script: Callable[[float], TelemetrySummary | None]) -> None:
        self.script = script
        self.asked: list[Sequence[str]] = []

    def summary(self, service_names: Sequence[str], now: datetime) -> TelemetrySummary | None:
        self.asked.append(service_names)
        return self.script(asyncio.get_running_loop().time())


@dataclass
class Given:
    """What a server is started with."""

    services: Mapping[str, Sequence[Answer]]
    spec: Mapping[str, Any] = field(default_factory=dict)
    """Of every service."""
    telemetry: Callable[[float], TelemetrySummary | None] = lambda _: None
    network: Callable[[float], bool] = lambda _: True
    """Whether `10.0.0.1:1` can be reached."""
    connectivity: Sequence[str] = ()
    facts: Any = None


@dataclass
class Running:
    """A service that runs."""

    health: HealthService
    loop: SimulatedLoop
    probes: list[ScriptedProbe]
    samples: Samples
    changes: list[HealthChange] = field(default_factory=list)

    async def until(self, second: float) -> None:
        """Let simulated time pass."""
        await asyncio.sleep(max(0, second - self.loop.time()))

    def shown(self, name: str = "API") -> ServiceHealth:
        (found,) = [each for each in self.health.snapshot().services if each.name == name]
        return found

    def seen(self, name: str = "API") -> tuple[str, bool]:
        return self.shown(name).status.value, self.shown(name).stale


@asynccontextmanager
async def started(loop: SimulatedLoop, url: str, given: Given) -> AsyncIterator[Running]:
    """A server that is stopped well at the end of the block; in it nothing was awaited yet."""
    database = StandingDatabase(open_database(url, "state"), loop)
    running = _composed(loop, database, given)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(running.health.run(stop))
        try:
            yield running
        except BaseException:
            task.cancel()
            raise
        finally:
            stop.set()
    await running.health.close()
    await database.close()


@asynccontextmanager
async def crashing(loop: SimulatedLoop, url: str, given: Given) -> AsyncIterator[Running]:
    """A server that writes nothing more once the block ends."""
    database = StandingDatabase(open_database(url, "state"), loop)
    running = _composed(loop, database, given)
    task = asyncio.ensure_future(running.health.run(asyncio.Event()))
    yield running
    task.cancel()
    await asyncio.wait([task])
    await database.close()


def _composed(loop: SimulatedLoop, database: StandingDatabase, given: Given) -> Running:
    async def connect(_host: str, _port: int) -> socket.socket:
        if not given.network(loop.time()):
            raise OSError("no route to host")
        return socket.socket()

    facts = UnopenedFacts(config.Facts()) if given.facts is None else given.facts
    store = HealthStore(database)
    samples = Samples(facts, clock=loop.clock)
    probes: list[ScriptedProbe] = []
    services = []
    for name, answers in given.services.items():
        own = [ScriptedProbe(answer) for answer in answers]
        probes += own
        spec = ServiceSpec(name, **given.spec)
        services.append(DeclaredService(spec, [DeclaredProbe("http", probe) for probe in own]))
    parts = HealthParts(
        store,
        Heartbeats(store, loop.clock),
        samples,
        PushedTelemetry(given.telemetry),
        Connectivity(given.connectivity, connect),
        loop.clock,
    )
    service = HealthService(services, parts)
    running = Running(service, loop, probes, samples)
    service.subscribe(running.changes.append)
    return running
