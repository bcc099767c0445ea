"""Retry, delete and pause on PostgreSQL: by BullMQ's own functions, and what they do to workers."""

import pytest

from bullmq_postgres_world import PostgresWorld, pg_world
from bullmq_world import bullmq_programs
from contract.harness import eventually
from contract.questions import runs_of
from quarterdeck.core.clock import utc_now
from quarterdeck.core.errors import Conflict, Unsupported
from quarterdeck.queues.model import BulkAction, DeleteSupport, JobState, PauseSupport, RetrySupport

__all__ = ["bullmq_programs", "pg_world"]

FLOW = {
    "name": "sum",
    "queueName": "mail",
    "children": [{"name": "part", "queueName": "mail", "data": {"outcome": "fail"}}],
}


async def test_retry_gives_all_attempts_again(pg_world: PostgresWorld) -> None:
    fleet = pg_world.bullmq.fleet(pg_world.directory)
    job_id = await pg_world.bullmq.add("mail", {"outcome": "fail"}, attempts=3)
    async with fleet.running("mail"):
        await pg_world.until_state(JobState.FAILED, [job_id])
        assert (await pg_world.job(job_id)).attempts == 3
        result = await pg_world.engine.retry(pg_world.ref(job_id))
        assert result.attempts_reset
        await pg_world.until_state(JobState.FAILED, [job_id])
    assert [run.attempt for run in fleet.runs()] == [1, 2, 3, 1, 2, 3]


async def test_bulk_retry_gives_all_attempts_again(pg_world: PostgresWorld) -> None:
    ids = await pg_world.fail(3, priority=5)
    queue = await pg_world.queue()
    sizes = [n async for n in pg_world.engine.bulk(BulkAction.RETRY_FAILED, queue, utc_now())]
    assert sizes == [3]
    for job_id in ids:
        job = await pg_world.job(job_id)
        assert (job.state, job.attempts, job.error) == (JobState.WAITING, 0, None)
    left = await pg_world.sql("SELECT DISTINCT priority, attempts_started, stacktrace FROM job")
    assert [tuple(row) for row in left] == [(5, 0, None)]


async def test_a_running_job_is_not_deleted_even_if_its_worker_seems_dead(
    pg_world: PostgresWorld,
) -> None:
    """BullMQ's own `remove` takes a job whose lock has run out, also while it runs."""
    job_id = await pg_world.bullmq.add("mail", {"outcome": "hold"})
    async with pg_world.bullmq.workers(pg_world.directory, "mail"):
        await pg_world.until_state(JobState.ACTIVE, [job_id])
        assert await pg_world.sql("SELECT remove('mail', :id, false)", id=job_id) == [(0,)]
        await pg_world.sql("UPDATE job SET locked_until_ms = 1")
        with pytest.raises(Conflict, match="Running jobs cannot be deleted"):
            await pg_world.engine.delete(pg_world.ref(job_id))
    assert (await pg_world.job(job_id)).state is JobState.COMPLETED


async def test_a_flow_is_not_torn_apart(pg_world: PostgresWorld) -> None:
    flow = await pg_world.bullmq.call("", "flow", FLOW)
    parent, child = flow["id"], flow["children"][0]
    async with pg_world.bullmq.workers(pg_world.directory, "mail"):
        await pg_world.until_state(JobState.FAILED, [child])
    before = await pg_world.sql("SELECT * FROM job_dependency")
    with pytest.raises(Conflict, match="Children of this job are not done yet"):
        await pg_world.engine.delete(pg_world.ref(parent))
    with pytest.raises(Conflict, match="A parent waits for this job"):
        await pg_world.engine.delete(pg_world.ref(child))
    queue = await pg_world.queue()
    deleted = [n async for n in pg_world.engine.bulk(BulkAction.DELETE_FAILED, queue, utc_now())]
    assert deleted == []
    assert await pg_world.sql("SELECT * FROM job_dependency") == before
    await pg_world.engine.retry(pg_world.ref(child))
    pg_world.heal()
    async with pg_world.bullmq.workers(pg_world.directory, "mail"):
        await pg_world.until_state(JobState.COMPLETED, [parent, child])
    await pg_world.engine.delete(pg_world.ref(parent))
    await pg_world.engine.delete(pg_world.ref(child))
    assert await pg_world.sql("SELECT id FROM job") == []


