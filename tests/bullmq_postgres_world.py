"""BullMQ 6 on PostgreSQL, as tests of its engine use it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

import servers
from bullmq_world import Bullmq, EngineWorld, Programs
from contract.harness import DirectToolbox
from contract.sql_harness import SOURCE
from quarterdeck.queues.model import JobState
from quarterdeck.queues.ports import Engine
from quarterdeck.state import open_database


class PostgresWorld(EngineWorld):
    """A fresh database with BullMQ's schema, our engine on it, and BullMQ."""

    def __init__(self, bullmq: Bullmq, server: servers.PostgresServer, directory: Path) -> None:
        self.bullmq = bullmq
        self.url = bullmq.url
        self.server = server
        self.directory = directory
        self.database = open_database(bullmq.url, "world")
        self.engine = self.open()

    def open(self, **options: Any) -> Engine:
        """An engine of other settings; the test closes it."""
        given = {"url": self.url, "schema": self.bullmq.prefix, **options}
        return DirectToolbox().build("bullmq-postgres", SOURCE, given)

    async def fail(self, count: int = 1, **opts: Any) -> list[str]:
        """Jobs of `mail` that a worker has let fail; their ids."""
        contents = [{"number": number, "outcome": "fail"} for number in range(count)]
        ids = await self.bullmq.add_many("mail", contents, **opts)
        async with self.bullmq.workers(self.directory, "mail"):
            await self.until_state(JobState.FAILED, ids)
        return ids

    async def sql(self, statement: str, **params: Any) -> Sequence[Any]:
        """What a statement of the database's owner answers, in BullMQ's schema."""

        def run(connection: Any) -> Sequence[Any]:
            connection.execute(text(f'SET LOCAL search_path TO "{self.bullmq.prefix}"'))
            result = connection.execute(text(statement), params)
            return result.all() if result.returns_rows else ()

        return await self.database.write(run)

    async def close(self) -> None:
        """Give all connections back."""
        await self.engine.close()
        await self.bullmq.close()
        await self.database.close()


async def make_world(
    request: pytest.FixtureRequest, directory: Path, schema: str = "bullmq"
) -> PostgresWorld:
    """A fresh world; BullMQ makes its schema."""
    server: servers.PostgresServer = request.getfixturevalue("postgres_server")
    programs: Programs = request.getfixturevalue("bullmq_programs")
    url = await asyncio.to_thread(server.create_database)
    bullmq = Bullmq(programs, url, 6, schema)
    await bullmq.call("mail", "count")
    return PostgresWorld(bullmq, server, directory)


@pytest.fixture
async def pg_world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[PostgresWorld]:
    """A world that a test has for itself."""
    opened = await make_world(request, tmp_path)
    yield opened
    await opened.close()
