"""`job_counts` always says what counting would say, whoever changed the rows and however."""

import asyncio
import random
from collections import Counter

import pytest

from quarterdeck.state import Database
from quarterdeck.work.model import NewJob
from quarterdeck.work.store import WorkStore
from quarterdeck.work.tables import Metric
from workers.support import ManualClock, execute, rows

COUNTED = "SELECT queue_name, band, phase, count(*) FROM jobs GROUP BY 1, 2, 3"
KEPT = (
    "SELECT queue_name, band, metric, sum(n) FROM job_counts WHERE metric < 4 "
    "GROUP BY 1, 2, 3 HAVING sum(n) <> 0"
)
FOREIGN = (
    "UPDATE jobs SET status = 'queued', attempt_count = 0 WHERE status = 'failed'",
    "UPDATE jobs SET priority = priority + 60 WHERE status = 'queued'",
    "UPDATE jobs SET queue_name = 'b' WHERE queue_name = 'a' AND priority > 120",
    "UPDATE jobs SET payload = payload",
    "DELETE FROM jobs WHERE status IN ('failed', 'completed')",
    "DELETE FROM jobs WHERE priority < 20",
    "UPDATE jobs SET status = 'migrated_to_redis' WHERE status = 'queued' AND priority > 150",
    "INSERT INTO jobs (id, queue_name, status, priority) SELECT 'copy-' || id, queue_name, "
    "'failed', 10 FROM jobs WHERE id NOT LIKE 'copy-%' AND status = 'completed' "
    "ON CONFLICT DO NOTHING",
)


async def assert_exact(database: Database) -> None:
    counted, kept = await asyncio.gather(rows(database, COUNTED), rows(database, KEPT))
    assert sorted(kept) == sorted(counted)


async def step(
    store: WorkStore, database: Database, dice: random.Random, seen: Counter[str]
) -> None:
    """One random operation; `seen` counts the jobs that ended."""
    match dice.randrange(8):
        case 0 | 1:
            jobs = [NewJob(0, dice.randrange(200), None, dice.randrange(1, 3)) for _ in range(9)]
            await store.enqueue_many(dice.choice("ab"), jobs)
        case 2 | 3 | 4:
            for job in await store.claim(["a", "b"], "w", 30, dice.randrange(1, 6)):
                if dice.random() < 0.6:
                    seen["completed"] += await store.complete(job)
                elif dice.random() < 0.8:
                    seen[str(await store.fail(job, "no", None))] += 1
        case 5:
            if found := await rows(database, "SELECT max(id) FROM jobs WHERE status = 'queued'"):
                seen["failed"] += await store.cancel(str(found[0][0]))
        case 6:
            await store.fold_counts()
        case 7:
            await execute(database, dice.choice(FOREIGN))


@pytest.mark.parametrize("seed", range(3))
async def test_counts_are_exact_after_any_operations(database: Database, seed: int) -> None:
    clock = ManualClock()
    store = WorkStore(database, clock, backoff=lambda _: 0)
    await store.ensure_queue("a")
    await store.ensure_queue("b")
    dice, seen = random.Random(seed), Counter[str]()
    for number in range(80):
        await step(store, database, dice, seen)
        clock.advance(1)
        if number % 8 == 0:
            await assert_exact(database)
    await store.fold_counts()
    await assert_exact(database)


async def test_minutes_count_what_ended_in_them_though_the_jobs_are_gone(
    database: Database,
) -> None:
    clock = ManualClock()
    clock.now = clock.now.replace(second=59, microsecond=900_000)  # rounding would be a minute late
    store = WorkStore(database, clock)
    await store.enqueue_many("q", [NewJob(n) for n in range(7)])
    for number, job in enumerate(await store.claim(["q"], "w", 3600, 7)):
        if number == 4:
            clock.advance(1)
        if number % 2:
            await store.fail(job, "no", None, retry=False)
        else:
            await store.complete(job)
    await execute(database, "DELETE FROM jobs")
    minute = int(clock.now.timestamp()) // 60
    found = await rows(
        database,
        "SELECT metric, minute, sum(n) FROM job_counts WHERE metric >= 4 "
        "GROUP BY metric, minute ORDER BY metric, minute",
    )
    completed, failed = Metric.COMPLETED_IN_MINUTE, Metric.FAILED_IN_MINUTE
    assert found == [
        (completed, minute - 1, 2), (completed, minute, 2),
        (failed, minute - 1, 2), (failed, minute, 1),
    ]  # fmt: skip


async def test_counts_are_exact_with_writers_at_once(database: Database) -> None:
    store = WorkStore(database, backoff=lambda _: 0)
    await store.ensure_queue("a")
    await store.ensure_queue("b")
    seen = Counter[str]()

    async def write(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(25):
            await step(store, database, dice, seen)

    await asyncio.gather(*map(write, range(6)))
    await assert_exact(database)
    await store.fold_counts()
    await assert_exact(database)
