"""Housekeeping: leases of the dead, retention, small counters."""

import asyncio
from datetime import timedelta

import pytest

from quarterdeck.state import Database
from quarterdeck.work.model import JobStatus, NewJob
from quarterdeck.work.settling import CANCELLED
from quarterdeck.work.store import WorkStore
from workers.support import ManualClock, execute, rows, statuses


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(database: Database, clock: ManualClock) -> WorkStore:
    return WorkStore(database, clock, backoff=lambda attempt: 10.0 * attempt)


async def test_expired_job_is_queued_again_and_the_attempt_recorded(
    store: WorkStore, database: Database, clock: ManualClock
) -> None:
    job_id = await store.enqueue("q", 1)
    await store.claim(["q"], "dead", 30)
    clock.advance(29)
    assert await store.reap_expired() == 0
    clock.advance(2)
    assert await store.reap_expired() == 1
    message = "lease expired: the worker dead stopped answering"
    log = "SELECT attempt_number, status, log_message, duration_ms FROM job_logs"
    assert await rows(database, log) == [(1, "retry", message, 31_000)]
    job = await store.find_job(job_id)
    assert job is not None
    assert (job.status, job.locked_by, job.last_error_message) == (JobStatus.QUEUED, None, message)
    (again,) = await store.claim(["q"], "alive", 30)
    assert (again.id, again.attempt) == (job_id, 2)


async def test_job_that_kills_every_worker_ends_failed(
    store: WorkStore, database: Database, clock: ManualClock
) -> None:
    await store.enqueue("q", "poison", max_attempts=3)
    lives = 0
    while await store.claim(["q"], f"w{lives}", 30):
        lives += 1
        clock.advance(31)
        await store.reap_expired()
        clock.advance(1000)
    assert lives == 3
    assert await statuses(database) == {"failed": 1}
    log = "SELECT status FROM job_logs ORDER BY id"
    assert await rows(database, log) == [("retry",), ("retry",), ("failed",)]


async def test_cancelled_job_of_a_dead_worker_ends_failed(
    store: WorkStore, clock: ManualClock
) -> None:
    job_id = await store.enqueue("q", 1)
    await store.claim(["q"], "dead", 30)
    await store.cancel(job_id)
    clock.advance(31)
    await store.reap_expired()
    job = await store.find_job(job_id)
    assert job is not None
    assert (job.status, job.last_error_message) == (JobStatus.FAILED, CANCELLED)


async def test_two_reapers_at_once_take_each_job_once(
    store: WorkStore, database: Database, clock: ManualClock
) -> None:
    await store.enqueue_many("q", [NewJob(n) for n in range(450)])
    await store.claim(["q"], "dead", 30, 450)
    clock.advance(31)
    assert sum(await asyncio.gather(*(store.reap_expired() for _ in range(4)))) == 450
    assert await statuses(database) == {"queued": 450}
    assert await rows(database, "SELECT count(*) FROM job_logs WHERE status = 'retry'") == [(450,)]


async def test_retention_removes_only_what_ended_long_ago_with_its_traces(
    store: WorkStore, database: Database, clock: ManualClock
) -> None:
    await store.enqueue_many("q", [NewJob(n) for n in range(1100)])
    for number, job in enumerate(await store.claim(["q"], "w", 30, 1100)):
        if number < 20:
            await store.fail(job, "no", None, retry=False)
    done = "UPDATE jobs SET status = 'completed', completed_at = :at WHERE status = 'running'"
    at = clock.now if database.dialect == "postgresql" else clock.now.replace(tzinfo=None)
    await execute(database, done, at=at)
    clock.advance(3600)
    young = await store.enqueue("q", "young")
    (job,) = await store.claim(["q"], "w", 7200)
    await store.set_progress(young, total=1, done=1, failed=0)
    await store.complete(job)
    running = await store.enqueue("q", 1)
    clock.advance(1)
    waiting = await store.enqueue("q", 2)
    await store.claim(["q"], "w", 30, 1)
    clock.advance(60)
    keep = timedelta(minutes=30)
    assert sum(await asyncio.gather(*(store.remove_finished(keep) for _ in range(2)))) == 1100
    left = await rows(database, "SELECT id FROM jobs")
    assert set(left) == {(young,), (waiting,), (running,)}
    logged = await rows(database, "SELECT DISTINCT job_id FROM job_logs")
    assert set(logged) == {(young,), (running,)}
    clock.advance(3600)
    assert await store.remove_finished(keep) == 1
    assert await rows(database, "SELECT count(*) FROM job_progress") == [(0,)]


async def test_old_minutes_are_dropped_and_new_ones_kept(database: Database) -> None:
    store = WorkStore(database)
    await store.ensure_queue("q")
    hour_ago = "CURRENT_TIMESTAMP - interval '{} minutes'"
    if database.dialect == "sqlite":
        hour_ago = "datetime('now', '-{} minutes')"
    for minutes in (125, 5):
        await execute(
            database,
            "INSERT INTO jobs (id, queue_name, status, completed_at) "
            f"VALUES ('j{minutes}', 'q', 'completed', {hour_ago.format(minutes)})",
        )
    per_minute = "SELECT sum(n), count(*) FROM job_counts WHERE metric = 4"
    assert await rows(database, per_minute) == [(2, 2)]
    await store.fold_counts()
    await store.fold_counts()
    assert await rows(database, per_minute) == [(1, 1)]
    assert await rows(database, "SELECT n FROM job_counts WHERE metric = 2") == [(2,)]
    if database.dialect == "postgresql":
        assert await rows(database, "SELECT count(*) FROM job_count_deltas") == [(0,)]
