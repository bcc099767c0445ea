"""What is Procrastinate's own: events instead of times, locks, aborts, schemas, retries."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import servers
from contract.harness import DirectToolbox, Outcome, eventually
from contract.procrastinate_harness import ProcrastinateHarness, open_procrastinate
from contract.questions import find, get_job, runs_of, stats_of, until_state
from contract.sql_harness import SOURCE
from integration.sql_engines import run
from quarterdeck.core.clock import utc_now
from quarterdeck.core.errors import ConfigError, Conflict, NotFound, SourceUnavailable
from quarterdeck.queues.model import (
    BulkAction,
    DeleteOutcome,
    JobRef,
    JobState,
)
from quarterdeck.queues.ports import Engine
from workers.procrastinate_worker import RETRYING


@pytest.fixture
async def harness(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[ProcrastinateHarness]:
    """Procrastinate's tables in a fresh database."""
    async with open_procrastinate(request, tmp_path) as opened:
        yield opened


def build(url: str, **options: Any) -> Engine:
    return DirectToolbox().build("procrastinate", SOURCE, {"url": url, **options})


async def set_status(harness: ProcrastinateHarness, status: str, *refs: JobRef) -> None:
    """As a worker would have it, step by step, for Procrastinate's triggers note each."""
    ids = ", ".join(ref.id for ref in refs)
    for step in ("doing", status):
        await run(
            harness.database, f"UPDATE procrastinate_jobs SET status = '{step}' WHERE id IN ({ids})"
        )


async def test_job_tells_its_times_and_history_from_its_events(
    harness: ProcrastinateHarness,
) -> None:
    ref = await harness.defer("mail", RETRYING)
    async with harness.workers("mail"):
        await until_state(harness, JobState.FAILED, [ref])
    job = await get_job(harness, ref)
    assert [(each.number, each.outcome) for each in job.history] == [
        (1, "retry"), (2, "retry"), (3, "failed"),
    ]  # fmt: skip
    assert job.created_at is not None
    assert job.created_at <= job.history[0].started_at
    assert job.updated_at == job.history[-1].finished_at
    assert (job.attempts, job.max_attempts, job.error) == (3, None, None)


async def test_retry_gives_back_all_the_attempts_of_the_task(harness: ProcrastinateHarness) -> None:
    ref = await harness.defer("mail", RETRYING)
    async with harness.workers("mail"):
        await until_state(harness, JobState.FAILED, [ref])
        assert (await harness.engine.retry(ref)).attempts_reset

        async def has_failed_again() -> bool:
            return (await get_job(harness, ref)).state is JobState.FAILED

        await eventually(has_failed_again)
    assert [each.attempt for each in harness.runs()] == [1, 2, 3, 1, 2, 3]


async def test_workers_are_told_of_a_retry_once(harness: ProcrastinateHarness) -> None:
    ref = await harness.enqueue("mail")
    await set_status(harness, "failed", ref)
    heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    connection: Any = await asyncpg.connect(harness.url)
    for channel in ("procrastinate_any_queue_v1", "procrastinate_queue_v1#mail"):
        await connection.add_listener(channel, lambda *call: heard.put_nowait(call[2:]))
    await harness.engine.retry(ref)
    told = {await asyncio.wait_for(heard.get(), 30) for _ in range(2)}
    await connection.close()
    assert {channel for channel, _ in told} == {
        "procrastinate_any_queue_v1", "procrastinate_queue_v1#mail",
    }  # fmt: skip
    assert all('"job_inserted"' in payload and ref.id in payload for _, payload in told)
    assert heard.empty()


async def test_retry_notes_one_event_and_keeps_queue_and_priority(
    harness: ProcrastinateHarness,
) -> None:
    ref = await harness.enqueue("mail", priority=10)
    await set_status(harness, "failed", ref)
    before = await get_job(harness, ref)
    await harness.engine.retry(ref)
    job = await get_job(harness, ref)
    assert (job.queue, job.payload) == (before.queue, before.payload)
    assert job.run_at is not None
    connection: Any = await asyncpg.connect(harness.url)
    types = await connection.fetch("SELECT type::text FROM procrastinate_events ORDER BY id")
    await connection.close()
    assert sorted(row["type"] for row in types[-2:]) == ["retried", "scheduled"]
    assert len(types) == 5


