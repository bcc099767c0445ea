"""The hybrid engine: rows in PostgreSQL, lists in Redis, a migrator and BRPOP workers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

import servers
from contract.fleet import WorkerFleet
from contract.harness import DirectToolbox, Outcome
from contract.sql_harness import SOURCE, PostgresHarness
from quarterdeck.queues.model import JobRef
from quarterdeck.state import Database, migrate, open_database
from workers.hybrid_platform import Platform


class HybridHarness(PostgresHarness):
    """Producers write rows, as ever; the migrator has moved about half of them to Redis."""

    def __init__(
        self,
        urls: tuple[str, str],
        database: Database,
        directory: Path,
        server: servers.PostgresServer,
    ) -> None:
        super().__init__(urls[0], database, directory, server)
        self._unused = self.engine
        self.engine = DirectToolbox().build(
            "hybrid", SOURCE, {"url": urls[0], "redis_url": urls[1]}
        )
        self._fleet = WorkerFleet("hybrid_worker.py", " ".join(urls), directory)
        self.urls = urls
        self._enqueued = 0

    async def enqueue(
        self,
        queue_name: str,
        payload: dict[str, Any] | None = None,
        *,
        priority: int = 100,
        outcome: Outcome = Outcome.OK,
    ) -> JobRef:
        """See `EngineHarness`."""
        ref = await super().enqueue(queue_name, payload, priority=priority, outcome=outcome)
        self._enqueued += 1
        if self._enqueued % 2:
            await self.move(1)
        return ref

    async def enqueue_many(
        self, queue_name: str, count: int, *, priority: int = 100, outcome: Outcome = Outcome.OK
    ) -> list[JobRef]:
        """See `EngineHarness`."""
        refs = await super().enqueue_many(queue_name, count, priority=priority, outcome=outcome)
        await self.move(count // 2)
        return refs

    async def move(self, count: int) -> None:
        """Let the migrator move the next rows."""
        platform = await Platform.open(*self.urls)
        await platform.migrate_once(count)
        await platform.close()

    @asynccontextmanager
    async def workers(self, *queue_names: str, processes: int = 1) -> AsyncIterator[None]:
        """A migrator process beside the worker processes."""
        async with self._fleet.running(), self._fleet.running(*queue_names, processes=processes):
            yield

    async def close(self) -> None:
        """Give all connections back."""
        await asyncio.gather(self.engine.close(), self._unused.close(), self.database.close())


@asynccontextmanager
async def open_hybrid(
    request: pytest.FixtureRequest, directory: Path
) -> AsyncIterator[HybridHarness]:
    """A fresh, migrated PostgreSQL database, and an empty Redis."""
    server: servers.PostgresServer = request.getfixturevalue("postgres_server")
    redis_url = request.getfixturevalue("redis_server").url
    async with Redis.from_url(redis_url) as redis:
        await redis.flushall()
    url = await asyncio.to_thread(server.create_database)
    await asyncio.to_thread(migrate, url, servers.MIGRATIONS)
    database = open_database(url, "harness")
    harness = HybridHarness((url, redis_url), database, directory, server)
    yield harness
    await harness.close()
