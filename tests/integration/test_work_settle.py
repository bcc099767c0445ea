"""How attempts end: completed, failed, retried, cancelled; never by one that lost its lease."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import Connection

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.state import Database
from quarterdeck.work.claiming import extend_leases
from quarterdeck.work.model import ClaimedJob, JobStatus, NewJob, WorkJob
from quarterdeck.work.settling import CANCELLED, CANCELLED_WAITING, complete_job
from quarterdeck.work.store import WorkStore
from workers.support import ManualClock, cost, execute, rows

LOGS = "SELECT attempt_number, status, log_message, stack_trace, duration_ms FROM job_logs"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(database: Database, clock: ManualClock) -> WorkStore:
    return WorkStore(database, clock, backoff=lambda attempt: 10.0 * attempt)


async def claim(store: WorkStore, worker: str = "w") -> ClaimedJob:
    (job,) = await store.claim(["q"], worker, 30)
    return job


async def get(store: WorkStore, job_id: str) -> WorkJob:
    job = await store.find_job(job_id)
    assert job is not None
    return job


async def test_completed_job_keeps_its_times_and_closes_the_attempt(
    store: WorkStore, database: Database, clock: ManualClock
) -> None:
    job_id = await store.enqueue("q", 1)
    claimed = await claim(store)
    clock.advance(1.5)
    assert await store.complete(claimed) is True
    assert await store.complete(claimed) is False
    job = await get(store, job_id)
    assert (job.status, job.locked_by, job.lease_until) == (JobStatus.COMPLETED, None, None)
    assert job.completed_at == job.updated_at == clock.now
    assert await rows(database, LOGS) == [(1, "success", None, None, 1500)]


async def test_cost_of_an_end_does_not_grow_with_the_jobs_that_run(
    store: WorkStore, database: Database, clock: ManualClock
) -> None:
    await store.enqueue_many("q", [NewJob(n) for n in range(1500)])
    # What PostgreSQL knows of the table: nothing runs. So it takes running jobs for rare.
    await execute(database, "ANALYZE")
    jobs = await store.claim(["q"], "w", 30, 1500)

    def complete(connection: Connection) -> int:
        return cost(connection, lambda: complete_job(connection, jobs[700], clock()))

    def extend(connection: Connection) -> int:
        ids = [job.id for job in jobs[800:816]]
        return cost(connection, lambda: extend_leases(connection, "w", ids, clock()))

    # Rows read, or SQLite's many small steps: either way far less than one look at each job.
    most = 100 if database.dialect == "postgresql" else 3000
    assert await database.write(complete) < most
    assert await database.write(extend) < most


async def test_failed_attempts_are_retried_after_the_backoff_up_to_the_last(
    store: WorkStore, database: Database, clock: ManualClock
) -> None:
    job_id = await store.enqueue("q", 1, max_attempts=2)
    assert await store.fail(await claim(store), "refused", "Traceback: 1") is JobStatus.QUEUED
    job = await get(store, job_id)
    assert (job.status, job.last_error_message, job.last_error_trace) == (
        JobStatus.QUEUED, "refused", "Traceback: 1",
    )  # fmt: skip
    assert job.run_at == clock.now + timedelta(seconds=10)
    clock.advance(9)
    assert await store.claim(["q"], "w", 30) == []
    clock.advance(1)
    assert await store.fail(await claim(store), "refused again", None) is JobStatus.FAILED
    job = await get(store, job_id)
    assert (job.status, job.attempt_count, job.failed_at) == (JobStatus.FAILED, 2, clock.now)
    assert (job.last_error_message, job.last_error_trace) == ("refused again", None)
    clock.advance(1000)
    assert await store.claim(["q"], "w", 30) == []
    assert await rows(database, f"{LOGS} ORDER BY id") == [
        (1, "retry", "refused", "Traceback: 1", 0),
        (2, "failed", "refused again", None, 0),
    ]


async def test_failure_without_retry_is_final_at_once(store: WorkStore) -> None:
    await store.enqueue("q", 1, max_attempts=9)
    assert await store.fail(await claim(store), "no", None, retry=False) is JobStatus.FAILED


async def test_failure_text_that_no_database_takes_is_cleaned(store: WorkStore) -> None:
    job_id = await store.enqueue("q", 1)
    await store.fail(await claim(store), "a\x00b\ud800", "t" * 1_000_000 + "\x00the end")
    job = await get(store, job_id)
    assert job.last_error_message == "a\ufffdb\ufffd"
    assert job.last_error_trace is not None
    assert job.last_error_trace.endswith("\ufffdthe end")
    assert len(job.last_error_trace) < 70_000


async def test_zombie_can_neither_complete_nor_fail_what_another_runs(
    store: WorkStore, clock: ManualClock
) -> None:
    job_id = await store.enqueue("q", 1)
    zombie = await claim(store, "zombie")
    clock.advance(31)
    assert await store.reap_expired() == 1

    async def assert_powerless() -> None:
        before = await get(store, job_id)
        assert await store.complete(zombie) is False
        assert await store.fail(zombie, "late", None) is None
        assert await get(store, job_id) == before

    await assert_powerless()
    current = await claim(store, "zombie")  # even the same name does not help
    await assert_powerless()
    assert await store.complete(current) is True


async def test_late_worker_whose_job_nobody_took_may_still_complete(
    store: WorkStore, clock: ManualClock
) -> None:
    await store.enqueue("q", 1)
    job = await claim(store)
    clock.advance(1000)
    assert await store.complete(job) is True
    assert await store.reap_expired() == 0


async def test_complete_and_reap_at_once_agree(store: WorkStore, clock: ManualClock) -> None:
    for _ in range(20):
        job_id = await store.enqueue("q", 1)
        job = await claim(store)
        clock.advance(31)
        completed, reaped = await asyncio.gather(store.complete(job), store.reap_expired())
        assert (completed, reaped) in {(True, 0), (False, 1)}
        expected = JobStatus.COMPLETED if completed else JobStatus.QUEUED
        assert (await get(store, job_id)).status is expected
        await store.cancel(job_id)


async def test_cancelled_waiting_job_fails_and_never_runs(
    store: WorkStore, clock: ManualClock
) -> None:
    job_id = await store.enqueue("q", 1)
    assert await store.cancel(job_id) is True
    job = await get(store, job_id)
    assert (job.status, job.last_error_message) == (JobStatus.FAILED, CANCELLED_WAITING)
    assert job.failed_at == clock.now
    assert await store.claim(["q"], "w", 30) == []
    assert await store.cancel(job_id) is False
    assert await store.cancel("unknown") is False


async def test_cancelled_running_job_is_told_and_not_retried(
    store: WorkStore, database: Database
) -> None:
    job_id = await store.enqueue("q", 1, max_attempts=5)
    job = await claim(store)
    assert await store.cancel(job_id) is True
    assert (await store.heartbeat("w", [job_id], 30)).cancelled == {job_id}
    assert await store.find_cancelled([job_id, "other"]) == {job_id}
    assert await store.fail(job, "interrupted", None) is JobStatus.FAILED
    assert await rows(database, LOGS) == [(1, "failed", CANCELLED, None, 0)]
    assert await store.cancel(job_id) is False


async def test_cancel_and_claim_at_once_agree(store: WorkStore) -> None:
    for _ in range(20):
        job_id = await store.enqueue("q", 1)
        cancelled, claimed = await asyncio.gather(store.cancel(job_id), store.claim(["q"], "w", 30))
        job = await get(store, job_id)
        if claimed:
            assert job.status is JobStatus.RUNNING
            assert job.cancel_requested is cancelled
            await store.complete(claimed[0])
        else:
            assert (job.status, cancelled) == (JobStatus.FAILED, True)


async def test_heartbeat_extends_and_tells_what_is_lost(
    store: WorkStore, clock: ManualClock
) -> None:
    mine, done = await store.enqueue("q", 1), await store.enqueue("q", 2)
    (kept, finished) = await store.claim(["q"], "w", 30, 2)
    await store.complete(finished)
    clock.advance(20)
    heartbeat = await store.heartbeat("w", [mine, done, "gone"], 30)
    assert heartbeat.lost == {done, "gone"}
    assert not heartbeat.cancelled
    assert (await store.heartbeat("rival", [mine], 300)).lost == {mine}
    clock.advance(29)
    assert await store.reap_expired() == 0
    clock.advance(2)
    assert await store.reap_expired() == 1
    assert (await store.heartbeat("w", [kept.id], 30)).lost == {mine}


async def test_progress_is_kept_and_replaced(store: WorkStore, clock: ManualClock) -> None:
    job_id = await store.enqueue("q", 1)
    await store.set_progress(job_id, total=None, done=1, failed=0)
    clock.advance(1)
    await store.set_progress(job_id, total=9, done=5, failed=1, outcome={"a": None})
    progress = (await get(store, job_id)).progress
    assert progress is not None
    assert (progress.total, progress.done, progress.failed) == (9, 5, 1)
    assert (progress.outcome, progress.updated_at) == ({"a": None}, clock.now)
    await store.set_progress("unknown", total=1, done=1, failed=0)
    with pytest.raises(InvalidRequest, match="outcome"):
        await store.set_progress(job_id, total=1, done=1, failed=0, outcome=float("nan"))
