"""Counts of Procrastinate's queues: exact as events come in, and free of the number of jobs."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from contract.harness import DirectToolbox, eventually
from contract.procrastinate_harness import ProcrastinateHarness, open_procrastinate
from contract.questions import find, stats_of
from contract.sql_harness import SOURCE
from integration.sql_engines import run
from integration.test_sql_engine_plans import plan
from quarterdeck.core.clock import utc_now
from quarterdeck.core.pagination import TotalKind
from quarterdeck.queues.adapters.procrastinate import ProcrastinateEngine, census, follower, ledger
from quarterdeck.queues.model import JobState
from workers.support import ManualClock

FILL = """
INSERT INTO procrastinate_jobs (queue_name, task_name, status, args)
SELECT CASE i % 2 WHEN 0 THEN 'big' ELSE 'q' || (i % 20) END, 'task',
  (CASE WHEN i % 1000 < 990 THEN 'succeeded' WHEN i % 1000 < 996 THEN 'todo'
   WHEN i % 1000 < 999 THEN 'failed' ELSE 'doing' END)::procrastinate_job_status, '{}'
FROM generate_series(1, 40000) AS i"""
FILL_EVENTS = """
INSERT INTO procrastinate_events (job_id, type, at)
SELECT id, 'deferred', now() - interval '2 days' FROM procrastinate_jobs ORDER BY id"""


@pytest.fixture
async def harness(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[ProcrastinateHarness]:
    """Procrastinate's tables in a fresh database."""
    async with open_procrastinate(request, tmp_path) as opened:
        yield opened


async def fill(harness: ProcrastinateHarness, *statements: str) -> None:
    """Rows as they are after years, without their events: triggers are off."""
    off, on = (f"SET LOCAL session_replication_role = {role}" for role in ("replica", "origin"))
    await run(harness.database, off, *statements, on)
    await run(harness.database, "ANALYZE")


async def end(harness: ProcrastinateHarness, status: str, condition: str = "true") -> None:
    for step in ("doing", status):
        await run(
            harness.database, f"UPDATE procrastinate_jobs SET status = '{step}' WHERE {condition}"
        )


async def test_snapshot_is_one_statement_that_scans_no_jobs(harness: ProcrastinateHarness) -> None:
    await fill(harness, FILL, FILL_EVENTS)
    before = await harness.engine.snapshot()
    with recorded() as statements:
        after = await harness.engine.snapshot()
    assert after == before
    assert len(after) == 11
    stats = await stats_of(harness, "queue:big")
    assert (stats.waiting, stats.active, stats.failed) == (120, 0, 80)
    assert (await stats_of(harness, "queue:q19")).active == 40
    assert len(statements) == 1
    found = await plan(harness.database, statements[0])
    assert "Seq Scan on procrastinate" not in found, found


@contextmanager
def recorded() -> Iterator[list[tuple[str, Any]]]:
    """Every statement that is executed while the block runs, but for the time limit's."""
    statements: list[tuple[str, Any]] = []

    def note(*call: Any) -> None:
        if "statement_timeout" not in call[2]:
            statements.append((call[2], call[3]))

    event.listen(Engine, "before_cursor_execute", note)
    yield statements
    event.remove(Engine, "before_cursor_execute", note)


async def test_counts_follow_every_change_of_others(harness: ProcrastinateHarness) -> None:
    await harness.enqueue_many("mail", 20)

    async def counts() -> tuple[int | None, int | None, int | None, int | None]:
        stats = await stats_of(harness, "queue:mail")
        return stats.waiting, stats.active, stats.failed, stats.completed_last_hour

    assert await counts() == (20, 0, 0, 0)
    await end(harness, "failed", "id <= 6")
    assert await counts() == (14, 0, 6, 0)
    await end(harness, "succeeded", "id > 15")
    assert await counts() == (9, 0, 6, 5)
    await run(harness.database, "DELETE FROM procrastinate_jobs WHERE id <= 2")
    assert await counts() == (9, 0, 4, 5)
    async with harness.app.open_async():
        await harness.app.job_manager.retry_job_by_id_async(3, utc_now())
    assert await counts() == (10, 0, 3, 5)
    await end(harness, "failed", "id = 3")
    assert await counts() == (9, 0, 4, 5)


async def test_failure_that_is_committed_late_is_counted(harness: ProcrastinateHarness) -> None:
    await harness.enqueue_many("mail", 2)
    await end(harness, "doing")
    slow: Any = await asyncpg.connect(harness.url)
    transaction = slow.transaction()
    await transaction.start()
    await slow.execute("UPDATE procrastinate_jobs SET status = 'failed' WHERE id = 1")
    await run(harness.database, "UPDATE procrastinate_jobs SET status = 'failed' WHERE id = 2")
    assert (await stats_of(harness, "queue:mail")).failed == 1
    await transaction.commit()
    await slow.close()
    assert (await stats_of(harness, "queue:mail")).failed == 2


