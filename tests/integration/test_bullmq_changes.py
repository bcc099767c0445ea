"""Retry and delete in every kind of place that BullMQ keeps a job in."""

import pytest

from bullmq_world import BullmqWorld, bullmq_programs, world
from contract.questions import runs_of
from quarterdeck.core.clock import utc_now
from quarterdeck.core.errors import Conflict, NotFound
from quarterdeck.queues.model import BulkAction, DeleteOutcome, JobState, QueueRef

__all__ = ["bullmq_programs", "world"]

BOTH = pytest.mark.parametrize("major", [5, 6])


@BOTH
async def test_retried_job_has_all_its_attempts_again(world: BullmqWorld, major: int) -> None:
    (failed,) = await world.fail(major, 1, attempts=3)
    job = await world.job(failed)
    assert (job.attempts, job.max_attempts) == (3, 3)
    result = await world.engine.retry(world.ref(failed))
    assert result.attempts_reset
    assert (await world.job(failed)).attempts == 0
    fleet = world.of(major).fleet(world.directory)
    async with fleet.running("mail"):
        await world.until_state(JobState.FAILED, [failed])
    # The worker itself fails the run if its count of starts is not that of attempts.
    assert [run.attempt for run in fleet.runs()] == [1, 2, 3, 1, 2, 3]
    error = (await world.job(failed)).error
    assert error is not None
    assert error.message == "421 4.7.0 mx1.example.com: too many connections"


@BOTH
async def test_retry_keeps_priority_and_turn(world: BullmqWorld, major: int) -> None:
    programs = world.of(major)
    fail = {"outcome": "fail"}
    urgent = await programs.add("mail", fail, priority=2)
    last_in_first_out = await programs.add("mail", fail, lifo=True)
    async with programs.workers(world.directory, "mail"):
        await world.until_state(JobState.FAILED, [urgent, last_in_first_out])
    first = await programs.add("mail", {})
    await programs.add("mail", {}, priority=1)
    await programs.add("mail", {}, priority=3)
    for each in (urgent, last_in_first_out):
        await world.engine.retry(world.ref(each))
    assert (await world.redis.zrange("bull:mail:prioritized", 0, -1))[1] == urgent
    assert await world.redis.lrange("bull:mail:wait", 0, -1) == [first, last_in_first_out]
    world.heal()
    async with programs.workers(world.directory, "mail"):
        await world.until_state(JobState.COMPLETED, [urgent, last_in_first_out])


@BOTH
async def test_delete_takes_a_job_out_of_every_place(world: BullmqWorld, major: int) -> None:
    programs = world.of(major)
    done = await programs.add("mail", {})
    async with programs.workers(world.directory, "mail"):
        await world.until_state(JobState.COMPLETED, [done])
    ids = {
        "completed": done,
        "wait": await programs.add("mail", {}),
        "delayed": await programs.add("mail", {}, delay=3_600_000),
        "prioritized": await programs.add("mail", {}, priority=5),
    }
    for place, job_id in ids.items():
        assert await world.places(job_id) == [place]
        assert await world.engine.delete(world.ref(job_id)) is DeleteOutcome.DELETED
        assert await world.places(job_id) == []
        assert await world.engine.find_job(world.ref(job_id)) is None
    aside = await programs.add("mail", {})
    await programs.call("mail", "pause")
    assert await world.engine.delete(world.ref(aside)) is DeleteOutcome.DELETED
    left = await world.redis.keys("bull:mail:*")
    own = {"meta", "id", "events", "marker", "pc", "stalled-check"}
    assert {key.removeprefix("bull:mail:") for key in left} <= own


@BOTH
async def test_running_job_is_kept_also_when_its_lock_is_gone(
    world: BullmqWorld, major: int
) -> None:
    programs = world.of(major)
    held = await programs.add("mail", {"outcome": "hold"})
    async with programs.workers(world.directory, "mail"):
        await world.until_state(JobState.ACTIVE, [held])
        await world.redis.delete(f"bull:mail:{held}:lock")
        with pytest.raises(Conflict, match="Running jobs cannot be deleted"):
            await world.engine.delete(world.ref(held))
        assert await world.places(held) == ["active"]


