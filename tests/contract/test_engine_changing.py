"""Retry and delete: exactly what the answer says, also when many do it at once."""

import asyncio

import pytest

from contract.harness import EngineHarness, Outcome, eventually
from contract.questions import (
    find,
    get_job,
    keeps_completed,
    runs_of,
    stats_of,
    until_state,
)
from quarterdeck.core.clock import utc_now
from quarterdeck.core.errors import Conflict, NotFound, Unsupported
from quarterdeck.queues.model import (
    AttemptsReset,
    BulkAction,
    DeleteOutcome,
    DeleteSupport,
    JobRef,
    JobState,
    QueueRef,
    RetryResult,
)

UNKNOWN_IDS = ["nope", "", "9" * 30, "\0", "01890a5d-ac96-774b-bcce-b302099a8057"]


async def failed_jobs(harness: EngineHarness, count: int, queue: str = "mail") -> list[JobRef]:
    refs = await harness.enqueue_many(queue, count, outcome=Outcome.FAIL)
    async with harness.workers(queue):
        await until_state(harness, JobState.FAILED, refs)
    return refs


async def test_retried_job_runs_again_from_its_first_attempt(harness: EngineHarness) -> None:
    (ref,) = await failed_jobs(harness, 1)
    failed = await get_job(harness, ref)
    assert failed.attempts == 1
    harness.heal()
    result = await harness.engine.retry(ref)
    waiting = await get_job(harness, ref)
    assert waiting.state is JobState.WAITING
    assert waiting.attempts == (0 if result.attempts_reset else 1)
    async with harness.workers("mail"):
        await until_state(harness, JobState.COMPLETED, [ref])
    assert [run.attempt for run in harness.runs()] == [1, 1 if result.attempts_reset else 2]
    if not keeps_completed(harness):
        assert await harness.engine.find_job(ref) is None
        return
    job = await get_job(harness, ref)
    assert job.error is None
    assert [attempt.outcome for attempt in job.history] in (["failed", "success"], [])


async def test_changing_an_unknown_job_is_not_found(harness: EngineHarness) -> None:
    known = await harness.enqueue("mail")
    for job_id in UNKNOWN_IDS:
        ref = JobRef(known.source, job_id, known.queue)
        with pytest.raises(NotFound):
            await harness.engine.retry(ref)
        with pytest.raises(NotFound):
            await harness.engine.delete(ref)
    assert (await stats_of(harness, "queue:mail")).waiting == 1


async def test_only_failed_jobs_are_retried_and_the_answer_names_the_state(
    harness: EngineHarness,
) -> None:
    done = await harness.enqueue("mail")
    held = await harness.enqueue("mail", outcome=Outcome.HOLD)
    async with harness.workers("mail"):
        await until_state(harness, JobState.COMPLETED, [done])
        await until_state(harness, JobState.ACTIVE, [held])
        waiting = await harness.enqueue("later")
        refs = {"completed": done, "active": held, "waiting": waiting}
        if not keeps_completed(harness):
            with pytest.raises(NotFound):
                await harness.engine.retry(refs.pop("completed"))
        for state, ref in refs.items():
            with pytest.raises(Conflict, match=state):
                await harness.engine.retry(ref)
            assert (await get_job(harness, ref)).state == state


async def deletes_waiting(harness: EngineHarness) -> bool:
    """An engine that says it cannot must refuse to; see `test_engine_capabilities`."""
    capabilities = harness.engine.capabilities(await find(harness, "queue:mail"))
    return capabilities.delete[JobState.WAITING] is DeleteSupport.YES


async def test_deleted_job_is_gone_and_never_runs(harness: EngineHarness) -> None:
    refs = await harness.enqueue_many("mail", 6)
    if not await deletes_waiting(harness):
        with pytest.raises(Unsupported):
            await harness.engine.delete(refs[0])
        assert (await get_job(harness, refs[0])).state is JobState.WAITING
        return
    for ref in refs[::2]:
        assert await harness.engine.delete(ref) is DeleteOutcome.DELETED
        assert await harness.engine.find_job(ref) is None
        with pytest.raises(NotFound):
            await harness.engine.delete(ref)
    assert (await stats_of(harness, "queue:mail")).waiting == 3
    async with harness.workers("mail"):
        await until_state(harness, JobState.COMPLETED, refs[1::2])
    assert set(runs_of(harness.runs())) == {ref.id for ref in refs[1::2]}


async def cancels(harness: EngineHarness) -> bool:
    capabilities = harness.engine.capabilities(await find(harness, "queue:mail"))
    return capabilities.delete[JobState.ACTIVE] is DeleteSupport.CANCEL


async def is_not_active(harness: EngineHarness, ref: JobRef) -> bool:
    job = await harness.engine.find_job(ref)
    return job is None or job.state is not JobState.ACTIVE


async def test_running_job_is_cancelled_or_cannot_be_deleted_and_finishes(
    harness: EngineHarness,
) -> None:
    ref = await harness.enqueue("mail", outcome=Outcome.HOLD)
    async with harness.workers("mail"):
        await until_state(harness, JobState.ACTIVE, [ref])
        if await cancels(harness):
            assert await harness.engine.delete(ref) is DeleteOutcome.CANCEL_REQUESTED
            await eventually(lambda: is_not_active(harness, ref))
            return
        with pytest.raises(Conflict, match="unning jobs cannot be deleted"):
            await harness.engine.delete(ref)
        assert (await get_job(harness, ref)).state is JobState.ACTIVE
        harness.release()
        await until_state(harness, JobState.COMPLETED, [ref])
        if keeps_completed(harness):
            assert await harness.engine.delete(ref) is DeleteOutcome.DELETED
    assert await harness.engine.find_job(ref) is None


