"""The hybrid engine's numbers: rows and lists together, and what does not fit together."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

import servers
from hybrid_world import ASIDE, LIST, MAIL, HybridWorld, answer, comply, open_world, ref
from quarterdeck.core.errors import ConfigError, SourceUnavailable
from quarterdeck.queues.model import JobState, PauseSupport, Priority, QueueRef


@pytest.fixture
async def world(
    postgres_server: servers.PostgresServer, redis_server: servers.RedisServer, tmp_path: Path
) -> AsyncIterator[HybridWorld]:
    async with open_world(postgres_server, redis_server, tmp_path) as opened:
        yield opened


async def test_waiting_counts_rows_and_entries_of_each_band(world: HybridWorld) -> None:
    await world.platform.add_jobs("mail", [{}] * 3, priority=20)
    await world.platform.add_jobs("mail", [{}] * 5)
    await world.platform.migrate_once(6)
    stats = await world.stats()
    assert (stats.waiting, stats.active, stats.failed, stats.paused) == (5, 0, 0, False)
    high = await world.stats(QueueRef("platform", "queue:mail:high", Priority.HIGH))
    assert high.waiting == 3
    assert await answer(world.redis.llen("queue:mail:high")) == 3
    assert await answer(world.redis.llen(LIST)) == 3
    assert stats.warnings == []


async def test_job_counts_once_on_its_whole_way(world: HybridWorld) -> None:
    await world.platform.add_jobs("mail", [{}])
    assert (await world.stats()).waiting == 1
    await world.platform.migrate_once()
    assert (await world.stats()).waiting == 1
    row = await world.platform.take(["mail"])
    stats = await world.stats()
    assert (stats.waiting, stats.active) == (0, 1)
    await world.platform.finish(row)
    stats = await world.stats()
    assert (stats.waiting, stats.active, stats.completed_last_hour) == (0, 0, 1)


async def test_list_jobs_tells_where_each_waits(world: HybridWorld) -> None:
    ids = await world.platform.add_jobs("mail", [{"number": n} for n in range(4)])
    await world.platform.migrate_once(2)
    page = await world.engine.list_jobs(MAIL, JobState.WAITING, 10, 0)
    assert page.total == 4
    assert [(job.ref.id, job.location) for job in page.items] == [
        (ids[3], "postgresql"), (ids[2], "postgresql"), (ids[1], "redis"), (ids[0], "redis"),
    ]  # fmt: skip
    job = await world.engine.find_job(ref(ids[0]))
    assert job is not None
    assert (job.location, job.native_state) == ("redis", "migrated_to_redis")


async def test_rows_without_entries_are_told_with_their_number(world: HybridWorld) -> None:
    await world.migrated(5)
    await answer(world.redis.rpop(LIST, 2))
    assert (await world.stats()).warnings == []
    stats = await world.settled()
    assert stats.waiting == 3
    assert [warning.split()[0] for warning in stats.warnings] == ["2"]
    assert "no list holds them" in stats.warnings[0]


async def test_rows_are_told_as_lost_when_redis_restarts_empty(
    world: HybridWorld, redis_server: servers.RedisServer
) -> None:
    await world.migrated(4)
    await asyncio.to_thread(redis_server.stop)
    await asyncio.to_thread(redis_server.start)
    stats = await world.settled()
    assert stats.waiting == 0
    assert "4 jobs are marked as migrated to Redis, but no list" in stats.warnings[0]


async def test_job_in_a_workers_hands_is_not_called_lost(world: HybridWorld) -> None:
    await world.migrated(2)
    await world.stats()
    popped = await answer(world.redis.brpop([LIST], 1))
    await world.stats()
    await answer(world.redis.rpush(LIST, popped[1]))
    world.ahead *= 2
    assert (await world.settled()).warnings == []


async def test_entries_that_are_no_jobs_break_nothing_and_are_counted(world: HybridWorld) -> None:
    ids = await world.migrated(2)
    for junk in ("not json", "[1]", "null", b"\xff\xfe", '{"id": "gone"}', "[" * 5000):
        await answer(world.redis.lpush(LIST, junk))
    stats = await world.settled()
    assert "6 entries of this queue's lists belong to no job" in stats.warnings[0]
    await world.engine.pause(MAIL)
    await world.engine.resume(MAIL)
    await world.engine.delete(ref(ids[1]))
    page = await world.engine.list_jobs(MAIL, None, 10, 0)
    assert [job.ref.id for job in page.items] == ids[:1]
    assert await world.platform.work_once(["mail"], comply) == ids[0]


async def test_key_of_another_type_makes_waiting_unknown(world: HybridWorld) -> None:
    await world.platform.add_jobs("mail", [{}])
    await answer(world.redis.set(ASIDE, "not ours"))
    stats = await world.stats()
    assert (stats.waiting, stats.failed) == (None, 0)
    assert "no list lies under this queue's key" in stats.warnings[0]


async def test_redis_gone_is_unavailable_and_recovers(
    world: HybridWorld, redis_server: servers.RedisServer
) -> None:
    (failed,) = await world.failed(1)
    (waiting,) = await world.migrated(1)
    await asyncio.to_thread(redis_server.stop)
    calls: list[Callable[[], Awaitable[object]]] = [
        world.engine.snapshot, lambda: world.engine.find_queue(MAIL.name),
        lambda: world.engine.pause(MAIL), lambda: world.engine.resume(MAIL),
        lambda: world.engine.retry(ref(failed)), lambda: world.engine.delete(ref(waiting)),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(SourceUnavailable, match="Redis server of the source 'platform'"):
            await call()
    assert await world.status(failed) == "failed"
    await asyncio.to_thread(redis_server.start)
    assert (await world.stats()).failed == 1


async def test_postgresql_gone_is_unavailable_and_recovers(
    world: HybridWorld, postgres_server: servers.PostgresServer
) -> None:
    (job_id,) = await world.migrated(1)
    await world.stats()
    await asyncio.to_thread(postgres_server.stop)
    try:
        calls: list[Callable[[], Awaitable[object]]] = [
            world.engine.snapshot, lambda: world.engine.find_queue(MAIL.name),
            lambda: world.engine.pause(MAIL), lambda: world.engine.resume(MAIL),
            lambda: world.engine.retry(ref(job_id)), lambda: world.engine.delete(ref(job_id)),
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(SourceUnavailable):
                await call()
    finally:
        await asyncio.to_thread(postgres_server.start)
    assert (await world.stats()).waiting == 1
    assert await world.entries() == [job_id]


async def test_capabilities_tell_what_a_pause_does(world: HybridWorld) -> None:
    capabilities = world.engine.capabilities(MAIL)
    assert capabilities.pause is PauseSupport.COMPOSITE
    assert (capabilities.pause_scope, capabilities.pause_durable) == ("band", True)
    assert any("sets the band's Redis list aside" in note for note in capabilities.notes)


@pytest.mark.parametrize(
    ("key", "value"), [("list_key", "queue:{name}"), ("job_key", "job"), ("guard_key", "recent")]
)
def test_key_pattern_without_its_part_stops_the_start(
    world: HybridWorld, key: str, value: str
) -> None:
    with pytest.raises(ConfigError, match=key):
        world.open_engine(**{key: value})


async def test_other_key_patterns_are_used(world: HybridWorld) -> None:
    engine = world.open_engine(list_key="q:{{name}}{band}", guard_key="seen:{name}")
    await world.platform.add_jobs("mail", [{}])
    await answer(world.redis.lpush("q:{mail}", "{}", "{}"))
    found = await engine.find_queue(MAIL.name)
    assert found is not None
    assert found[1].waiting == 3
    await engine.pause(MAIL)
    assert await answer(world.redis.llen("q:{mail}:paused-by-quarterdeck")) == 2
    await engine.close()