@BOTH
async def test_deleting_frees_the_deduplication_key(world: BullmqWorld, major: int) -> None:
    programs = world.of(major)
    first = await programs.add("mail", {}, deduplication={"id": "daily"})
    assert await programs.add("mail", {}, deduplication={"id": "daily"}) == first
    await world.engine.delete(world.ref(first))
    second = await programs.add("mail", {}, deduplication={"id": "daily"})
    assert second != first
    assert (await world.job(second)).state is JobState.WAITING


@BOTH
async def test_next_run_of_a_scheduler_is_not_deleted(world: BullmqWorld, major: int) -> None:
    await world.of(major).call("mail", "upsertJobScheduler", "nightly", {"every": 3_600_000})
    (page,) = [await world.engine.list_jobs(await world.queue(), None, 10, 0)]
    refs = [job.ref for job in page.items]
    assert refs
    assert all(job.ref.id.startswith("repeat:nightly:") for job in page.items)
    for ref in refs:
        with pytest.raises(Conflict, match="removeJobScheduler"):
            await world.engine.delete(ref)
    assert (await world.stats()).waiting == len(refs)
    assert (await world.stats()).waiting == page.total


async def add_flow(world: BullmqWorld, major: int, **child_opts: object) -> tuple[str, list[str]]:
    tree = {
        "name": "send",
        "queueName": "report",
        "data": {},
        "children": [
            {
                "name": "send", "queueName": "mail", "data": {"outcome": "fail"},
                "opts": {"attempts": 1, **child_opts},
            },
            {"name": "send", "queueName": "mail", "data": {}},
        ],
    }  # fmt: skip
    answer = await world.of(major).call("report", "flow", tree)
    return answer["id"], answer["children"]


@BOTH
async def test_retried_child_is_waited_for_by_its_parent(world: BullmqWorld, major: int) -> None:
    parent, children = await add_flow(world, major)
    assert (await world.job(parent, "report")).native_state == "waiting-children"
    async with world.of(major).workers(world.directory, "mail"):
        await world.until_state(JobState.FAILED, children[:1])
        await world.until_state(JobState.COMPLETED, children[1:])
    await world.engine.retry(world.ref(children[0]))
    world.heal()
    async with world.of(major).workers(world.directory, "mail", "report"):
        await world.until_state(JobState.COMPLETED, children)
        await world.until_state(JobState.COMPLETED, [parent], "report")


@BOTH
async def test_child_and_parent_that_failed_with_it_are_retried(
    world: BullmqWorld, major: int
) -> None:
    parent, children = await add_flow(world, major, failParentOnFailure=True)
    async with world.of(major).workers(world.directory, "mail", "report"):
        await world.until_state(JobState.FAILED, children[:1])
        await world.until_state(JobState.FAILED, [parent], "report")
    world.heal()
    await world.engine.retry(world.ref(children[0]))
    async with world.of(major).workers(world.directory, "mail"):
        await world.until_state(JobState.COMPLETED, children)
    await world.engine.retry(world.ref(parent, "report"))
    async with world.of(major).workers(world.directory, "report"):
        await world.until_state(JobState.COMPLETED, [parent], "report")


@BOTH
async def test_parent_that_went_on_without_its_child_is_not_held_up_by_a_retry(
    world: BullmqWorld, major: int
) -> None:
    parent, children = await add_flow(world, major, ignoreDependencyOnFailure=True)
    async with world.of(major).workers(world.directory, "mail"):
        await world.until_state(JobState.FAILED, children[:1])
        await world.until_state(JobState.COMPLETED, children[1:])
    assert (await world.job(parent, "report")).native_state == "wait"
    await world.engine.retry(world.ref(children[0]))
    async with world.of(major).workers(world.directory, "report"):
        await world.until_state(JobState.COMPLETED, [parent], "report")
    world.heal()
    async with world.of(major).workers(world.directory, "mail"):
        await world.until_state(JobState.COMPLETED, children)


