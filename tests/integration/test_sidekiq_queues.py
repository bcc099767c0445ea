"""Sidekiq's queues: counts, what they cost, and what Redis may do to us."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import servers
from contract.harness import eventually
from quarterdeck.core.clock import utc_now
from quarterdeck.core.errors import SourceUnavailable, Unsupported
from quarterdeck.core.pagination import TotalKind
from quarterdeck.queues.model import BulkAction, JobState, Priority, QueueRef
from sidekiq_world import MAIL, SOURCE, SidekiqClient, SidekiqWorld, open_world, sidekiq_client

__all__ = ["sidekiq_client"]

BULK = QueueRef(SOURCE, "queue:bulk")


@pytest.fixture
async def world(
    sidekiq_client: SidekiqClient, redis_server: servers.RedisServer, tmp_path: Path
) -> AsyncIterator[SidekiqWorld]:
    async with open_world(sidekiq_client, redis_server, tmp_path) as opened:
        yield opened


def calls(redis: Any) -> dict[str, int]:
    """How often each command was called since the last reset."""
    about = redis.info("commandstats")
    return {name.removeprefix("cmdstat_"): each["calls"] for name, each in about.items()}


def fill(world: SidekiqWorld, place: str, count: int, queue: str = "mail") -> None:
    """Jobs with ids `<place><queue>0` and so on."""
    for number in range(count):
        job_id = f"{place.partition(':')[0]}{queue}{number}"
        world.put(place, job_id, 2_000_000_000 + number, queue=queue)


async def test_counts_of_all_queues_are_one_call_whose_price_is_that_of_the_queues(
    world: SidekiqWorld,
) -> None:
    await world.engine.snapshot()
    prices = []
    for jobs in (3, 300):
        for queue in ("mail", "bulk"):
            fill(world, f"queue:{queue}", jobs, queue)
        fill(world, "dead", jobs)
        world.redis.config_resetstat()
        found = await world.engine.snapshot()
        assert found[MAIL].failed == jobs
        called = calls(world.redis)
        assert called.pop("evalsha") == 1
        prices.append(sum(called.values()))
        world.redis.flushall()
    assert prices[0] == prices[1]


async def test_large_sets_are_counted_beside_and_not_with_each_question(
    world: SidekiqWorld,
) -> None:
    fill(world, "dead", 700)
    fill(world, "dead", 500, "bulk")
    fill(world, "schedule", 600, "later")
    expected = {"queue:mail": (700, 0), "queue:bulk": (500, 0), "queue:later": (0, 600)}

    async def is_counted() -> bool:
        found = await world.engine.snapshot()
        return expected == {
            queue.name: (stats.failed, stats.waiting) for queue, stats in found.items()
        }

    await eventually(is_counted)
    world.redis.config_resetstat()
    for _ in range(50):
        assert (await world.stats()).failed == 700
    # Each count of both sets takes three or more of these, and there were a hundred questions.
    assert calls(world.redis).get("zscan", 0) < 100


async def test_jobs_of_all_places_count_in_the_queue_that_they_name(world: SidekiqWorld) -> None:
    await world.push(1)
    await world.push(2, at=2**32)
    await world.dead(3)
    await world.dead(4, queue="bulk")
    world.put("retry", "r1", 2**32, retry_count=1, error_message="451 4.3.0 try again")
    found = await world.engine.snapshot()
    assert (found[MAIL].waiting, found[MAIL].failed) == (3, 1)
    assert (found[BULK].waiting, found[BULK].failed) == (0, 1)


async def test_a_job_that_is_due_and_not_fetched_waits_since_then(world: SidekiqWorld) -> None:
    world.put("retry", "r1", 1_700_000_000)
    stats = await world.stats()
    assert stats.oldest_waiting_at == datetime.fromtimestamp(1_700_000_000, UTC)
    assert "overdue" in stats.warnings[0]
    world.put("queue:mail", "q1", enqueued_at=1_600_000_000_000)
    oldest = (await world.stats()).oldest_waiting_at
    assert oldest == datetime.fromtimestamp(1_600_000_000, UTC)


async def test_later_versions_keys_and_times_are_read(world: SidekiqWorld) -> None:
    """As Sidekiq 8 documents them: times in ms, and running jobs in `<identity>:work`."""
    job = json.dumps(
        {"queue": "mail", "class": "Act", "args": [7], "jid": "w1", "created_at": 1_700_000_000_000}
    )
    report = {"queue": "mail", "payload": job, "run_at": 1_700_000_005}
    world.redis.sadd("processes", "web1:1:abc")
    world.redis.hset("web1:1:abc:work", "t1", json.dumps(report))
    assert (await world.stats()).active == 1
    (shown,) = (await world.engine.list_jobs(MAIL, JobState.ACTIVE, 10, 0)).items
    assert shown.ref.id == "w1"
    assert shown.payload == {"class": "Act", "args": [7]}
    assert shown.created_at == datetime.fromtimestamp(1_700_000_000, UTC)
    assert shown.updated_at == datetime.fromtimestamp(1_700_000_005, UTC)
    assert await world.engine.find_job(shown.ref) == shown
    # What lies in a list is there, whatever a worker told some seconds ago.
    world.redis.lpush("queue:mail", job)
    assert (await world.get(shown.ref)).state is JobState.WAITING
    assert (await world.engine.list_jobs(MAIL, None, 10, 0)).total == 1


async def test_a_queue_paused_by_pro_is_said_to_be_and_cannot_be_changed(
    world: SidekiqWorld,
) -> None:
    await world.push()
    world.redis.sadd("paused", "mail")
    stats = await world.stats()
    assert (stats.paused, "Sidekiq Pro" in stats.warnings[0]) == (True, True)
    for change in (world.engine.pause, world.engine.resume):
        with pytest.raises(Unsupported, match="no way to pause"):
            await change(MAIL)


async def test_completed_jobs_are_refused_and_not_drawn_as_none(world: SidekiqWorld) -> None:
    await world.push()
    with pytest.raises(Unsupported, match="keeps no job that has succeeded"):
        await world.engine.list_jobs(MAIL, JobState.COMPLETED, 10, 0)
    stats = await world.stats()
    assert (stats.completed, stats.completed_last_hour) == (None, None)


async def test_a_wrong_type_is_unknown_and_not_zero(world: SidekiqWorld) -> None:
    await world.push()
    world.redis.set("dead", "x")
    stats = await world.stats()
    assert (stats.failed, stats.waiting) == (None, 1)
    assert "another type" in stats.warnings[0]
    assert len((await world.engine.list_jobs(MAIL, None, 10, 0)).items) == 1
    assert [n async for n in world.engine.bulk(BulkAction.RETRY_FAILED, MAIL, utc_now())] == []


async def test_namespaces_are_sources_of_their_own(world: SidekiqWorld) -> None:
    ref = world.put("dead", "d1")
    engine = world.open_engine(namespace="shop", queues=["mail"])
    assert {queue.name: stats.failed for queue, stats in (await engine.snapshot()).items()} == {
        "queue:mail": 0
    }
    world.redis.rename("dead", "shop:dead")
    await engine.retry(ref)
    assert world.redis.llen("shop:queue:mail") == 1
    assert await engine.find_job(ref) is not None


async def test_bands_come_from_the_name_or_the_settings(world: SidekiqWorld) -> None:
    engine = world.open_engine(queues=["a:high", "b:low", "c", "d"], priorities={"c": "high"})
    assert {queue.name: queue.priority for queue in await engine.snapshot()} == {
        "queue:a:high": Priority.HIGH,
        "queue:b:low": Priority.LOW,
        "queue:c": Priority.HIGH,
        "queue:d": Priority.NORMAL,
    }


async def test_large_queues_are_paged_in_the_order_of_their_places(world: SidekiqWorld) -> None:
    fill(world, "queue:mail", 2100)
    fill(world, "dead", 50)
    seen = []
    for offset in range(0, 2200, 100):
        page = await world.engine.list_jobs(MAIL, None, 100, offset)
        assert (page.total, page.total_kind) == (2150, TotalKind.EXACT)
        seen += [job.ref.id for job in page.items]
    expected = [f"queuemail{number}" for number in reversed(range(2100))]
    assert seen == expected + [f"deadmail{number}" for number in reversed(range(50))]
    few = await world.engine.list_jobs(MAIL, JobState.WAITING, 3, 2098)
    assert [job.ref.id for job in few.items] == ["queuemail1", "queuemail0"]
    sample = await world.engine.sample_failures(MAIL, 10)
    assert sample.failures[0].ref.id == "deadmail49"
    assert not sample.is_complete


async def test_a_wrong_password_is_named(world: SidekiqWorld) -> None:
    world.redis.acl_setuser("sk", enabled=True, passwords="+right", commands=["+get"], keys=["*"])
    for password, reason in (("wrong", "refuses the user name"), ("right", "do too little")):
        engine = world.open_engine(url=world.url.replace("//", f"//sk:{password}@"))
        # Each is called before the loop goes on, so it has this round's engine.
        for ask in (engine.snapshot, lambda: engine.list_jobs(MAIL, None, 10, 0)):  # noqa: B023
            with pytest.raises(SourceUnavailable, match=reason) as caught:
                await ask()
            assert caught.value.source == SOURCE
    world.redis.acl_deluser("sk")


async def test_a_replica_is_read_and_not_written(world: SidekiqWorld) -> None:
    ref = world.put("dead", "d1")
    world.redis.replicaof("127.0.0.1", "1")
    try:
        assert (await world.stats()).failed == 1
        assert len((await world.engine.list_jobs(MAIL, None, 10, 0)).items) == 1
        for change in (world.engine.retry(ref), world.engine.delete(ref)):
            with pytest.raises(SourceUnavailable, match="read-only replica"):
                await change
    finally:
        world.redis.replicaof("NO", "ONE")


async def test_a_full_server_is_read_and_not_written(world: SidekiqWorld) -> None:
    ref = world.put("dead", "d1")
    world.redis.config_set("maxmemory", "1")
    try:
        assert (await world.stats()).failed == 1
        with pytest.raises(SourceUnavailable, match="out of memory"):
            await world.engine.retry(ref)
    finally:
        world.redis.config_set("maxmemory", "0")
    assert (await world.get(ref)).state is JobState.FAILED


async def test_reads_send_no_command_that_writes(world: SidekiqWorld) -> None:
    ref = world.put("dead", "d1")
    await world.push()
    keys = sorted(world.redis.keys())
    world.redis.config_resetstat()
    for read in (
        world.engine.snapshot(),
        world.engine.find_queue("queue:mail"),
        world.engine.find_job(ref),
        world.engine.sample_failures(MAIL, 10),
        world.engine.list_jobs(MAIL, None, 10, 0),
    ):
        await read
    called = calls(world.redis)
    assert sorted(world.redis.keys()) == keys
    commands = world.redis.command().items()
    assert not {name for name, about in commands if name in called and "write" in about["flags"]}


async def test_running_jobs_are_those_that_workers_report(world: SidekiqWorld) -> None:
    ref = await world.push({"outcome": "hold"})

    async def is_active() -> bool:
        return (await world.moving_stats()).active == 1

    async with world.fleet.running("mail"):
        await eventually(is_active)
        job = await world.get(ref)
        assert (job.state, job.native_state, job.attempts) == (JobState.ACTIVE, "work", 1)
    assert (await world.stats()).active == 0