async def test_retry_that_a_queueing_lock_forbids_is_a_conflict(
    harness: ProcrastinateHarness,
) -> None:
    failed = await harness.defer("mail", queueing_lock="only-one")
    await set_status(harness, "failed", failed)
    other = await harness.defer("mail", queueing_lock="only-one")
    with pytest.raises(Conflict, match="queueing lock"):
        await harness.engine.retry(failed)
    job = await get_job(harness, failed)
    assert (job.state, job.attempts) == (JobState.FAILED, 0)
    await harness.engine.delete(other)
    await harness.engine.retry(failed)
    assert (await get_job(harness, failed)).state is JobState.WAITING


async def test_bulk_retry_passes_over_jobs_whose_lock_is_taken(
    harness: ProcrastinateHarness,
) -> None:
    refs = await harness.enqueue_many("mail", 3)
    locked = []
    for _ in range(2):
        locked.append(await harness.defer("mail", queueing_lock="only-one"))
        await set_status(harness, "failed", locked[-1])
    await set_status(harness, "failed", *refs)
    queue = await find(harness, "queue:mail")
    bulk = harness.engine.bulk(BulkAction.RETRY_FAILED, queue, utc_now())
    assert [size async for size in bulk] == [4]
    states = [(await get_job(harness, ref)).state for ref in locked]
    assert states == [JobState.WAITING, JobState.FAILED]
    assert (await stats_of(harness, "queue:mail")).failed == 1


async def test_bulk_leaves_alone_what_has_no_time_of_failure(harness: ProcrastinateHarness) -> None:
    ref = await harness.enqueue("mail")
    await set_status(harness, "failed", ref)
    await run(harness.database, "UPDATE procrastinate_events SET at = NULL")
    queue = await find(harness, "queue:mail")
    bulk = harness.engine.bulk(BulkAction.DELETE_FAILED, queue, utc_now() + timedelta(days=1))
    assert [size async for size in bulk] == []
    job = await get_job(harness, ref)
    assert (job.created_at, job.updated_at, list(job.history)) == (None, None, [])


async def test_job_whose_abort_was_requested_in_its_last_try_can_be_retried(
    harness: ProcrastinateHarness,
) -> None:
    ref = await harness.enqueue("mail")
    await run(harness.database, "UPDATE procrastinate_jobs SET status = 'doing'")
    assert await harness.engine.delete(ref) is DeleteOutcome.CANCEL_REQUESTED
    assert await harness.engine.delete(ref) is DeleteOutcome.CANCEL_REQUESTED
    await run(
        harness.database,
        f"SELECT procrastinate_retry_job_v2({ref.id}, now(), NULL, NULL, NULL)",
    )
    assert (await get_job(harness, ref)).state is JobState.FAILED
    await harness.engine.retry(ref)
    assert (await get_job(harness, ref)).state is JobState.WAITING
    connection: Any = await asyncpg.connect(harness.url)
    requests = "SELECT count(*) FROM procrastinate_events WHERE type = 'abort_requested'"
    assert await connection.fetchval(requests) == 1
    await connection.close()


async def test_deleting_a_running_job_aborts_it(harness: ProcrastinateHarness) -> None:
    ref = await harness.enqueue("mail", outcome=Outcome.HOLD)

    async def is_out_of_sight() -> bool:
        return await harness.engine.find_job(ref) is None

    async with harness.workers("mail"):
        await until_state(harness, JobState.ACTIVE, [ref])
        assert await harness.engine.delete(ref) is DeleteOutcome.CANCEL_REQUESTED
        await eventually(is_out_of_sight)
        stats = await stats_of(harness, "queue:mail")
    assert (stats.active, stats.failed, stats.waiting) == (0, 0, 0)
    for change in (harness.engine.retry, harness.engine.delete):
        with pytest.raises(NotFound):
            await change(ref)
    assert runs_of(harness.runs())[ref.id] == 1