@BOTH
async def test_flow_is_not_torn_apart(world: BullmqWorld, major: int) -> None:
    parent, children = await add_flow(world, major)
    with pytest.raises(Conflict, match="Children of this job are not done"):
        await world.engine.delete(world.ref(parent, "report"))
    with pytest.raises(Conflict, match="A parent waits for this job"):
        await world.engine.delete(world.ref(children[0]))
    async with world.of(major).workers(world.directory, "mail"):
        await world.until_state(JobState.FAILED, children[:1])
        await world.until_state(JobState.COMPLETED, children[1:])
    queue = await world.queue()
    deleted = [size async for size in world.engine.bulk(BulkAction.DELETE_FAILED, queue, utc_now())]
    assert deleted == []
    assert await world.engine.delete(world.ref(children[1])) is DeleteOutcome.DELETED
    await world.engine.retry(world.ref(children[0]))
    world.heal()
    async with world.of(major).workers(world.directory, "mail", "report"):
        await world.until_state(JobState.COMPLETED, [parent], "report")
    assert await world.engine.delete(world.ref(parent, "report")) is DeleteOutcome.DELETED
    assert await world.redis.keys(f"bull:report:{parent}*") == []


async def test_failure_whose_job_is_gone_is_cleared_by_deleting_all(world: BullmqWorld) -> None:
    failed = await world.fail(6, 3)
    await world.redis.delete(f"bull:mail:{failed[1]}")
    with pytest.raises(NotFound):
        await world.engine.retry(world.ref(failed[1]))
    with pytest.raises(NotFound):
        await world.engine.delete(world.ref(failed[1]))
    queue = await world.queue()
    page = await world.engine.list_jobs(queue, JobState.FAILED, 10, 0)
    assert {job.ref.id for job in page.items} == {failed[0], failed[2]}
    sizes = [size async for size in world.engine.bulk(BulkAction.DELETE_FAILED, queue, utc_now())]
    assert sizes == [3]
    assert (await world.stats()).failed == 0


async def test_retry_repeated_for_another_failure_is_refused(world: BullmqWorld) -> None:
    """A script may be sent twice when a connection breaks; it must not start a job twice."""
    (failed,) = await world.fail(6)
    engine = world.engine
    seen = await engine._listing.locate(world.ref(failed))  # type: ignore[attr-defined]
    await engine.retry(world.ref(failed))
    async with world.v6.workers(world.directory, "mail"):
        await world.until_state(JobState.FAILED, [failed])
    with pytest.raises(Conflict, match="failed again meanwhile"):
        await engine._changing.retry(  # type: ignore[attr-defined]
            world.ref(failed), int(seen[1]), 1
        )
    assert runs_of(world.v6.fleet(world.directory).runs())[failed] == 2


async def test_bulk_reads_more_failures_than_one_page_each_once(world: BullmqWorld) -> None:
    await world.v6.add("mail", {})
    await world.redis.delete("bull:mail:wait")
    pipeline = world.redis.pipeline(transaction=False)
    # Most of them failed in the same millisecond, so that pages cannot be told apart by time.
    for number in range(12_000):
        pipeline.zadd("bull:mail:failed", {f"f{number}": max(number, 11_000)})
    await pipeline.execute()
    queue = await world.queue()
    sizes = [size async for size in world.engine.bulk(BulkAction.DELETE_FAILED, queue, utc_now())]
    assert sum(sizes) == 12_000
    assert await world.redis.zcard("bull:mail:failed") == 0


async def test_band_without_a_queue_cannot_be_paused(world: BullmqWorld) -> None:
    await world.v6.add("mail", {})
    engine = world.open(band_separator="-")
    found = await engine.find_queue("queue:mail:high")
    assert found is not None
    for change in (engine.pause, engine.resume):
        with pytest.raises(NotFound, match="has had no jobs yet"):
            await change(found[0])
    with pytest.raises(NotFound):
        await engine.pause(QueueRef("platform", "no-name"))
    await engine.close()
    assert await world.redis.exists("bull:mail-high:meta") == 0
