"""The SQL engine over tables that people had before us: other names, uuids, an enum, no counters.

No priority default, no attempts table, no `updated_at`; due times without a zone.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

import servers
from contract.fleet import WorkerFleet
from contract.harness import DirectToolbox, Outcome, Run
from contract.sql_harness import SOURCE, postgres_stopped
from quarterdeck.queues.model import JobRef
from quarterdeck.state import Database, open_database

TABLES = """
CREATE TYPE task_state AS ENUM ('pending', 'processing', 'done', 'broken');
CREATE TABLE topics (topic varchar(250) PRIMARY KEY, enabled boolean NOT NULL DEFAULT true);
CREATE TABLE tasks (
  task_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  topic varchar(250) NOT NULL REFERENCES topics,
  state task_state NOT NULL DEFAULT 'pending',
  prio smallint,
  body json NOT NULL,
  tries integer NOT NULL DEFAULT 0,
  due timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc'),
  began timestamptz, ended timestamptz, broke timestamptz,
  problem text,
  born timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON tasks (topic, state, born)
"""

OPTIONS: dict[str, Any] = {
    "tables": {"queues": "topics", "jobs": "tasks", "logs": ""},
    "columns": {
        "queues": {"name": "topic", "is_active": "enabled"},
        "jobs": {
            "id": "task_id",
            "queue_name": "topic",
            "status": "state",
            "payload": "body",
            "created_at": "born",
            "priority": "prio",
            "attempt_count": "tries",
            "run_at": "due",
            "started_at": "began",
            "completed_at": "ended",
            "failed_at": "broke",
            "last_error_message": "problem",
        },
    },
    "statuses": {
        "waiting": ["pending"],
        "active": ["processing"],
        "completed": ["done"],
        "failed": ["broken"],
    },
}

_TOPIC = text("INSERT INTO topics (topic) VALUES (:topic) ON CONFLICT DO NOTHING")
_TASK = text(
    "INSERT INTO tasks (topic, prio, body) VALUES (:topic, :prio, CAST(:body AS json)) "
    "RETURNING task_id"
)


class ForeignHarness:
    """Somebody's own producers and workers; the engine gets a map of columns."""

    def __init__(
        self, url: str, database: Database, directory: Path, server: servers.PostgresServer
    ) -> None:
        self.engine = DirectToolbox().build("sql", SOURCE, {"url": url, **OPTIONS})
        self.database = database
        self._server = server
        self._fleet = WorkerFleet("foreign_worker.py", url, directory)

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
        return (await self._insert(queue_name, [content], priority))[0]

    async def enqueue_many(
        self, queue_name: str, count: int, *, priority: int = 100, outcome: Outcome = Outcome.OK
    ) -> list[JobRef]:
        """See `EngineHarness`."""
        contents = [{"number": number, "outcome": outcome} for number in range(count)]
        return await self._insert(queue_name, contents, priority)

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
        spoil = text("UPDATE tasks SET body = CAST(:raw AS json) WHERE task_id = CAST(:id AS uuid)")
        await self.database.write(
            lambda connection: connection.execute(spoil, {"raw": raw, "id": ref.id}).rowcount
        )
        return raw

    @asynccontextmanager
    async def source_gone(self) -> AsyncIterator[None]:
        """The server is stopped."""
        async with postgres_stopped(self._server):
            yield

    async def _insert(
        self, topic: str, contents: list[dict[str, Any]], priority: int
    ) -> list[JobRef]:
        def insert(connection: Connection) -> list[str]:
            connection.execute(_TOPIC, {"topic": topic})
            rows = [
                {"topic": topic, "prio": priority, "body": json.dumps(content)}
                for content in contents
            ]
            return [str(connection.execute(_TASK, row).scalar_one()) for row in rows]

        return [JobRef(SOURCE, task_id) for task_id in await self.database.write(insert)]


@asynccontextmanager
async def open_foreign(
    request: pytest.FixtureRequest, directory: Path
) -> AsyncIterator[ForeignHarness]:
    """A fresh PostgreSQL database with somebody's own tables."""
    server: servers.PostgresServer = request.getfixturevalue("postgres_server")
    url = await asyncio.to_thread(server.create_database)
    database = open_database(url, "harness")

    def create(connection: Connection) -> None:
        for statement in TABLES.split(";\n"):
            connection.execute(text(statement))

    await database.write(create)
    harness = ForeignHarness(url, database, directory, server)
    yield harness
    await harness.engine.close()
    await database.close()
