"""What durable work costs: `python benchmarks/work.py [--jobs 50000]`.

Prints a table with the targets and, beside what was measured on SQLite, what this disk can do at
most: one row of a bare table for each durable transaction. PostgreSQL runs without fsync, on four
worker processes.
"""

import asyncio
import os
import sqlite3
import sys
import time
from argparse import ArgumentParser
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from quarterdeck.app import MIGRATIONS
from quarterdeck.core.clock import utc_now
from quarterdeck.state import Database, migrate, open_database
from quarterdeck.work.model import NewJob
from quarterdeck.work.store import WorkStore
from quarterdeck.work.worker import JobContext, Worker, WorkerOptions

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import servers

PAYLOAD = {"to": "someone@example.com", "template": "welcome", "campaign": 4711, "locale": "en"}
ONE_BY_ONE = 3000
BATCHED = 50_000
WORKED = 4000
WORKERS = 4
DELAYED = 100_000
CLAIMS = 300


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table."""

    what: str
    target: str
    measured: str
    ok: bool | None = None


def rate(what: str, target: int, count: int, seconds: float) -> Line:
    """A line about jobs a second."""
    measured = count / seconds
    return Line(what, f">= {target:,}/s", f"{measured:,.0f}/s", measured >= target)


def limits(directory: Path) -> list[Line]:
    """What the disk and SQLite itself can do."""
    lines = []
    descriptor = os.open(directory / "raw", os.O_RDWR | os.O_CREAT)
    started = time.perf_counter()
    for _ in range(1000):
        os.write(descriptor, b"x" * 4096)
        os.fdatasync(descriptor)
    seconds = time.perf_counter() - started
    os.close(descriptor)
    lines.append(Line("limit: append 4 KiB and fdatasync", "", f"{1000 / seconds:,.0f}/s"))
    bare = sqlite3.connect(directory / "bare.sqlite3", isolation_level=None)
    bare.execute("PRAGMA journal_mode=WAL")
    bare.execute("PRAGMA synchronous=FULL")
    bare.execute("CREATE TABLE jobs (id integer PRIMARY KEY, payload text)")
    started = time.perf_counter()
    for _ in range(1000):
        bare.execute("INSERT INTO jobs (payload) VALUES (?)", (str(PAYLOAD),))
    seconds = time.perf_counter() - started
    bare.close()
    lines.append(Line("limit: bare SQLite insert, durable", "", f"{1000 / seconds:,.0f}/s"))
    return lines


async def enqueueing(store: WorkStore) -> list[Line]:
    """One by one, by 32 callers at once, and in batches of a thousand."""
    started = time.perf_counter()
    for _ in range(ONE_BY_ONE):
        await store.enqueue("single", PAYLOAD)
    single = time.perf_counter() - started

    async def caller() -> None:
        for _ in range(ONE_BY_ONE // 32):
            await store.enqueue("crowd", PAYLOAD)

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(32)))
    crowd = time.perf_counter() - started
    started = time.perf_counter()
    for _ in range(BATCHED // 1000):
        await store.enqueue_many("batch", [NewJob(PAYLOAD)] * 1000)
    batched = time.perf_counter() - started
    return [
        rate("SQLite: enqueue one by one", 1000, ONE_BY_ONE, single),
        rate("SQLite: enqueue, 32 callers at once", 1000, ONE_BY_ONE // 32 * 32, crowd),
        rate("SQLite: enqueue_many by 1,000", 10_000, BATCHED, batched),
    ]


async def work(store: WorkStore, queue: str, concurrency: int, enough: int) -> tuple[int, float]:
    """Run jobs that do nothing until `enough` are done; gives their number and the seconds."""
    done, stop = 0, asyncio.Event()

    async def count(_: JobContext) -> None:
        nonlocal done
        done += 1
        if done >= enough:
            stop.set()

    started = time.perf_counter()
    await Worker(store, {queue: count}, WorkerOptions(concurrency=concurrency)).run(stop)
    return done, time.perf_counter() - started


async def claim_ms(store: WorkStore, queue: str) -> float:
    """Median milliseconds of a claim that finds a job."""
    await store.enqueue_many(queue, [NewJob(PAYLOAD, 100)] * CLAIMS)
    taken = []
    for _ in range(CLAIMS):
        started = time.perf_counter()
        assert await store.claim([queue], "bench", 3600)
        taken.append(time.perf_counter() - started)
    return median(taken) * 1000


async def claim_cost(store: WorkStore, engine: str) -> Line:
    """A claim with nothing in front of its job, and with many delayed ones of more urgency."""
    alone = await claim_ms(store, "alone")
    later = utc_now() + timedelta(days=1)
    for _ in range(DELAYED // 10_000):
        await store.enqueue_many("behind", [NewJob(PAYLOAD, 1, later)] * 10_000)
    behind = await claim_ms(store, "behind")
    return Line(
        f"{engine}: claim behind {DELAYED:,} delayed jobs",
        "<= 2 x",
        f"{behind:.2f} ms, alone {alone:.2f} ms",
        behind <= 2 * alone,
    )


async def on_sqlite(url: str) -> list[Line]:
    """All lines about SQLite."""
    database = open_database(url, "state")
    store = WorkStore(database)
    lines = await enqueueing(store)
    for concurrency in (1, 4, 16):
        await store.enqueue_many(f"work{concurrency}", [NewJob(PAYLOAD)] * WORKED)
        done, seconds = await work(store, f"work{concurrency}", concurrency, WORKED)
        what = f"SQLite: claim and complete, one worker, {concurrency} slots"
        lines.append(rate(what, 500, done, seconds))
    lines.append(await claim_cost(store, "SQLite"))
    await database.close()
    return lines


async def on_postgres(url: str, jobs: int) -> list[Line]:
    """All lines about PostgreSQL."""
    database = open_database(url, "state")
    store = WorkStore(database)
    started = time.perf_counter()
    await store.enqueue_many("shared", [NewJob(PAYLOAD)] * jobs)
    lines = [rate("PostgreSQL: enqueue_many", 10_000, jobs, time.perf_counter() - started)]
    started = time.perf_counter()
    children = [
        await asyncio.create_subprocess_exec(
            sys.executable, __file__, "--worker", url, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(WORKERS)
    ]
    outputs = [(await child.communicate())[0] for child in children]
    seconds = time.perf_counter() - started
    ran = sum(map(int, outputs))
    again = "SELECT count(*) - count(DISTINCT job_id) FROM job_logs"
    twice = await database.read(lambda c: int(c.execute(text(again)).scalar_one()))
    each = ", ".join(f"{int(output):,}" for output in outputs)
    measured = f"{ran / seconds:,.0f}/s"
    lines += [
        Line(f"PostgreSQL: {jobs:,} jobs, {WORKERS} worker processes", "", measured),
        Line("  run by each of them", "", each),
        Line("  run twice, or not at all", "0, 0", f"{twice}, {jobs - ran + twice}",
             twice == 0 and ran == jobs),
        await counts_read(database),
        await claim_cost(store, "PostgreSQL"),
    ]  # fmt: skip
    await database.close()
    return lines


async def counts_read(database: Database) -> Line:
    """Reading all counters right after that storm."""
    query = text("SELECT queue_name, band, metric, minute, n FROM job_counts")
    taken = []
    for _ in range(50):
        started = time.perf_counter()
        await database.read(lambda c: c.execute(query).all())
        taken.append((time.perf_counter() - started) * 1000)
    return Line("  reading all counters afterwards", "<= 10 ms", f"{median(taken):.2f} ms",
                median(taken) <= 10)  # fmt: skip


async def be_a_worker(url: str) -> None:
    """Work until the queue is empty, and print how many jobs this process ran."""
    database = open_database(url, "state")
    store = WorkStore(database)
    ran, stop = 0, asyncio.Event()

    async def count(_: JobContext) -> None:
        nonlocal ran
        ran += 1

    async def watch() -> None:
        left = text("SELECT sum(n) FROM job_counts WHERE queue_name = 'shared' AND metric < 2")
        while await database.read(lambda c: c.execute(left).scalar_one()):
            await asyncio.sleep(0.5)
        stop.set()

    options = WorkerOptions(concurrency=8)
    await asyncio.gather(watch(), Worker(store, {"shared": count}, options).run(stop))
    await database.close()
    print(ran)


def measure(run: Callable[[str], Awaitable[list[Line]]], url: str) -> list[Line]:
    """Migrate the database at `url`, and run a set of measurements on it."""
    migrate(url, MIGRATIONS)

    async def measured() -> list[Line]:
        return await run(url)

    return asyncio.run(measured())


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=50_000, help="jobs on PostgreSQL")
    parser.add_argument("--worker", metavar="URL", help="be one of the worker processes")
    arguments = parser.parse_args()
    if arguments.worker:
        asyncio.run(be_a_worker(arguments.worker))
        return
    with TemporaryDirectory() as directory, servers.postgres() as server:
        lines = limits(Path(directory))
        lines += measure(on_sqlite, f"sqlite:///{directory}/state.sqlite3")
        lines += measure(lambda url: on_postgres(url, arguments.jobs), server.create_database())
    table = Table("what", "target", "measured", "")
    for line in lines:
        verdict = {True: "ok", False: "MISSED", None: ""}[line.ok]
        table.add_row(line.what, line.target, line.measured, verdict)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