async def test_cancelled_jobs_are_not_shown(harness: ProcrastinateHarness) -> None:
    ref, other = await harness.enqueue_many("mail", 2)
    async with harness.app.open_async():
        assert await harness.app.job_manager.cancel_job_by_id_async(int(ref.id))
    assert await harness.engine.find_job(ref) is None
    queue = await find(harness, "queue:mail")
    page = await harness.engine.list_jobs(queue, None, 10, 0)
    assert ([job.ref for job in page.items], page.total) == ([other], 1)


async def test_time_that_never_comes_breaks_no_page(harness: ProcrastinateHarness) -> None:
    refs = await harness.enqueue_many("mail", 3)
    for ref, at in zip(refs, ("infinity", "-infinity", "now"), strict=True):
        await run(
            harness.database,
            f"UPDATE procrastinate_jobs SET scheduled_at = '{at}' WHERE id = {ref.id}",
        )
    stats = await stats_of(harness, "queue:mail")
    page = await harness.engine.list_jobs(await find(harness, "queue:mail"), None, 10, 0)
    due = [job.run_at for job in page.items]
    assert (stats.waiting, due[1:], due[0] is None) == (3, [None, None], False)


async def test_queues_of_the_settings_are_shown_without_jobs(harness: ProcrastinateHarness) -> None:
    engine = build(harness.url, queues=["bounces"])
    snapshot = await engine.snapshot()
    found = await engine.find_queue("queue:bounces:low")
    await engine.close()
    assert [(queue.name, stats.waiting) for queue, stats in snapshot.items()] == [
        ("queue:bounces", 0)
    ]
    assert found is not None
    assert await harness.engine.find_queue("queue:bounces") is None


async def test_schema_is_where_the_settings_say(harness: ProcrastinateHarness) -> None:
    ref = await harness.enqueue("mail")
    await set_status(harness, "failed", ref)
    await run(harness.database, 'ALTER SCHEMA public RENAME TO "odd ""one"', "CREATE SCHEMA public")
    with pytest.raises(SourceUnavailable, match="`schema`"):
        await harness.engine.snapshot()
    engine = build(harness.url, schema='odd "one')
    (stats,) = (await engine.snapshot()).values()
    assert stats.failed == 1
    await engine.retry(ref)
    found = await engine.find_job(ref)
    await engine.close()
    assert found is not None
    assert found.state is JobState.WAITING


async def test_older_schema_is_named(harness: ProcrastinateHarness) -> None:
    ref = await harness.enqueue("mail")
    await set_status(harness, "failed", ref)
    await run(harness.database, "DROP FUNCTION procrastinate_retry_job_v2")
    with pytest.raises(SourceUnavailable, match=r"Procrastinate 3\.4"):
        await harness.engine.retry(ref)
    job = await get_job(harness, ref)
    assert (job.state, job.attempts) == (JobState.FAILED, 0)


async def test_reading_needs_no_more_than_select(
    harness: ProcrastinateHarness, postgres_server: servers.PostgresServer
) -> None:
    ref = await harness.enqueue("mail")
    await set_status(harness, "failed", ref)
    reader = f"reader{postgres_server.created}"
    await run(
        harness.database,
        f"CREATE ROLE {reader} LOGIN",
        f"GRANT SELECT ON procrastinate_jobs, procrastinate_events TO {reader}",
    )
    engine = build(harness.url.replace("tester@", f"{reader}@"))
    (queue,) = await engine.snapshot()
    assert (await engine.list_jobs(queue, JobState.FAILED, 10, 0)).total == 1
    assert await engine.find_job(ref) is not None
    assert (await engine.sample_failures(queue, 10)).is_complete
    for change in (engine.retry, engine.delete):
        with pytest.raises(SourceUnavailable, match="Grant"):
            await change(ref)
    await engine.close()


async def test_wrong_account_is_named(harness: ProcrastinateHarness) -> None:
    engine = build(harness.url.replace("tester@", "stranger@"))
    with pytest.raises(SourceUnavailable, match="stranger") as caught:
        await engine.snapshot()
    await engine.close()
    assert caught.value.source == SOURCE


def test_other_databases_are_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="postgresql://"):
        build(f"sqlite:///{tmp_path / 'jobs.sqlite3'}")
