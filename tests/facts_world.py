"""Stores of facts for tests: helpers. The fixtures are in `facts_fixtures.py`."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct

from quarterdeck.facts import Facts, Insert
from quarterdeck.facts.server import ServerFacts
from quarterdeck.facts.statements import name as quoted_name
from servers import wait_for_port

HERE = Path(__file__).parent

LINES = """
CREATE TABLE lines (at DateTime64(6, 'UTC'), n UInt64, text String) ENGINE = MergeTree
PARTITION BY toDate(at) ORDER BY n
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1
"""
LINE_COLUMNS = {"at": "DateTime64(6, 'UTC')", "n": "UInt64", "text": "String"}


class Count(Struct):
    n: int


@dataclass
class Front:
    """The process behind `ServerFacts`; see `clickhouse_front.py` for what it is."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "clickhouse_front.py"), str(self.port), str(self.directory)]
        )
        wait_for_port(self.port, self.process)

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()


@asynccontextmanager
async def server_facts(server: Front) -> AsyncIterator[ServerFacts]:
    """An empty store on the server."""
    opened = ServerFacts(server.url)
    await empty(opened)
    try:
        yield opened
    finally:
        await opened.close()


async def empty(facts: Facts) -> None:
    """Drop every table of the default database."""
    sql = "SELECT name FROM system.tables WHERE database = 'default'"
    for table in await facts.fetch(sql, dict[str, str]):
        await facts.execute(f"DROP TABLE {quoted_name(table['name'])} SYNC")


async def count(facts: Facts, sql: str = "SELECT count() AS n FROM lines", **params: Any) -> int:
    """The one number that `sql` gives as `n`."""
    (row,) = await facts.fetch(sql, Count, params)
    return row.n


def lines(first: int, number: int, token: str, day: str = "2026-11-24", text: str = "x") -> Insert:
    """`number` rows of the table `lines`, numbered from `first`."""
    at = f"{day}T10:00:00.000001Z"
    rows = [json.dumps([at, n, text]).encode() + b"\n" for n in range(first, first + number)]
    half = len(rows) // 2
    pieces = (b"".join(rows[:half]), b"".join(rows[half:]))
    return Insert("lines", LINE_COLUMNS, pieces, number, token)


async def running_queries(facts: Facts, mark: str) -> int:
    """How many queries whose text has `mark` the engine runs now, besides this one."""
    sql = (
        "SELECT count() AS n FROM system.processes "
        "WHERE position(query, {mark:String}) > 0 AND position(query, 'system.processes') = 0"
    )
    return await count(facts, sql, mark=mark)


async def until(facts: Facts, mark: str, number: int, seconds: float = 30) -> None:
    """Wait until exactly `number` queries with `mark` run."""
    async with asyncio.timeout(seconds):
        while await running_queries(facts, mark) != number:
            await asyncio.sleep(0.005)


@contextmanager
def worker(command: str, directory: Path, *wrapper: str) -> Iterator[subprocess.Popen[str]]:
    """Run `workers/facts_worker.py` in a fresh interpreter: chDB does not survive a fork."""
    script = str(HERE / "workers" / "facts_worker.py")
    process = subprocess.Popen(
        [*wrapper, sys.executable, script, command, str(directory)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The next thing that a worker says."""
    assert process.stdout
    fact: dict[str, Any] = json.loads(process.stdout.readline())
    return fact


def finish(process: subprocess.Popen[str]) -> None:
    """Let a worker go on to its end, which must be a good one."""
    process.communicate("\n", timeout=30)
    assert process.returncode == 0
