"""Pause and resume: nothing starts once a pause has returned, and nothing is lost."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from contract.harness import EngineHarness, eventually
from contract.questions import can_pause, find, runs_of, stats_of, until_state
from quarterdeck.core.errors import NotFound
from quarterdeck.queues.model import JobState, PauseScope, Priority, QueueRef

BANDS = {Priority.HIGH: 10, Priority.NORMAL: 100, Priority.LOW: 200}
NAMES = {
    Priority.HIGH: "queue:mail:high",
    Priority.NORMAL: "queue:mail",
    Priority.LOW: "queue:mail:low",
}


async def paused_names(harness: EngineHarness) -> set[str]:
    snapshot = await harness.engine.snapshot()
    return {queue.name for queue, stats in snapshot.items() if stats.paused}


@pytest.mark.parametrize("priority", BANDS)
async def test_pause_says_what_it_stops_and_stops_that(
    harness: EngineHarness, priority: Priority
) -> None:
    for number in BANDS.values():
        await harness.enqueue("mail", priority=number)
    await harness.enqueue("other")
    queue = await find(harness, NAMES[priority])
    if not await can_pause(harness, queue.name):
        return
    capabilities = harness.engine.capabilities(queue)
    result = await harness.engine.pause(queue)
    assert result.scope is capabilities.pause_scope
    assert result.durable is capabilities.pause_durable
    expected = {
        PauseScope.BAND: {queue.name},
        PauseScope.QUEUE: set(NAMES.values()),
        PauseScope.GLOBAL: {*NAMES.values(), "queue:other"},
    }[result.scope]
    assert set(result.affected) == expected
    assert await paused_names(harness) == expected
    resumed = await harness.engine.resume(queue)
    assert set(resumed.affected) == expected
    assert (resumed.paused, resumed.scope) == (False, result.scope)
    assert await paused_names(harness) == set()


async def test_pausing_twice_changes_once(harness: EngineHarness) -> None:
    await harness.enqueue("mail")
    queue = await find(harness, "queue:mail")
    if not await can_pause(harness, queue.name):
        return
    first, second = await harness.engine.pause(queue), await harness.engine.pause(queue)
    assert (first.changed, second.changed, second.paused) == (True, False, True)
    third, fourth = await harness.engine.resume(queue), await harness.engine.resume(queue)
    assert (third.changed, fourth.changed, fourth.paused) == (True, False, False)


async def test_of_many_pauses_at_once_exactly_one_changes_something(
    harness: EngineHarness,
) -> None:
    await harness.enqueue("mail")
    queue = await find(harness, "queue:mail")
    if not await can_pause(harness, queue.name):
        return
    for change, is_paused in ((harness.engine.pause, True), (harness.engine.resume, False)):
        answers = await asyncio.gather(*(change(queue) for _ in range(8)))
        assert sum(answer.changed for answer in answers) == 1
        assert {answer.paused for answer in answers} == {is_paused}
        assert (await stats_of(harness, "queue:mail")).paused is is_paused


async def test_pausing_an_unknown_queue_is_not_found(harness: EngineHarness) -> None:
    known = await harness.enqueue("mail")
    if not await can_pause(harness, "queue:mail"):
        return
    for change in (harness.engine.pause, harness.engine.resume):
        with pytest.raises(NotFound):
            await change(QueueRef(known.source, "queue:nope"))


async def test_pause_under_load_stops_its_band_and_loses_nothing(harness: EngineHarness) -> None:
    refs = await harness.enqueue_many("mail", 300, priority=10)
    others = await harness.enqueue_many("mail", 60, priority=100)
    queue = await find(harness, "queue:mail:high")
    if not await can_pause(harness, queue.name):
        return

    async def has_begun() -> bool:
        return len(harness.runs()) >= 20

    async with harness.workers("mail", "other", processes=2):
        await eventually(has_begun)
        result = await harness.engine.pause(queue)
        left = (await stats_of(harness, queue.name)).waiting
        assert left is not None
        late = await harness.enqueue_many("mail", 40, priority=10)
        beside = await harness.enqueue_many("other", 60)
        if result.scope is not PauseScope.GLOBAL:
            await until_state(harness, JobState.COMPLETED, beside)
        if result.scope is PauseScope.BAND:
            await until_state(harness, JobState.COMPLETED, others)
        waiting = (await stats_of(harness, queue.name)).waiting
        assert waiting is not None
        # Workers that look at a switch before they ask for a job may have done so just before.
        under_way = 2 if result.scope is PauseScope.GLOBAL else 0
        assert 0 <= left + len(late) - waiting <= under_way
        await harness.engine.resume(queue)
        await until_state(harness, JobState.COMPLETED, [*refs, *late, *others, *beside])
    assert set(runs_of(harness.runs()).values()) == {1}
    assert len(runs_of(harness.runs())) == 460


async def test_jobs_that_come_during_a_pause_wait_and_then_run(harness: EngineHarness) -> None:
    first = await harness.enqueue("mail")
    queue = await find(harness, "queue:mail")
    if not await can_pause(harness, queue.name):
        return
    capabilities = harness.engine.capabilities(queue)
    async with AsyncExitStack() as workers:
        if not capabilities.pause_durable:
            # Only workers that are there can be asked to leave the queue alone.
            await workers.enter_async_context(harness.workers("mail", "other"))
            await until_state(harness, JobState.COMPLETED, [first])
        await harness.engine.pause(queue)
        second = await harness.enqueue("mail")
        if capabilities.pause_durable:
            await workers.enter_async_context(harness.workers("mail", "other"))
        other = await harness.enqueue("other")
        if capabilities.pause_scope is not PauseScope.GLOBAL:
            await until_state(harness, JobState.COMPLETED, [other])
        left = 2 if capabilities.pause_durable else 1
        assert (await stats_of(harness, "queue:mail")).waiting == left
        await harness.engine.resume(queue)
        await until_state(harness, JobState.COMPLETED, [first, second])
