"""The SQL engine over the documented tables, with the workers of the `work` room."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

import servers
from contract.fleet import WorkerFleet
from contract.harness import DirectToolbox, Outcome, Run
from quarterdeck.queues.model import JobRef
from quarterdeck.state import Database, migrate, open_database
from quarterdeck.work.model import NewJob
from quarterdeck.work.store import WorkStore

SOURCE = "platform"


class SqlHarness:
    """Producers and workers of the `work` room; the engine is what we attach."""

    def __init__(self, url: str, database: Database, directory: Path) -> None:
        self.engine = DirectToolbox().build("sql", SOURCE, {"url": url})
        self.database = database
        self._store = WorkStore(database)
        self._fleet = WorkerFleet("contract_worker.py", url, directory)

    async def enqueue(
        self,
        queue_name: str,
        payload: dict[str, Any] | None = None,
        *,
        priority: int = 100,
        outcome: Outcome = Outcome.OK,
    ) -> JobRef:
        """See `EngineHarness`."""
        content = {**(payload or {}), "outcome": outcome}
        job_id = await self._store.enqueue(queue_name, content, priority=priority, max_attempts=1)
        return JobRef(SOURCE, job_id)

    async def enqueue_many(
        self, queue_name: str, count: int, *, priority: int = 100, outcome: Outcome = Outcome.OK
    ) -> list[JobRef]:
        """See `EngineHarness`."""
        jobs = [
            NewJob({"number": number, "outcome": outcome}, priority=priority, max_attempts=1)
            for number in range(count)
        ]
        return [
            JobRef(SOURCE, job_id) for job_id in await self._store.enqueue_many(queue_name, jobs)
        ]

    def workers(self, *queue_names: str, processes: int = 1) -> AbstractAsyncContextManager[None]:
        """See `EngineHarness`."""
        return self._fleet.running(*queue_names, processes=processes)

    def runs(self) -> list[Run]:
        """See `EngineHarness`."""
        return self._fleet.runs()

    def heal(self) -> None:
        """See `EngineHarness`."""
        self._fleet.heal()

    def release(self) -> None:
        """See `EngineHarness`."""
        self._fleet.release()

    async def spoil_payload(self, ref: JobRef) -> str:
        """See `EngineHarness`."""
        raw = '["no", "object"]'

        def spoil(connection: Connection) -> None:
            kind = "jsonb" if connection.dialect.name == "postgresql" else "text"
            connection.execute(
                text(f"UPDATE jobs SET payload = CAST(:raw AS {kind}) WHERE id = :id"),
                {"raw": raw, "id": ref.id},
            )

        await self.database.write(spoil)
        return raw

    def source_gone(self) -> AbstractAsyncContextManager[None]:
        """See `EngineHarness`."""
        raise NotImplementedError


class SqliteHarness(SqlHarness):
    """On a SQLite file."""

    def __init__(self, path: Path, database: Database, directory: Path) -> None:
        super().__init__(f"sqlite:///{path}", database, directory)
        self._path = path

    @asynccontextmanager
    async def source_gone(self) -> AsyncIterator[None]:
        """The file is moved away."""
        files = list(self._path.parent.glob(f"{self._path.name}*"))
        for file in files:
            file.rename(file.with_name(f"away-{file.name}"))
        yield
        for file in files:
            file.with_name(f"away-{file.name}").rename(file)


class PostgresHarness(SqlHarness):
    """On a PostgreSQL server."""

    def __init__(
        self, url: str, database: Database, directory: Path, server: servers.PostgresServer
    ) -> None:
        super().__init__(url, database, directory)
        self._server = server

    @asynccontextmanager
    async def source_gone(self) -> AsyncIterator[None]:
        """The server is stopped."""
        async with postgres_stopped(self._server):
            yield


@asynccontextmanager
async def postgres_stopped(server: servers.PostgresServer) -> AsyncIterator[None]:
    """The server is down while the block runs."""
    await asyncio.to_thread(server.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(server.start)


@asynccontextmanager
async def open_sqlite(_: pytest.FixtureRequest, directory: Path) -> AsyncIterator[SqliteHarness]:
    """A fresh, migrated SQLite file."""
    path = directory / "jobs.sqlite3"
    await asyncio.to_thread(migrate, f"sqlite:///{path}", servers.MIGRATIONS)
    database = open_database(f"sqlite:///{path}", "harness")
    harness = SqliteHarness(path, database, directory)
    yield harness
    await harness.engine.close()
    await database.close()


@asynccontextmanager
async def open_postgres(
    request: pytest.FixtureRequest, directory: Path
) -> AsyncIterator[PostgresHarness]:
    """A fresh, migrated PostgreSQL database."""
    server: servers.PostgresServer = request.getfixturevalue("postgres_server")
    url = await asyncio.to_thread(server.create_database)
    await asyncio.to_thread(migrate, url, servers.MIGRATIONS)
    database = open_database(url, "harness")
    harness = PostgresHarness(url, database, directory, server)
    yield harness
    await harness.engine.close()
    await database.close()
