"""BullMQ 5 and 6 keep a paused queue's jobs in different lists. None of ours may be lost between.

Version 5 moves `wait` to `paused`, and back over whatever is in `wait`. Version 6 leaves jobs in
`wait`. All producers and workers here are the real ones.
"""

import pytest

from bullmq_world import BullmqWorld, bullmq_programs, world
from contract.harness import DirectToolbox, eventually
from contract.questions import runs_of
from contract.sql_harness import SOURCE
from quarterdeck.core.clock import utc_now
from quarterdeck.core.errors import Unsupported
from quarterdeck.queues.adapters.bullmq.changing import STEP
from quarterdeck.queues.model import BulkAction, JobState, PauseSupport, RetrySupport

__all__ = ["bullmq_programs", "world"]

BOTH = pytest.mark.parametrize("major", [5, 6])


def numbers(first: int, count: int) -> list[object]:
    return [{"number": number} for number in range(first, first + count)]


async def all_run_once(world: BullmqWorld, major: int, ids: list[str]) -> None:
    fleet = world.of(major).fleet(world.directory)
    before = runs_of(fleet.runs())
    async with fleet.running("mail"):
        await world.until_state(JobState.COMPLETED, ids)
    assert {each: runs_of(fleet.runs())[each] - before[each] for each in ids} == dict.fromkeys(
        ids, 1
    )


async def test_bullmq_5_loses_what_another_version_left_in_wait(world: BullmqWorld) -> None:
    lost = await world.v6.add_many("mail", numbers(0, 5))
    await world.v6.call("mail", "pause")
    kept = await world.v5.add_many("mail", numbers(5, 3))
    assert any("loses 5 of its jobs" in each for each in (await world.stats()).warnings)
    await world.v5.call("mail", "resume")
    assert [await world.places(each) for each in lost] == [[]] * 5
    assert [await world.places(each) for each in kept] == [["wait"]] * 3
    assert (await world.job(lost[0])).native_state == "in no list"


@BOTH
@pytest.mark.parametrize("waiting", [0, 5])
async def test_our_pause_is_resumed_by_its_own_version_without_loss(
    world: BullmqWorld, major: int, waiting: int
) -> None:
    programs = world.of(major)
    first = await programs.add("mail", {"number": -1})
    await all_run_once(world, major, [first])
    ids = await programs.add_many("mail", numbers(0, waiting))
    await world.engine.pause(await world.queue())
    assert await programs.call("mail", "isPaused") is True
    ids += await programs.add_many("mail", numbers(waiting, 3))
    stats = await world.stats()
    assert (stats.waiting, stats.paused, stats.warnings) == (waiting + 3, True, [])
    await programs.call("mail", "resume")
    await all_run_once(world, major, ids)


@BOTH
@pytest.mark.parametrize("waiting", [0, 5])
async def test_retry_in_a_natively_paused_queue_survives_its_native_resume(
    world: BullmqWorld, major: int, waiting: int
) -> None:
    programs = world.of(major)
    failed = await world.fail(major, 3)
    world.heal()
    ids = await programs.add_many("mail", numbers(10, waiting))
    await programs.call("mail", "pause")
    await world.engine.retry(world.ref(failed[0]))
    queue = await world.queue()
    assert [size async for size in world.engine.bulk(BulkAction.RETRY_FAILED, queue, utc_now())]
    for each in failed:
        job = await world.job(each)
        assert (job.state, job.attempts, job.native_state) == (JobState.WAITING, 0, "delayed")
    assert (await world.stats()).warnings == []
    ids += await programs.add_many("mail", numbers(20, 2))
    await programs.call("mail", "resume")
    await all_run_once(world, major, failed + ids)


@BOTH
async def test_retry_while_workers_of_a_paused_queue_wait_starts_nothing(
    world: BullmqWorld, major: int
) -> None:
    programs = world.of(major)
    failed = await world.fail(major, 2)
    world.heal()
    fleet = programs.fleet(world.directory)
    before = len(fleet.runs())
    async with fleet.running("mail", "other"):
        await world.engine.pause(await world.queue())
        for each in failed:
            await world.engine.retry(world.ref(each))
        beside = await programs.add("other", {"number": 1})
        await world.until_state(JobState.COMPLETED, [beside], "other")
        assert len(fleet.runs()) == before + 1
        await programs.call("mail", "resume")
        await world.until_state(JobState.COMPLETED, failed)


@BOTH
async def test_our_resume_brings_back_what_both_versions_left(
    world: BullmqWorld, major: int
) -> None:
    ids = await world.v6.add_many("mail", numbers(0, 5))
    await world.v6.call("mail", "pause")
    ids += await world.v5.add_many("mail", numbers(5, 3))
    result = await world.engine.resume(await world.queue())
    assert (result.changed, result.paused) == (True, False)
    stats = await world.stats()
    assert (stats.waiting, stats.paused, stats.warnings) == (8, False, [])
    await all_run_once(world, major, ids)


async def test_pausing_again_makes_a_mixed_queue_safe_for_version_5(world: BullmqWorld) -> None:
    ids = await world.v6.add_many("mail", numbers(0, 5))
    await world.v6.call("mail", "pause")
    ids += await world.v5.add_many("mail", numbers(5, 3))
    result = await world.engine.pause(await world.queue())
    assert (result.changed, result.paused) == (False, True)
    assert (await world.stats()).warnings == []
    await world.v5.call("mail", "resume")
    await all_run_once(world, 5, ids)


