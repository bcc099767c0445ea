"""What the tests of `work` share: a clock to turn, looks into the tables, real worker processes."""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

import servers
from quarterdeck.state import Database
from quarterdeck.work.store import WorkStore

WORKER = Path(__file__).parent / "worker.py"


class ManualClock:
    """A clock that stands until it is turned."""

    def __init__(self) -> None:
        self.now = datetime(2025, 12, 4, 10, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


async def rows(database: Database, query: str, **values: object) -> list[tuple[Any, ...]]:
    """The result of a plain query."""
    return await database.read(lambda c: [tuple(r) for r in c.execute(text(query), values)])


async def execute(database: Database, statement: str, **values: object) -> None:
    """Run a plain statement, as somebody else's program would."""
    await database.write(lambda c: c.execute(text(statement), values).rowcount)


async def drain(store: WorkStore, names: Sequence[str], limit: int = 1) -> list[Any]:
    """Claim until nothing is left; gives the payloads' `n` in the order of the claims."""
    found = []
    while claimed := await store.claim(names, "drain", 30, limit):
        found += [job.payload["n"] for job in claimed]
    return found


async def statuses(database: Database) -> dict[str, int]:
    """How many jobs have each status."""
    found = await rows(database, "SELECT status, count(*) FROM jobs GROUP BY status")
    return {str(status): int(n) for status, n in found}


def cost(connection: Connection, query: Callable[[], object]) -> int:
    """What a query makes the database do: the same for the same work, on any machine."""
    count = _count_steps if connection.dialect.name == "sqlite" else _count_rows_read
    return count(connection, query)


def _count_steps(connection: Connection, query: Callable[[], object]) -> int:
    """How many instructions SQLite's virtual machine runs for a query."""
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    raw = connection.connection.driver_connection
    assert raw is not None
    raw.set_progress_handler(step, 1)
    query()
    raw.set_progress_handler(None, 0)
    return steps


def _count_rows_read(connection: Connection, query: Callable[[], object]) -> int:
    """How many rows and index entries of `jobs` PostgreSQL reads for a query."""
    read = text(
        "SELECT t.seq_tup_read + t.idx_tup_fetch "
        "+ sum(pg_stat_get_xact_tuples_returned(i.indexrelid))"
        " FROM pg_stat_xact_user_tables t JOIN pg_index i ON i.indrelid = t.relid"
        " WHERE t.relname = 'jobs' GROUP BY t.relid, t.seq_tup_read, t.idx_tup_fetch"
    )
    before = connection.execute(read).scalar_one()
    query()
    return int(connection.execute(read).scalar_one() - before)


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    """Return once the condition holds; fail when it does not in time."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.05)


@contextmanager
def worker_process(url: str, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A real worker of its own process (`workers/worker.py`), gone at the end of the block."""
    with servers.running([sys.executable, str(WORKER), url, *arguments]) as process:
        yield process
