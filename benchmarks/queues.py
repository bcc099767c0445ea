"""What queue answers cost as jobs grow: `python benchmarks/queues.py [--jobs 10000 1000000]`.

Through the SQL engine, one call after another, warm: 50 queues, the biggest of which holds half of
all jobs and is the one whose pages are read. Prints medians and how they grow. The target is at
most twice the time at a hundred times the jobs, and less than 10 ms on SQLite.
"""

import asyncio
import sys
import time
from argparse import ArgumentParser
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, text

from quarterdeck.app.composition import MIGRATIONS
from quarterdeck.app.engines import Toolbox
from quarterdeck.queues.model import JobState
from quarterdeck.queues.ports import Engine
from quarterdeck.state import migrate, open_database
from quarterdeck.work.store import WorkStore

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import servers

QUEUES = 50
ROUNDS = 100
BIGGEST = "queue:queue-0"
TARGET_RATIO, TARGET_MS = 2.0, 10.0

# Of a hundred jobs 93 are completed, 4 wait, 2 have failed and one runs; completed over two hours.
_KIND = "(i / 2 % 100)"
_STATUS = f"""CASE WHEN {_KIND} < 93 THEN 'completed' WHEN {_KIND} < 97 THEN 'queued'
  WHEN {_KIND} < 99 THEN 'failed' ELSE 'running' END"""
_NUMBERS = {
    "sqlite": "WITH RECURSIVE numbers (i) AS "
    "(SELECT :first UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < :behind)",
    "postgresql": "WITH numbers AS (SELECT generate_series(CAST(:first AS integer), "
    "CAST(:behind AS integer) - 1) AS i)",
}
_IDS = {
    "sqlite": "printf('%032x', i * 2654435761 % 4294967296)",
    "postgresql": "md5(i::text)",
}
_BEFORE = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now', '-' || ({seconds}) || ' seconds') || '000'",
    "postgresql": "now() - ({seconds}) * interval '1 second'",
}


def fill(first: int, behind: int, spread: int, connection: Connection) -> None:
    """Jobs `first` to `behind`; `spread` jobs fill two hours."""
    dialect = connection.dialect.name
    age = f"(7200.0 * ({spread} - i) / {spread})"
    at = _BEFORE[dialect].format(seconds=age)
    insert = f"""
INSERT INTO jobs (id, queue_name, status, priority, payload, run_at, created_at, updated_at,
  started_at, completed_at, failed_at, last_error_message)
{_NUMBERS[dialect]}
SELECT {_IDS[dialect]}, 'queue-' || (CASE WHEN i % 2 = 0 THEN 0 ELSE i / 2 % {QUEUES} END),
  {_STATUS}, CASE WHEN i % 2 = 0 THEN 100 ELSE 20 + 70 * (i / 200 % 3) END,
  '{{"to": "someone@example.com", "template": "welcome", "campaign": 4711}}',
  {at}, {at}, {at}, {at},
  CASE WHEN {_KIND} < 93 THEN {at} END, CASE WHEN {_KIND} BETWEEN 97 AND 98 THEN {at} END,
  CASE WHEN {_KIND} BETWEEN 97 AND 98 THEN '421 4.7.0 too many connections' END
FROM numbers"""
    connection.execute(text(insert), {"first": first, "behind": behind})


async def prepare(url: str, jobs: int) -> None:
    """A migrated database with so many jobs."""
    await asyncio.to_thread(migrate, url, MIGRATIONS)
    database = open_database(url, "bench")
    names = [{"name": f"queue-{number}"} for number in range(QUEUES)]
    insert = text("INSERT INTO job_queues (name) VALUES (:name)")
    await database.write(lambda connection: connection.execute(insert, names).rowcount)
    step = 20_000
    for first in range(0, jobs, step):
        await database.write(partial(fill, first, min(first + step, jobs), jobs))
    # What workers and autovacuum do on a database that is in use.
    await WorkStore(database).fold_counts()
    await database.write(lambda connection: connection.execute(text("ANALYZE")).rowcount)
    await database.close()


Ask = Callable[[], Awaitable[object]]


async def medians_ms(asks: Sequence[Ask]) -> list[float]:
    """Milliseconds of each call. They take turns, so that a busy machine slows all alike."""
    taken: list[list[float]] = [[] for _ in asks]
    for round_ in range(ROUNDS + 5):
        for ask, times in zip(asks, taken, strict=True):
            start = time.perf_counter_ns()
            await ask()
            if round_ >= 5:
                times.append((time.perf_counter_ns() - start) / 1e6)
    return [median(times) for times in taken]


async def asks_of(engine: Engine) -> dict[str, Ask]:
    """Every kind of answer."""
    snapshot = await engine.snapshot()
    assert len({queue.name.split(":")[1] for queue in snapshot}) == QUEUES
    found = await engine.find_queue(BIGGEST)
    assert found is not None
    queue = found[0]
    asks: dict[str, Ask] = {"snapshot of 50 queues": engine.snapshot}
    for state in (None, *JobState):
        page = await engine.list_jobs(queue, state, 50, 0)
        assert len(page.items) == 50
        what = f"page of 50, {state.value if state else 'all'}"
        asks[what] = partial(engine.list_jobs, queue, state, 50, 0)
    total = (await engine.list_jobs(queue, None, 1, 0)).total
    asks["last page, all"] = partial(engine.list_jobs, queue, None, 50, total - 50)
    return asks


async def measure(urls: Sequence[str], sizes: Sequence[int]) -> dict[str, list[float]]:
    """Fill a database for each size, then measure them side by side."""
    for url, jobs in zip(urls, sizes, strict=True):
        started = time.monotonic()
        await prepare(url, jobs)
        took = time.monotonic() - started
        print(f"{url.split(':')[0]}: {jobs:,} jobs in {took:.0f} s", flush=True)
    engines = [Toolbox().build("sql", "bench", {"url": url}) for url in urls]
    asks = [await asks_of(engine) for engine in engines]
    found = {what: await medians_ms([each[what] for each in asks]) for what in asks[0]}
    for engine in engines:
        await engine.close()
    return found


def report(dialect: str, sizes: Sequence[int], found: dict[str, list[float]]) -> None:
    """Print the table of one database."""
    table = Table(title=f"SQL engine on {dialect}, median of {ROUNDS} in ms")
    for heading in ("answer", *(f"{jobs:,} jobs" for jobs in sizes), "ratio", "target met"):
        table.add_column(heading, justify="left" if heading == "answer" else "right")
    for what, (before, after) in found.items():
        is_met = after <= TARGET_RATIO * before and (dialect != "sqlite" or after < TARGET_MS)
        numbers = (f"{before:.2f}", f"{after:.2f}", f"{after / before:.2f}")
        table.add_row(what, *numbers, "yes" if is_met else "NO")
    Console(width=100).print(table)


async def main(sizes: Sequence[int]) -> None:
    """Both databases at both sizes."""
    with TemporaryDirectory() as directory, servers.postgres() as server:
        files = [f"sqlite:///{directory}/{jobs}.sqlite3" for jobs in sizes]
        report("sqlite", sizes, await measure(files, sizes))
        databases = [server.create_database() for _ in sizes]
        report("postgresql", sizes, await measure(databases, sizes))


if __name__ == "__main__":
    parser = ArgumentParser()
    parser.add_argument("--jobs", type=int, nargs=2, default=(10_000, 1_000_000))
    asyncio.run(main(parser.parse_args().jobs))