async def test_queue_paused_in_version_5_and_upgraded_keeps_its_jobs(world: BullmqWorld) -> None:
    ids = await world.v5.add_many("mail", numbers(0, 5))
    await world.engine.pause(await world.queue())
    ids += await world.v6.add_many("mail", numbers(5, 3))
    await world.engine.pause(await world.queue())
    assert await world.redis.llen("bull:mail:wait") == 8
    await world.v6.call("mail", "resume")
    await all_run_once(world, 6, ids)


async def test_resume_moves_on_until_nothing_is_left_and_keeps_the_order(
    world: BullmqWorld,
) -> None:
    await world.v5.add("mail", {"number": 0})
    aside = [f"a{number}" for number in range(3 * STEP + 1)]
    waiting = [f"w{number}" for number in range(10)]
    await world.redis.lpush("bull:mail:paused", *aside)
    await world.redis.delete("bull:mail:wait")
    await world.redis.lpush("bull:mail:wait", *waiting)
    await world.redis.hset("bull:mail:meta", "paused", 1)
    result = await world.engine.resume(await world.queue())
    assert result.changed
    assert await world.redis.exists("bull:mail:paused") == 0
    taken_first = (await world.redis.lrange("bull:mail:wait", 0, -1))[::-1]
    assert taken_first == aside + waiting


@pytest.mark.parametrize(
    "version", ["bullmq:4.18.3", "bullmq-pro:7.1.0", "bullmq:7.0.0", "nonsense"]
)
async def test_other_versions_are_read_and_never_written(world: BullmqWorld, version: str) -> None:
    failed = await world.fail(6, 2)
    waiting = await world.v6.add("mail", {"number": 1})
    await world.redis.hset("bull:mail:meta", "version", version)
    queue = await world.queue()
    capabilities = world.engine.capabilities(queue)
    assert capabilities.pause is PauseSupport.NONE
    assert capabilities.retry is RetrySupport.NONE
    before = await world.stats()
    assert any(version in warning for warning in before.warnings)
    for change in (
        lambda: world.engine.pause(queue),
        lambda: world.engine.resume(queue),
        lambda: world.engine.retry(world.ref(failed[0])),
        lambda: world.engine.delete(world.ref(waiting)),
    ):
        with pytest.raises(Unsupported, match="only the layouts of BullMQ 5 and 6"):
            await change()
    for action in BulkAction:
        with pytest.raises(Unsupported):
            _ = [size async for size in world.engine.bulk(action, queue, utc_now())]
    assert await world.stats() == before
    assert await world.redis.llen("bull:mail:wait") == 1


async def test_queue_without_a_version_is_retried_but_not_paused(world: BullmqWorld) -> None:
    failed = await world.fail(6, 2)
    world.heal()
    await world.redis.hdel("bull:mail:meta", "version")
    queue = await world.queue()
    assert world.engine.capabilities(queue).pause is PauseSupport.NONE
    with pytest.raises(Unsupported, match="assume_version"):
        await world.engine.pause(queue)
    assert (await world.stats()).paused is False
    await world.engine.retry(world.ref(failed[0]))
    await world.redis.hset("bull:mail:meta", "paused", 1)
    assert any("assume_version" in warning for warning in (await world.stats()).warnings)
    await world.engine.retry(world.ref(failed[1]))
    assert await world.places(failed[1]) == ["delayed"]
    await world.engine.resume(queue)
    await all_run_once(world, 6, failed)


@BOTH
async def test_assumed_version_pauses_as_that_version_resumes(
    world: BullmqWorld, major: int
) -> None:
    engine = DirectToolbox().build(
        "bullmq", SOURCE, {"url": world.server.url, "assume_version": major}
    )
    ids = await world.of(major).add_many("mail", numbers(0, 4))
    await world.redis.hdel("bull:mail:meta", "version")
    found = await engine.find_queue("queue:mail")
    assert found is not None
    assert engine.capabilities(found[0]).pause is PauseSupport.NATIVE
    await engine.pause(found[0])
    await engine.close()
    assert await world.redis.llen(f"bull:mail:{'paused' if major == 5 else 'wait'}") == 4
    await world.of(major).call("mail", "resume")
    await all_run_once(world, major, ids)


async def is_idle(world: BullmqWorld) -> bool:
    """Whether workers wait for a marker."""
    clients = await world.redis.client_list()
    waiting = [each for each in clients if each["cmd"] == "bzpopmin"]
    return bool(waiting) and not await world.redis.exists("bull:mail:marker")


@BOTH
async def test_idle_workers_wake_up_for_a_retry_and_for_a_resume(
    world: BullmqWorld, major: int
) -> None:
    (failed,) = await world.fail(major)
    world.heal()
    fleet = world.of(major).fleet(world.directory, drainDelay=600)

    async with fleet.running("mail"):
        await eventually(lambda: is_idle(world))
        await world.engine.retry(world.ref(failed))
        await world.until_state(JobState.COMPLETED, [failed])
        await world.engine.pause(await world.queue())
        late = await world.of(major).add("mail", {"number": 1})
        await world.engine.resume(await world.queue())
        await world.until_state(JobState.COMPLETED, [late])


@BOTH
async def test_idle_workers_wake_up_for_what_was_set_aside(world: BullmqWorld, major: int) -> None:
    (job_id,) = await world.of(major).add_many("mail", [{"number": 0}])
    await world.redis.rename("bull:mail:wait", "bull:mail:paused")
    await world.redis.delete("bull:mail:marker")
    async with world.of(major).workers(world.directory, "mail", drainDelay=600):
        await eventually(lambda: is_idle(world))
        assert (await world.stats()).warnings != []
        await world.engine.resume(await world.queue())
        await world.until_state(JobState.COMPLETED, [job_id])
