"""Capabilities: what they say is what happens."""

import pytest

from contract.harness import EngineHarness, Outcome
from contract.questions import (
    can_pause,
    find,
    get_job,
    stats_of,
    until_state,
)
from quarterdeck.core.errors import Conflict, Unsupported
from quarterdeck.core.pagination import TotalKind
from quarterdeck.queues.model import (
    AttemptsReset,
    Capabilities,
    DeleteOutcome,
    DeleteSupport,
    ErrorSupport,
    IdScope,
    JobState,
    ListSupport,
    Provenance,
    RetrySupport,
    TotalSupport,
)


async def capabilities_of(harness: EngineHarness) -> Capabilities:
    return harness.engine.capabilities(await find(harness, "queue:mail"))


async def test_completed_last_hour_has_the_provenance_it_claims(harness: EngineHarness) -> None:
    refs = await harness.enqueue_many("mail", 3)
    async with harness.workers("mail"):
        await until_state(harness, JobState.COMPLETED, refs)
    stats = await stats_of(harness, "queue:mail")
    claimed = (await capabilities_of(harness)).completed_last_hour
    assert stats.completed_last_hour_source is claimed
    assert stats.completed_last_hour == (None if claimed is Provenance.NONE else 3)


async def test_errors_hold_what_is_claimed(harness: EngineHarness) -> None:
    ref = await harness.enqueue("mail", outcome=Outcome.FAIL)
    async with harness.workers("mail"):
        await until_state(harness, JobState.FAILED, [ref])
    claimed = (await capabilities_of(harness)).error
    error = (await get_job(harness, ref)).error
    if claimed is ErrorSupport.NONE:
        assert error is None
        return
    assert error is not None
    assert error.message == "421 4.7.0 mx1.example.com: too many connections"
    if claimed is ErrorSupport.TRACE:
        assert error.stack_trace is not None
        assert "ConnectionError" in error.stack_trace
    else:
        assert error.stack_trace is None


async def test_delete_and_list_do_in_each_state_what_is_claimed(harness: EngineHarness) -> None:
    refs = {
        JobState.COMPLETED: await harness.enqueue("mail"),
        JobState.FAILED: await harness.enqueue("mail", outcome=Outcome.FAIL),
        JobState.ACTIVE: await harness.enqueue("mail", outcome=Outcome.HOLD),
    }
    async with harness.workers("mail"):
        for state, ref in refs.items():
            await until_state(harness, state, [ref])
        queue = await find(harness, "queue:mail")
        capabilities = harness.engine.capabilities(queue)
        # What waits must not be taken: it waits in a paused queue, or in one without workers.
        idle = "mail" if await can_pause(harness, "queue:mail") else "later"
        if idle == "mail":
            await harness.engine.pause(queue)
        refs[JobState.WAITING] = await harness.enqueue(idle)
        for state, ref in refs.items():
            if state is JobState.WAITING:
                queue = await find(harness, f"queue:{idle}")
            if capabilities.list_jobs[state] is ListSupport.NO:
                with pytest.raises(Unsupported):
                    await harness.engine.list_jobs(queue, state, 10, 0)
                continue
            page = await harness.engine.list_jobs(queue, state, 10, 0)
            assert [job.ref for job in page.items] == [ref]
            if capabilities.total is TotalSupport.EXACT:
                assert page.total_kind is TotalKind.EXACT
            if capabilities.delete[state] is DeleteSupport.YES:
                assert await harness.engine.delete(ref) is DeleteOutcome.DELETED
            elif capabilities.delete[state] is DeleteSupport.NO:
                with pytest.raises(Conflict):
                    await harness.engine.delete(ref)
            else:
                assert await harness.engine.delete(ref) is DeleteOutcome.CANCEL_REQUESTED


async def test_retry_resets_attempts_as_claimed(harness: EngineHarness) -> None:
    ref = await harness.enqueue("mail", outcome=Outcome.FAIL)
    async with harness.workers("mail"):
        await until_state(harness, JobState.FAILED, [ref])
    capabilities = await capabilities_of(harness)
    assert capabilities.retry is not RetrySupport.NONE
    result = await harness.engine.retry(ref)
    assert result.attempts_reset is (capabilities.attempts_reset is not AttemptsReset.NO)


async def test_ids_are_unique_as_claimed(harness: EngineHarness) -> None:
    refs = [await harness.enqueue(name) for name in ("one", "two") for _ in range(3)]
    capabilities = harness.engine.capabilities(await find(harness, "queue:one"))
    if capabilities.id_scope is not IdScope.QUEUE:
        assert {ref.queue for ref in refs} == {""}
        assert len({ref.id for ref in refs}) == len(refs)
    for ref in refs:
        assert (await get_job(harness, ref)).ref == ref
