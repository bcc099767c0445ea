"""SQL engines for tests: over the documented tables, or over tables that people already have."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from contract.harness import DirectToolbox
from quarterdeck.config import decode_options
from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.queues.adapters.sql import SqlEngine
from quarterdeck.queues.model import JobRef, QueueRef
from quarterdeck.state import Database

SOURCE = "platform"


@asynccontextmanager
async def sql_engine(url: str, clock: Clock = utc_now, **options: Any) -> AsyncIterator[SqlEngine]:
    """An engine with these settings; closed at the end of the block."""
    given = {"name": SOURCE, "url": url, **options}
    decoded = decode_options(given, SqlEngine.Options, "queues.sources[0]")
    engine = SqlEngine(SOURCE, decoded, DirectToolbox(), clock)
    yield engine
    await engine.close()


async def run(database: Database, *statements: str, **values: Any) -> None:
    """Execute these statements in one transaction."""

    def change(connection: Connection) -> None:
        for statement in statements:
            known = {key: value for key, value in values.items() if f":{key}" in statement}
            connection.execute(text(statement), known)

    await database.write(change)


async def queue_of(engine: SqlEngine, name: str) -> QueueRef:
    """A queue that must be there."""
    found = await engine.find_queue(name)
    assert found is not None, name
    return found[0]


def job(job_id: str) -> JobRef:
    """A job of the source."""
    return JobRef(SOURCE, job_id)


def clock_at(moment: datetime) -> Callable[[], datetime]:
    """A clock that stands still."""
    return lambda: moment
