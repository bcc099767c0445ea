"""Procrastinate: its own producers and workers, over its own schema."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import ConnectorException
from sqlalchemy import text

import servers
from contract.fleet import WorkerFleet
from contract.harness import DirectToolbox, NameRefused, Outcome, Run
from contract.sql_harness import SOURCE, postgres_stopped
from quarterdeck.queues.model import JobRef
from quarterdeck.state import Database, open_database
from workers.procrastinate_worker import TASK

SPOIL = text("UPDATE procrastinate_jobs SET args = CAST(:raw AS jsonb) WHERE id = :id")


class ProcrastinateHarness:
    """A database that `procrastinate schema --apply` has prepared."""

    def __init__(
        self,
        url: str,
        app: App,
        database: Database,
        directory: Path,
        server: servers.PostgresServer,
    ) -> None:
        self.engine = DirectToolbox().build("procrastinate", SOURCE, {"url": url})
        self.url = url
        self.app = app
        self.database = database
        self._server = server
        self._fleet = WorkerFleet("procrastinate_worker.py", url, directory)

    async def enqueue(
        self,
        queue_name: str,
        payload: dict[str, Any] | None = None,
        *,
        priority: int = 100,
        outcome: Outcome = Outcome.OK,
    ) -> JobRef:
        """See `EngineHarness`."""
        content = {**(payload or {}), "outcome": str(outcome)}
        return (await self._defer(queue_name, [content], priority))[0]

    async def enqueue_many(
        self, queue_name: str, count: int, *, priority: int = 100, outcome: Outcome = Outcome.OK
    ) -> list[JobRef]:
        """See `EngineHarness`."""
        contents = [{"number": number, "outcome": str(outcome)} for number in range(count)]
        return await self._defer(queue_name, contents, priority)

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
        raw = json.dumps(["no", "object"])
        await self.database.write(
            lambda connection: connection.execute(SPOIL, {"raw": raw, "id": int(ref.id)}).rowcount
        )
        return raw

    @asynccontextmanager
    async def source_gone(self) -> AsyncIterator[None]:
        """The server is stopped."""
        async with postgres_stopped(self._server):
            yield

    async def defer(self, queue_name: str, task: str = TASK, **options: Any) -> JobRef:
        """One job that fails, with options of `configure_task`."""
        async with self.app.open_async():
            deferrer = self.app.configure_task(task, queue=queue_name, **options)
            return JobRef(SOURCE, str(await deferrer.defer_async(outcome=str(Outcome.FAIL))))

    async def _defer(
        self, queue_name: str, contents: list[dict[str, Any]], priority: int
    ) -> list[JobRef]:
        # Procrastinate's priorities are the other way round, with 0 in the middle.
        level = 5 if priority <= 50 else 0 if priority <= 150 else -5
        try:
            # A connection of its own each time: the server may have been stopped since the last.
            async with self.app.open_async():
                deferrer = self.app.configure_task(TASK, queue=queue_name, priority=level)
                ids = await deferrer.batch_defer_async(*contents)
        except ConnectorException as error:
            raise NameRefused(queue_name) from error
        return [JobRef(SOURCE, str(job_id)) for job_id in ids]


@asynccontextmanager
async def open_procrastinate(
    request: pytest.FixtureRequest, directory: Path
) -> AsyncIterator[ProcrastinateHarness]:
    """A fresh PostgreSQL database with Procrastinate's own schema."""
    server: servers.PostgresServer = request.getfixturevalue("postgres_server")
    url = await asyncio.to_thread(server.create_database)
    app = App(connector=PsycopgConnector(conninfo=url, min_size=1, max_size=2))
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
    database = open_database(url, "harness")
    harness = ProcrastinateHarness(url, app, database, directory, server)
    yield harness
    await harness.engine.close()
    await database.close()