async def test_of_many_retries_at_once_exactly_one_wins(harness: EngineHarness) -> None:
    (ref,) = await failed_jobs(harness, 1)
    answers = await asyncio.gather(
        *(harness.engine.retry(ref) for _ in range(8)), return_exceptions=True
    )
    assert sum(isinstance(answer, RetryResult) for answer in answers) == 1
    assert sum(isinstance(answer, Conflict) for answer in answers) == 7
    harness.heal()
    async with harness.workers("mail", processes=2):
        await until_state(harness, JobState.COMPLETED, [ref])
    assert runs_of(harness.runs())[ref.id] == 2


async def test_of_many_deletes_at_once_exactly_one_wins(harness: EngineHarness) -> None:
    (ref,) = await failed_jobs(harness, 1)
    answers = await asyncio.gather(
        *(harness.engine.delete(ref) for _ in range(8)), return_exceptions=True
    )
    assert answers.count(DeleteOutcome.DELETED) == 1
    assert sum(isinstance(answer, NotFound) for answer in answers) == 7
    assert (await stats_of(harness, "queue:mail")).failed == 0


async def test_retry_and_delete_at_once_leave_no_job(harness: EngineHarness) -> None:
    refs = await failed_jobs(harness, 10)
    can_delete, sent = await deletes_waiting(harness), 0
    for ref in refs:
        retried, deleted = await asyncio.gather(
            harness.engine.retry(ref), harness.engine.delete(ref), return_exceptions=True
        )
        if isinstance(retried, RetryResult) and not can_delete:
            assert isinstance(deleted, Conflict)
            sent += 1
            continue
        assert deleted is DeleteOutcome.DELETED
        assert isinstance(retried, RetryResult | NotFound)
        assert await harness.engine.find_job(ref) is None
    stats = await stats_of(harness, "queue:mail")
    assert (stats.waiting, stats.failed) == (sent, 0)


async def drain(harness: EngineHarness, action: BulkAction, queue: QueueRef) -> list[int]:
    return [size async for size in harness.engine.bulk(action, queue, utc_now())]


async def test_bulk_retry_ends_although_its_jobs_fail_again(harness: EngineHarness) -> None:
    refs = await failed_jobs(harness, 520)
    queue = await find(harness, "queue:mail")
    async with harness.workers("mail"):
        batches = await drain(harness, BulkAction.RETRY_FAILED, queue)
        await until_state(harness, JobState.FAILED, refs)
    assert sum(batches) == 520
    assert len(batches) > 1
    assert set(runs_of(harness.runs()).values()) == {2}
    reset = harness.engine.capabilities(queue).attempts_reset is not AttemptsReset.NO
    assert max(run.attempt for run in harness.runs()) == (1 if reset else 2)


async def test_bulk_leaves_alone_what_failed_after_the_cutoff(harness: EngineHarness) -> None:
    early = await failed_jobs(harness, 3)
    cutoff = utc_now()
    late = await failed_jobs(harness, 3)
    queue = await find(harness, "queue:mail")
    deleted = [size async for size in harness.engine.bulk(BulkAction.DELETE_FAILED, queue, cutoff)]
    assert sum(deleted) == 3
    assert [await harness.engine.find_job(ref) for ref in early] == [None] * 3
    for ref in late:
        assert (await get_job(harness, ref)).state is JobState.FAILED
    again = [size async for size in harness.engine.bulk(BulkAction.DELETE_FAILED, queue, cutoff)]
    assert sum(again) == 0


async def test_bulk_of_two_at_once_changes_each_job_once(harness: EngineHarness) -> None:
    refs = await failed_jobs(harness, 40)
    queue = await find(harness, "queue:mail")
    one, two = await asyncio.gather(
        drain(harness, BulkAction.RETRY_FAILED, queue),
        drain(harness, BulkAction.RETRY_FAILED, queue),
    )
    assert sum(one) + sum(two) == 40
    assert (await stats_of(harness, "queue:mail")).waiting == len(refs)


async def test_bulk_stays_in_its_band(harness: EngineHarness) -> None:
    refs = [
        await harness.enqueue("mail", priority=priority, outcome=Outcome.FAIL)
        for priority in (10, 100, 200)
    ]
    async with harness.workers("mail"):
        await until_state(harness, JobState.FAILED, refs)
    queue = await find(harness, "queue:mail:low")
    assert sum(await drain(harness, BulkAction.DELETE_FAILED, queue)) == 1
    assert await harness.engine.find_job(refs[2]) is None
    for ref in refs[:2]:
        assert (await get_job(harness, ref)).state is JobState.FAILED


async def test_bulk_of_an_unknown_queue_is_not_found(harness: EngineHarness) -> None:
    known = await harness.enqueue("mail")
    with pytest.raises(NotFound):
        await drain(harness, BulkAction.RETRY_FAILED, QueueRef(known.source, "queue:nope"))
