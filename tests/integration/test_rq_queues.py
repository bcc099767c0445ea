"""RQ's queues: their counts at a small price, and the one switch of all workers."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue
from rq.suspension import suspend

import servers
from contract.harness import eventually
from quarterdeck.queues.model import JobState, PauseScope, Priority, QueueRef
from rq_world import ACT, MAIL, SOURCE, RqWorld, fail, has_run, open_world, ref, succeed


@pytest.fixture
async def world(redis_server: servers.RedisServer, tmp_path: Path) -> AsyncIterator[RqWorld]:
    async with open_world(redis_server, tmp_path) as opened:
        yield opened


def calls(redis: Redis) -> dict[str, int]:
    """How often each command was called since the last reset."""
    about = redis.info("commandstats")
    return {name.removeprefix("cmdstat_"): each["calls"] for name, each in about.items()}


async def test_counts_of_all_queues_are_one_call_whose_price_is_that_of_the_queues(
    world: RqWorld,
) -> None:
    await world.engine.snapshot()
    prices = []
    for jobs in (3, 300):
        for name in ("one", "two", "three"):
            world.redis.sadd("rq:queues", f"rq:queue:{name}")
            world.redis.rpush(f"rq:queue:{name}", *(f"{name}{n}" for n in range(jobs)))
            world.redis.zadd(f"rq:failed:{name}", {f"{name}f{n}": 2**40 for n in range(jobs)})
        world.redis.config_resetstat()
        found = await world.engine.snapshot()
        assert {stats.failed for stats in found.values()} == {jobs}
        called = calls(world.redis)
        assert called.pop("evalsha") == 1
        assert set(called) <= {
            "config|resetstat", "exists", "smembers", "sismember", "lindex", "hget", "llen",
            "lrange", "zcard", "zcount", "info",
        }  # fmt: skip
        prices.append(sum(called.values()))
    assert prices[0] == prices[1]


async def test_what_is_past_its_time_is_not_counted_nor_listed(world: RqWorld) -> None:
    kept, forgotten = world.failed(), world.failed()
    endless = world.failed(failure_ttl=-1)
    done, gone = world.queue.enqueue(succeed, result_ttl=-1), world.queue.enqueue(succeed)
    world.work()
    for key, job in (("rq:failed:mail", forgotten), ("rq:finished:mail", gone)):
        world.redis.zadd(key, {job.id: 1})
        world.redis.delete(job.key)
    stats = await world.stats()
    assert (stats.failed, stats.completed) == (2, 1)
    page = await world.engine.list_jobs(MAIL, None, 10, 0)
    assert {job.ref for job in page.items} == {ref(kept), ref(endless), ref(done)}
    assert page.total == 3


async def test_one_queue_is_told_as_in_the_list_of_all(world: RqWorld) -> None:
    world.failed()
    world.queue.enqueue(succeed)
    world.queue.enqueue_in(timedelta(hours=1), succeed)
    assert (await world.engine.snapshot())[MAIL] == await world.stats()


async def test_large_queues_are_paged_in_the_order_of_their_places(world: RqWorld) -> None:
    waiting = [f"w{number:04}" for number in range(2100)]
    failed = [f"f{number:04}" for number in range(50)]
    pipeline = world.redis.pipeline()
    pipeline.sadd("rq:queues", "rq:queue:mail")
    for job_id in waiting + failed:
        status = "queued" if job_id.startswith("w") else "failed"
        pipeline.hset(f"rq:job:{job_id}", mapping={"status": status, "origin": "mail"})
    pipeline.rpush("rq:queue:mail", *waiting)
    pipeline.zadd("rq:failed:mail", {job_id: 2**40 + n for n, job_id in enumerate(failed)})
    pipeline.execute()
    seen = []
    for offset in range(0, 2200, 100):
        page = await world.engine.list_jobs(MAIL, None, 100, offset)
        assert page.total == 2150
        seen += [job.ref.id for job in page.items]
    assert seen == [*reversed(waiting), *reversed(failed)]
    few = await world.engine.list_jobs(MAIL, JobState.WAITING, 3, 2098)
    assert [job.ref.id for job in few.items] == ["w0001", "w0000"]
    sample = await world.engine.sample_failures(MAIL, 10)
    assert (len(sample.failures), sample.is_complete) == (10, False)


async def test_prefixes_are_sources_of_their_own(world: RqWorld) -> None:
    world.queue.enqueue(succeed)
    tagged = world.open_engine(prefix="{rq}:a", queues=["mail", "bulk"])
    found = await tagged.snapshot()
    assert {queue.name: stats.waiting for queue, stats in found.items()} == {
        "queue:mail": 0,
        "queue:bulk": 0,
    }
    await tagged.pause(MAIL)
    assert world.redis.exists("{rq}:a:suspended")
    assert (await world.stats()).paused is False
    await tagged.close()


async def test_bands_come_from_the_name_or_the_settings(world: RqWorld) -> None:
    engine = world.open_engine(queues=["a:high", "b:low", "c", "d"], priorities={"c": "high"})
    assert {queue.name: queue.priority for queue in await engine.snapshot()} == {
        "queue:a:high": Priority.HIGH,
        "queue:b:low": Priority.LOW,
        "queue:c": Priority.HIGH,
        "queue:d": Priority.NORMAL,
    }
    await engine.close()


async def test_suspended_workers_start_nothing_in_any_queue(world: RqWorld) -> None:
    held = [world.queue.enqueue(ACT, outcome="hold") for _ in range(2)]
    async with world.fleet.running("mail", "other", processes=2):
        await eventually(lambda: workers_are(world, "busy", 2))
        result = await world.engine.pause(MAIL)
        assert (result.scope, result.durable) == (PauseScope.GLOBAL, True)
        assert "every queue" in result.notes[0]
        for name in ("mail", "other"):
            Queue(name, connection=world.redis).enqueue(ACT)
        world.fleet.release()
        await eventually(lambda: workers_are(world, "suspended", 2))
        found = await world.engine.snapshot()
        assert {stats.paused for stats in found.values()} == {True}
        assert {stats.waiting for stats in found.values()} == {1}
        assert {run.job_id for run in world.fleet.runs()} == {job.id for job in held}
        await world.engine.resume(MAIL)
        await eventually(lambda: has_run(world, 4))


async def test_idle_workers_take_one_more_job_each_as_the_pause_says(world: RqWorld) -> None:
    world.queue.enqueue(succeed).delete()
    async with world.fleet.running("mail", processes=2):
        await eventually(lambda: workers_are(world, "idle", 2))
        result = await world.engine.pause(MAIL)
        assert "one more" in result.notes[0]
        for _ in range(20):
            world.queue.enqueue(ACT)
        await eventually(lambda: workers_are(world, "suspended", 2))
        assert (await world.stats()).waiting == 18
        await world.engine.resume(MAIL)
        await eventually(lambda: has_run(world, 20))


async def workers_are(world: RqWorld, state: str, number: int) -> bool:
    workers = [world.redis.hget(key, "state") for key in world.redis.smembers("rq:workers")]
    return workers == [state.encode()] * number


async def test_a_pause_outlasts_one_that_was_for_a_while(world: RqWorld) -> None:
    world.queue.enqueue(succeed)
    suspend(world.redis, ttl=60)
    assert (await world.stats()).paused is True
    assert (await world.engine.pause(MAIL)).changed
    assert world.redis.ttl("rq:suspended") == -1
    assert not (await world.engine.pause(MAIL)).changed


async def test_unknown_queues_of_an_empty_server(world: RqWorld) -> None:
    assert await world.engine.snapshot() == {}
    assert await world.engine.find_queue("queue:mail") is None
    empty = await world.engine.list_jobs(QueueRef(SOURCE, "queue:mail"), None, 10, 0)
    assert (list(empty.items), empty.total) == ([], 0)


async def test_failures_of_one_second_are_sampled_newest_first(world: RqWorld) -> None:
    jobs = [world.queue.enqueue(fail) for _ in range(8)]
    world.work()
    sample = await world.engine.sample_failures(MAIL, 8)
    assert [failure.ref for failure in sample.failures] == [ref(job) for job in reversed(jobs)]
