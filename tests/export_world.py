"""What the tests of exports stand on: lines in a store of facts, a worker, and HTTP on top."""

import asyncio
import json
import warnings
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from litestar import Litestar, Router
from litestar.di import Provide
from litestar.exceptions import LitestarDeprecationWarning

from quarterdeck.access.audit import AuditTrail
from quarterdeck.access.model import Principal, Role
from quarterdeck.api import log_exports, log_searches
from quarterdeck.api.asgi import App, Receive, Scope, Send
from quarterdeck.api.context import context_of, header
from quarterdeck.api.errors import handle
from quarterdeck.api.guards import require_right
from quarterdeck.api.layers import ContextLayer
from quarterdeck.api.metrics import Metrics
from quarterdeck.api.middleware.auditing import AuditLayer
from quarterdeck.api.middleware.bodies import BodyLayer
from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.facts import Facts, Insert
from quarterdeck.logs.export_files import ExportDirectory
from quarterdeck.logs.export_state import Export, ExportStatus
from quarterdeck.logs.exports import EXPORTS_QUEUE, LogExports
from quarterdeck.logs.model import COLUMNS
from quarterdeck.logs.schema import MIGRATIONS as LOG_TABLES
from quarterdeck.logs.searches import SavedSearches
from quarterdeck.state import Database
from quarterdeck.work.store import WorkStore
from quarterdeck.work.worker import Worker, WorkerOptions

PREFIX = "/api/v1/platform/system"
ME = "token:me"


def line(**changes: str) -> dict[str, str]:
    """A line as it is stored, each column as text."""
    plain = dict.fromkeys(COLUMNS, "") | {
        "timestamp": "2026-11-24T10:00:00.000000Z",
        "level": "info",
        "service": "api",
        "message": "something happened",
        "metadata": "{}",
    }
    assert set(changes) <= set(plain)
    return plain | changes


async def create_table(facts: Facts) -> None:
    """An empty table of lines."""
    for statement in LOG_TABLES:
        await facts.execute(statement)


async def store(facts: Facts, lines: Iterable[Mapping[str, str]], token: str = "t") -> None:
    """Store lines as one insert."""
    rows = [json.dumps([each[name] for name in COLUMNS]).encode() + b"\n" for each in lines]
    await facts.insert(Insert("logs", COLUMNS, rows, len(rows), token))


async def store_many(facts: Facts, number: int, over: timedelta) -> None:
    """Lines of some 300 bytes, made in the engine: a million in two seconds."""
    step_us = int(over / timedelta(microseconds=1)) / number
    await facts.execute(
        "INSERT INTO logs SELECT toDateTime64('2026-11-16 00:00:00', 6, 'UTC') "
        f"+ toIntervalMicrosecond(toInt64(number * {step_us})) AS timestamp, "
        "['error', 'warning', 'info', 'debug'][1 + number % 4] AS level, "
        "['smtp', 'api', 'worker'][1 + rand(1) % 3] AS service, "
        "concat('line ', toString(number), ' delivered to ', toString(rand(2) % 9000), "
        "'@northwind.example in ', toString(rand(3) % 900), ' ms: 250 2.0.0 OK') AS message, "
        "concat('req_', lower(hex(rand64(4)))) AS request_id, "
        "concat('usr_', toString(rand(5) % 50000)) AS user_id, "
        "concat('tnt_', toString(rand(6) % 400)) AS tenant_id, "
        'concat(\'{"region":"eu-\', toString(rand(7) % 3), \'","host":"node-\', '
        'toString(rand(8) % 40), \'","version":"2026.11.4"}\') AS metadata, '
        "'' AS level_original, '' AS marks, '' AS original "
        f"FROM numbers({number}) SETTINGS max_insert_threads = 1"
    )


@dataclass
class World:
    """Exports with `workers` that run them."""

    facts: Facts
    database: Database
    directory: Path
    clock: Clock = utc_now
    reserve_bytes: int = 0
    workers: int = 1
    exports: list[LogExports] = field(default_factory=list)

    def build(self) -> LogExports:
        """What one server has."""
        built = LogExports(
            self.facts,
            WorkStore(self.database),
            self.database,
            ExportDirectory(self.directory, self.reserve_bytes),
            timedelta(hours=24),
            self.clock,
        )
        self.exports.append(built)
        return built

    async def finished(self, export_id: str, seconds: float = 60) -> Export:
        """Wait for the end of an export."""
        async with asyncio.timeout(seconds):
            while True:
                export = await self.exports[0].get(export_id, None)
                if export.status is not ExportStatus.PROCESSING:
                    return export
                await asyncio.sleep(0.02)

    async def content(self, export_id: str) -> bytes:
        """The file of an export that is completed."""
        export = await self.finished(export_id)
        assert export.status is ExportStatus.COMPLETED, export.error
        file = await self.exports[0].get_file(export_id, None)
        assert file.size == export.bytes
        return file.path.read_bytes()

    def files(self) -> list[str]:
        """What lies in the directory."""
        return sorted(path.name for path in self.directory.iterdir())


@asynccontextmanager
async def running(world: World) -> AsyncIterator[LogExports]:
    """The exports of a world whose workers work."""
    stop = asyncio.Event()
    tasks = []
    for _ in range(world.workers):
        built = world.build()
        store_of_work = WorkStore(world.database)
        worker = Worker(
            store_of_work, {EXPORTS_QUEUE: built.run}, WorkerOptions(poll_s=0.02, lease_s=5)
        )
        tasks.append(asyncio.create_task(worker.run(stop)))
    try:
        yield world.exports[0]
    finally:
        stop.set()
        await asyncio.gather(*tasks)


class Identity:
    """Believes the headers `x-principal` and `x-role`; who sends none is nobody."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            name, role = header(scope, b"x-principal"), header(scope, b"x-role") or "viewer"
            if name:
                context_of(scope).principal = Principal(name, name, Role(role), "token")
        await self._app(scope, receive, send)


def client(
    exports: LogExports | None, searches: SavedSearches | None, trail: AuditTrail
) -> httpx.AsyncClient:
    """HTTP to the routes of exports and searches, in the layers that the server has."""
    metrics = Metrics()
    given: dict[str, Any] = {"exports": exports, "searches": searches}
    rooms = [log_exports.router(), log_searches.router()]
    closed = Router(
        path=PREFIX,
        guards=[require_right],
        middleware=[_layer(BodyLayer), _layer(AuditLayer, trail=trail)],
        route_handlers=rooms,
    )
    with warnings.catch_warnings():
        # Litestar 3 will want dependencies to be marked; all routes of the house wait for it.
        warnings.simplefilter("ignore", LitestarDeprecationWarning)
        routes = Litestar(
            [closed],
            dependencies={name: _provide(value) for name, value in given.items()},
            exception_handlers={Exception: handle},
            openapi_config=None,
            logging_config=None,
        )
    app: Any = ContextLayer(Identity(routes), [], metrics.requests, metrics.seconds)  # type: ignore[arg-type]
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app),
        base_url=f"http://quarterdeck.test{PREFIX}",
        headers={"x-principal": ME},
    )


def _layer(kind: Callable[..., App], **given: object) -> Any:
    def wrap(app: App) -> App:
        return kind(app, **given)

    return wrap


def _provide(value: object) -> Provide:
    return Provide(lambda: value, sync_to_thread=False)
