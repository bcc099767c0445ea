"""A worker in this process: how jobs end, cancelling, stopping, and a database that goes away."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import servers
from quarterdeck.app import MIGRATIONS
from quarterdeck.core.errors import InvalidRequest
from quarterdeck.state import Database, migrate, open_database
from quarterdeck.state import sqlite as state_sqlite
from quarterdeck.work.model import Band, JobStatus, NewJob, WorkJob
from quarterdeck.work.settling import CANCELLED
from quarterdeck.work.store import WorkStore
from quarterdeck.work.worker import STOPPED, Handler, JobContext, Worker, WorkerOptions
from workers.support import ManualClock, rows, until

PATIENT = WorkerOptions(poll_s=60, name="tester")
"""Polls so rarely that a test would fail if it depended on polling."""
BRISK = WorkerOptions(poll_s=0.02, lease_s=1, name="tester")


@pytest.fixture
def store(database: Database) -> WorkStore:
    return WorkStore(database, backoff=lambda _: 0)


@asynccontextmanager
async def working(
    store: WorkStore, handler: Handler, options: WorkerOptions = PATIENT
) -> AsyncIterator[asyncio.Task[None]]:
    """A worker on queue `q` while the block runs; stopped in the orderly way at its end."""
    stop = asyncio.Event()
    task = asyncio.create_task(Worker(store, {"q": handler}, options).run(stop))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)


async def ended(store: WorkStore, job_id: str, status: JobStatus) -> WorkJob:
    """The job, once it has this status."""

    async def has_ended() -> bool:
        job = await store.find_job(job_id)
        return job is not None and job.status is status

    await until(has_ended)
    job = await store.find_job(job_id)
    assert job is not None
    return job


async def finish(_: JobContext) -> None:
    """Does nothing, well."""


async def test_enqueue_in_this_process_wakes_the_worker(store: WorkStore) -> None:
    async with working(store, finish):
        for _ in range(3):
            await ended(store, await store.enqueue("q", 1), JobStatus.COMPLETED)


async def test_jobs_of_others_and_due_jobs_are_found_by_polling(
    store: WorkStore, database: Database
) -> None:
    async with working(store, finish, BRISK):
        other = WorkStore(database)
        await ended(store, await other.enqueue("q", 1), JobStatus.COMPLETED)


async def test_no_more_than_the_slots_run_at_once_and_all_are_used(store: WorkStore) -> None:
    running, most = 0, 0

    async def count(_: JobContext) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1

    ids = await store.enqueue_many("q", [NewJob(n) for n in range(30)])
    async with working(store, count, WorkerOptions(concurrency=3, poll_s=60)):
        for job_id in ids:
            await ended(store, job_id, JobStatus.COMPLETED)
    assert most == 3


async def test_exception_is_recorded_with_its_trace_and_tried_again(
    store: WorkStore, database: Database
) -> None:
    async def flaky(context: JobContext) -> None:
        if context.job.attempt < 3:
            raise ConnectionRefusedError(f"mail server refused {context.job.payload['to']}")

    job_id = await store.enqueue("q", {"to": "a@example.com"})
    async with working(store, flaky, BRISK):
        await ended(store, job_id, JobStatus.COMPLETED)
    query = "SELECT status, log_message, stack_trace FROM job_logs ORDER BY id"
    first, second, third = await rows(database, query)
    assert first[:2] == second[:2] == ("retry", "mail server refused a@example.com")
    assert "in flaky" in first[2]
    assert first[2].endswith("ConnectionRefusedError: mail server refused a@example.com\n")
    assert third == ("success", None, None)


@pytest.mark.parametrize(
    ("error", "message"),
    [(ValueError(), "ValueError"), (asyncio.CancelledError(), "CancelledError")],
)
async def test_error_without_words_is_called_by_its_type(
    store: WorkStore, error: BaseException, message: str
) -> None:
    async def fail(_: JobContext) -> None:
        raise error

    job_id = await store.enqueue("q", 1, max_attempts=1)
    async with working(store, fail):
        job = await ended(store, job_id, JobStatus.FAILED)
    assert job.last_error_message == message


async def test_progress_is_seen_while_the_job_runs(store: WorkStore) -> None:
    go_on = asyncio.Event()
    refused: list[str] = []

    async def report(context: JobContext) -> None:
        await context.progress(total=10, done=4, failed=1)
        try:
            await context.progress(outcome=object())
        except InvalidRequest as error:
            refused.append(error.message)
        await go_on.wait()
        await context.progress(total=10, done=10, outcome={"changed": 9})

    async def has_reported() -> bool:
        job = await store.find_job(job_id)
        return job is not None and job.progress is not None and job.progress.done == 4

    job_id = await store.enqueue("q", 1)
    async with working(store, report):
        await until(has_reported)
        go_on.set()
        job = await ended(store, job_id, JobStatus.COMPLETED)
    assert job.progress is not None
    assert (job.progress.done, job.progress.outcome) == (10, {"changed": 9})
    assert "outcome" in refused[0]


def hanging(started: asyncio.Event, ends: list[str]) -> Handler:
    """A handler that never ends by itself, and notes how it was ended."""

    async def hang(_: JobContext) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    return hang


async def test_cancelled_running_job_is_interrupted_and_fails_for_good(store: WorkStore) -> None:
    started, ends = asyncio.Event(), list[str]()
    async with working(store, hanging(started, ends)):
        job_id = await store.enqueue("q", 1)
        await started.wait()
        assert await store.cancel(job_id) is True
        job = await ended(store, job_id, JobStatus.FAILED)
    assert (job.last_error_message, job.attempt_count, ends) == (CANCELLED, 1, ["cancelled"])


async def test_lost_lease_interrupts_the_handler_which_reports_nothing(
    database: Database, store: WorkStore
) -> None:
    started, ends = asyncio.Event(), list[str]()
    future = ManualClock()
    future.now = future.now.replace(year=2100)

    async def is_ended() -> bool:
        return bool(ends)

    options = WorkerOptions(lease_s=0.9, poll_s=60)
    async with working(store, hanging(started, ends), options):
        job_id = await store.enqueue("q", 1)
        await started.wait()
        await WorkStore(database, future).pause("q", Band.NORMAL)
        assert await WorkStore(database, future, lambda _: 1e9).reap_expired() == 1
        await until(is_ended)
    job = await store.find_job(job_id)
    assert job is not None
    assert (job.status, job.attempt_count) == (JobStatus.QUEUED, 1)
    assert job.last_error_message is not None
    assert "stopped answering" in job.last_error_message


async def test_stop_finishes_what_runs_and_takes_nothing_new(store: WorkStore) -> None:
    started, go_on, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(_: JobContext) -> None:
        started.set()
        await go_on.wait()

    options = WorkerOptions(concurrency=1, poll_s=0.01)
    first, second = await store.enqueue("q", 1), await store.enqueue("q", 2)
    task = asyncio.create_task(Worker(store, {"q": slow}, options).run(stop))
    await started.wait()
    stop.set()
    assert not task.done()
    go_on.set()
    await asyncio.wait_for(task, 30)
    found = [await store.find_job(job_id) for job_id in (first, second)]
    assert [job.status for job in found if job] == [JobStatus.COMPLETED, JobStatus.QUEUED]


async def test_cancelled_worker_gives_its_jobs_back(store: WorkStore) -> None:
    started, ends = asyncio.Event(), list[str]()
    job_id = await store.enqueue("q", 1)
    task = asyncio.create_task(
        Worker(store, {"q": hanging(started, ends)}, PATIENT).run(asyncio.Event())
    )
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    job = await store.find_job(job_id)
    assert job is not None
    assert (job.status, job.last_error_message) == (JobStatus.QUEUED, STOPPED)


def changes_of_state(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The worker's own log lines, shortened to their first words."""
    found = [r.getMessage() for r in caplog.records if r.name == "quarterdeck.work"]
    return ["waits" if "waits for its database" in m else "again" for m in found]