async def test_the_next_run_of_a_scheduler_is_left_to_it(pg_world: PostgresWorld) -> None:
    await pg_world.bullmq.call("mail", "upsertJobScheduler", "nightly", {"every": 3_600_000})
    page = await pg_world.engine.list_jobs(await pg_world.queue(), None, 10, 0)
    assert len(page.items) == 1
    with pytest.raises(Conflict, match="removeJobScheduler"):
        await pg_world.engine.delete(page.items[0].ref)
    assert await pg_world.job(page.items[0].ref.id) == page.items[0]


async def test_a_paused_queue_starts_nothing_that_comes_due_and_finishes_what_runs(
    pg_world: PostgresWorld,
) -> None:
    bullmq = pg_world.bullmq
    running = await bullmq.add("mail", {"outcome": "hold"})
    fleet = bullmq.fleet(pg_world.directory, concurrency=5)
    async with fleet.running("mail"):
        await pg_world.until_state(JobState.ACTIVE, [running])
        await pg_world.engine.pause(await pg_world.queue())
        assert await bullmq.call("mail", "isPaused") is True
        delayed = await bullmq.add("mail", {}, delay=1)

        async def is_due() -> bool:
            return (await pg_world.job(delayed)).native_state == "waiting"

        await eventually(is_due)  # it is a worker that saw it come due
        pg_world.bullmq.fleet(pg_world.directory).release()
        await pg_world.until_state(JobState.COMPLETED, [running])
        stats = await pg_world.stats()
        assert (stats.waiting, stats.active, stats.paused) == (1, 0, True)
        assert set(runs_of(fleet.runs())) == {running}
        await pg_world.engine.resume(await pg_world.queue())
        await pg_world.until_state(JobState.COMPLETED, [delayed])


async def test_pauses_of_the_programs_and_ours_are_one(pg_world: PostgresWorld) -> None:
    await pg_world.bullmq.call("mail", "pause")
    queue = await pg_world.queue()
    assert (await pg_world.stats()).paused is True
    assert not (await pg_world.engine.pause(queue)).changed
    assert (await pg_world.engine.resume(queue)).changed
    assert await pg_world.bullmq.call("mail", "isPaused") is False
    await pg_world.engine.pause(queue)
    await pg_world.bullmq.call("mail", "resume")
    assert (await pg_world.stats()).paused is False


async def test_a_queue_of_the_settings_can_be_paused_before_its_first_job(
    pg_world: PostgresWorld,
) -> None:
    engine = pg_world.open(queues=["planned"])
    found = await engine.find_queue("queue:planned")
    assert found is not None
    await engine.pause(found[0])
    assert await pg_world.bullmq.call("planned", "isPaused") is True
    await engine.close()


@pytest.mark.parametrize(
    ("note", "is_open", "reason"),
    [
        ("INSERT INTO migration VALUES (99, 'later', 6)", True, ""),
        # The ledger that BullMQ for Python writes.
        ("ALTER TABLE migration DROP COLUMN min_client_version", True, ""),
        ("INSERT INTO migration VALUES (99, 'later', 7)", False, "needs clients of BullMQ 7"),
        ("DELETE FROM migration", False, "notes no version"),
    ],
)
async def test_a_schema_that_is_not_for_clients_of_version_6_is_only_read(
    pg_world: PostgresWorld, note: str, is_open: bool, reason: str
) -> None:
    (job_id,) = await pg_world.fail()
    await pg_world.sql(note)
    queue = await pg_world.queue()
    capabilities = pg_world.engine.capabilities(queue)
    closed = (RetrySupport.NONE, PauseSupport.NONE, DeleteSupport.NO)
    can = (capabilities.retry, capabilities.pause, capabilities.delete[JobState.FAILED])
    assert (can != closed) is is_open
    assert reason in capabilities.notes[0]
    ref = pg_world.ref(job_id)
    if is_open:
        await pg_world.engine.retry(ref)
        return
    for change in (
        pg_world.engine.retry(ref),
        pg_world.engine.delete(ref),
        pg_world.engine.pause(queue),
        anext(pg_world.engine.bulk(BulkAction.DELETE_FAILED, queue, utc_now())),
    ):
        with pytest.raises(Unsupported, match=reason):
            await change
    assert (await pg_world.job(job_id)).state is JobState.FAILED
