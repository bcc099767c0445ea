"""BullMQ on PostgreSQL: producers and workers of its version 6, in Node."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

import servers
from bullmq_world import Bullmq, CallFailed
from contract.harness import DirectToolbox, NameRefused, Outcome, Run
from contract.sql_harness import SOURCE, postgres_stopped
from quarterdeck.queues.model import JobRef
from quarterdeck.state import Database, open_database

SCHEMA = "bullmq"
_SPOIL = text("UPDATE bullmq.job SET data = CAST(:raw AS jsonb) WHERE queue = :queue AND id = :id")


class BullmqPostgresHarness:
    """What other engines call a band is a queue of its own here."""

    def __init__(
        self,
        bullmq: Bullmq,
        database: Database,
        directory: Path,
        server: servers.PostgresServer,
    ) -> None:
        self.engine = DirectToolbox().build(
            "bullmq-postgres", SOURCE, {"url": bullmq.url, "band_separator": "-"}
        )
        self._bullmq = bullmq
        self._database = database
        self._server = server
        self._fleet = bullmq.fleet(directory)
        self._numbers = itertools.count(1)

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
        return (await self._add(queue_name, [content], priority))[0]

    async def enqueue_many(
        self, queue_name: str, count: int, *, priority: int = 100, outcome: Outcome = Outcome.OK
    ) -> list[JobRef]:
        """See `EngineHarness`."""
        contents = [{"number": number, "outcome": str(outcome)} for number in range(count)]
        return await self._add(queue_name, contents, priority)

    def workers(self, *queue_names: str, processes: int = 1) -> AbstractAsyncContextManager[None]:
        """Each process works on all bands of these queues."""
        names = [f"{name}{band}" for name in queue_names for band in ("-high", "", "-low")]
        return self._fleet.running(*names, processes=processes)

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
        """See `EngineHarness`. The column takes any JSON, and no more: also what nobody reads."""
        raw = "[" * 150 + "]" * 150
        params = {"raw": raw, "queue": ref.queue, "id": ref.id}
        await self._database.write(lambda connection: connection.execute(_SPOIL, params).rowcount)
        return raw

    def source_gone(self) -> AbstractAsyncContextManager[None]:
        """The server is stopped, and keeps what it holds."""
        return postgres_stopped(self._server)

    async def close(self) -> None:
        """Give all connections back."""
        await asyncio.gather(self.engine.close(), self._bullmq.close(), self._database.close())

    async def _add(
        self, queue_name: str, contents: list[dict[str, Any]], priority: int
    ) -> list[JobRef]:
        name = queue_name + ("-high" if priority <= 50 else "" if priority <= 150 else "-low")
        # BullMQ numbers the jobs of each queue from 1; what a worker reports names no queue.
        jobs = [
            {"name": "send", "data": data, "opts": {"jobId": f"job-{next(self._numbers)}"}}
            for data in contents
        ]
        try:
            ids = await self._bullmq.call(name, "addBulk", jobs)
        except CallFailed as error:
            raise NameRefused(name) from error
        return [JobRef(SOURCE, job_id, name) for job_id in ids]


@asynccontextmanager
async def open_bullmq_postgres(
    request: pytest.FixtureRequest, directory: Path
) -> AsyncIterator[BullmqPostgresHarness]:
    """A fresh PostgreSQL database, in which BullMQ makes its schema."""
    server: servers.PostgresServer = request.getfixturevalue("postgres_server")
    programs = request.getfixturevalue("bullmq_programs")
    url = await asyncio.to_thread(server.create_database)
    bullmq = Bullmq(programs, url, 6, SCHEMA)
    await bullmq.call("made-on-connect", "obliterate")
    database = open_database(url, "harness")
    harness = BullmqPostgresHarness(bullmq, database, directory, server)
    yield harness
    await harness.close()