async def test_completion_outlasts_a_locked_database(
    sqlite_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(state_sqlite, "BUSY_TIMEOUT_S", 0.05)
    database = open_database(sqlite_url, "state")
    store = WorkStore(database)
    other = sqlite3.connect(tmp_path / "state.sqlite3", isolation_level=None)

    async def lock(_: JobContext) -> None:
        other.execute("BEGIN IMMEDIATE")

    async def is_waiting() -> bool:
        return "waits" in changes_of_state(caplog)

    job_id = await store.enqueue("q", 1)
    with caplog.at_level(logging.INFO):
        async with working(store, lock):
            await until(is_waiting)
            other.execute("ROLLBACK")
            job = await ended(store, job_id, JobStatus.COMPLETED)
    assert job.attempt_count == 1
    assert changes_of_state(caplog) == ["waits", "again"]
    other.close()
    await database.close()


async def test_worker_outlives_a_database_that_is_gone_for_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with servers.postgres() as server:
        url = server.create_database()
        await asyncio.to_thread(migrate, url, MIGRATIONS)
        database = open_database(url, "state")
        store = WorkStore(database)
        runs: list[str] = []
        started, go_on = asyncio.Event(), asyncio.Event()

        async def slow(context: JobContext) -> None:
            runs.append(context.job.id)
            started.set()
            await go_on.wait()

        async def is_waiting() -> bool:
            return "waits" in changes_of_state(caplog)

        async def is_back() -> bool:
            return "again" in changes_of_state(caplog)

        first, second = await store.enqueue("q", 1), await store.enqueue("q", 2)
        async with working(store, slow, WorkerOptions(concurrency=1, lease_s=1.5, poll_s=0.05)):
            await started.wait()
            server.stop()
            go_on.set()
            await until(is_waiting)
            server.start()
            await ended(store, first, JobStatus.COMPLETED)
            await ended(store, second, JobStatus.COMPLETED)
            await until(is_back)
        assert runs == [first, second]
        assert changes_of_state(caplog) == ["waits", "again"]
        await database.close()