async def test_another_database_behind_the_same_url_is_counted_anew(
    harness: ProcrastinateHarness,
) -> None:
    await harness.enqueue_many("mail", 5)
    await end(harness, "failed")
    assert (await stats_of(harness, "queue:mail")).failed == 5
    await run(harness.database, "TRUNCATE procrastinate_jobs RESTART IDENTITY CASCADE")
    await harness.enqueue("mail")
    await end(harness, "failed")
    assert (await stats_of(harness, "queue:mail")).failed == 1


async def test_completed_last_hour_forgets_after_sixty_minutes(
    harness: ProcrastinateHarness,
) -> None:
    clock = ManualClock()
    options = ProcrastinateEngine.Options(name=SOURCE, url=harness.url)
    await harness.enqueue_many("mail", 5)
    await end(harness, "succeeded")
    for job_id, minutes in enumerate((0, 1, 59, 60, 61), 1):
        at = clock.now - timedelta(minutes=minutes)
        await run(
            harness.database,
            f"UPDATE procrastinate_events SET at = '{at.isoformat()}' WHERE job_id = {job_id}",
        )
    engine = ProcrastinateEngine(SOURCE, options, DirectToolbox(), clock)
    found = []
    for _ in range(3):
        stats = await engine.find_queue("queue:mail")
        assert stats is not None
        found.append(stats[1].completed_last_hour)
        clock.advance(60)
    await engine.close()
    assert found == [3, 2, 2]


async def test_oldest_waiting_is_due_and_not_merely_deferred(harness: ProcrastinateHarness) -> None:
    later = utc_now() + timedelta(hours=1)
    await harness.defer("mail", schedule_at=later)
    stats = await stats_of(harness, "queue:mail")
    assert (stats.waiting, stats.oldest_waiting_at) == (1, None)
    past = later - timedelta(hours=2)
    await harness.defer("mail", schedule_at=past)
    await harness.enqueue("mail")
    assert (await stats_of(harness, "queue:mail")).oldest_waiting_at == past


async def test_counts_stop_at_a_limit_and_say_so(harness: ProcrastinateHarness) -> None:
    jobs = "INSERT INTO procrastinate_jobs (queue_name, task_name, status) SELECT 'mail', 'task', "
    await fill(
        harness,
        f"{jobs} 'failed' FROM generate_series(1, {ledger.FAILED_LIMIT + 5})",
        f"{jobs} 'todo' FROM generate_series(1, {census.COUNT_LIMIT + 5})",
    )
    stats = await stats_of(harness, "queue:mail")
    assert (stats.failed, stats.waiting) == (ledger.FAILED_LIMIT, census.COUNT_LIMIT + 1)
    assert "More than 100000 jobs wait" in " ".join(stats.warnings)
    assert "more than 10000 failed" in " ".join(stats.warnings)
    assert (await stats_of(harness, "queue:mail:high")).waiting is None
    queue = await find(harness, "queue:mail")
    page = await harness.engine.list_jobs(queue, JobState.FAILED, 10, 10_000)
    assert (len(page.items), page.total, page.total_kind) == (5, 10_000, TotalKind.CAPPED)


async def test_failed_jobs_are_unknown_until_the_table_was_read(
    harness: ProcrastinateHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.enqueue_many("mail", 3)
    await end(harness, "failed")
    begin = asyncio.Event()
    read = harness.engine._access.read  # type: ignore[attr-defined]

    async def held(query: Any, timeout_s: float = 7) -> Any:
        if timeout_s == follower.SCAN_TIMEOUT_S:
            await begin.wait()
        return await read(query, timeout_s)

    monkeypatch.setattr(harness.engine._access, "read", held)  # type: ignore[attr-defined]
    monkeypatch.setattr(follower, "SCAN_PATIENCE_S", 0.01)
    stats = await stats_of(harness, "queue:mail")
    assert (stats.failed, stats.waiting) == (None, 0)
    assert "not counted yet" in " ".join(stats.warnings)
    queue = await find(harness, "queue:mail")
    assert (await harness.engine.list_jobs(queue, JobState.FAILED, 10, 0)).total == 3
    begin.set()

    async def is_known() -> bool:
        return (await stats_of(harness, "queue:mail")).failed == 3

    await eventually(is_known)
