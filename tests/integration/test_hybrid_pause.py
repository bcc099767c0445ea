"""Pausing in two stores: what workers can no longer reach, and what a crash in between leaves."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

import servers
from contract.harness import eventually
from hybrid_world import ASIDE, MAIL, HybridWorld, answer, comply, open_world
from quarterdeck.core.errors import NotFound, SourceUnavailable
from quarterdeck.queues.adapters.hybrid.keys import Band
from quarterdeck.queues.model import Priority, QueueRef

HIGH = QueueRef("platform", "queue:mail:high", Priority.HIGH)
BAND = Band("mail", Priority.NORMAL)
NOWHERE = QueueRef("platform", "queue:nowhere", Priority.NORMAL)


@pytest.fixture
async def world(
    postgres_server: servers.PostgresServer, redis_server: servers.RedisServer, tmp_path: Path
) -> AsyncIterator[HybridWorld]:
    async with open_world(postgres_server, redis_server, tmp_path) as opened:
        yield opened


async def test_pause_stops_what_is_in_redis_and_resume_keeps_the_order(world: HybridWorld) -> None:
    ids = await world.platform.add_jobs("mail", [{}] * 6)
    await world.platform.migrate_once(4)
    paused = await world.engine.pause(MAIL)
    assert (paused.paused, paused.changed, paused.scope) == (True, True, "band")
    assert paused.affected == ["queue:mail"]
    assert "4 jobs that were in Redis are set aside" in paused.notes[0]
    assert await world.platform.migrate_once() == []
    assert await world.platform.work_once(["mail"], comply, timeout_s=0.01) is None
    stats = await world.settled()
    assert (stats.paused, stats.waiting, stats.warnings) == (True, 6, [])
    resumed = await world.engine.resume(MAIL)
    assert (resumed.paused, resumed.changed) == (False, True)
    assert await world.entries() == ids[:4]
    assert await world.drain() == ids


async def test_pause_of_one_band_leaves_the_others_running(world: HybridWorld) -> None:
    (urgent,) = await world.platform.add_jobs("mail", [{}], priority=10)
    (plain,) = await world.platform.add_jobs("mail", [{}])
    await world.platform.migrate_once()
    await world.engine.pause(HIGH)
    assert (await world.stats(HIGH)).paused is True
    assert (await world.stats()).paused is False
    assert await world.platform.work_once(["mail"], comply) == plain
    await world.engine.resume(HIGH)
    assert await world.platform.work_once(["mail"], comply) == urgent


async def test_resume_wakes_a_worker_that_waits(world: HybridWorld) -> None:
    (job_id,) = await world.migrated(1)
    await world.engine.pause(MAIL)
    waiting = asyncio.create_task(world.platform.work_once(["mail"], comply, timeout_s=20))

    async def is_blocked() -> bool:
        return bool((await answer(watcher.info("clients")))["blocked_clients"] == 1)

    async with Redis.from_url(world.urls[1]) as watcher:
        await eventually(is_blocked)
    await world.engine.resume(MAIL)
    assert await waiting == job_id


async def test_pause_twice_and_resume_twice_change_nothing_more(world: HybridWorld) -> None:
    ids = await world.migrated(3)
    await world.engine.pause(MAIL)
    again = await world.engine.pause(MAIL)
    assert (again.paused, again.changed, list(again.notes)) == (True, False, [])
    await world.engine.resume(MAIL)
    resumed = await world.engine.resume(MAIL)
    assert (resumed.paused, resumed.changed) == (False, False)
    assert await world.entries() == ids


async def test_pause_of_an_empty_queue_holds(world: HybridWorld) -> None:
    assert (await world.engine.pause(MAIL)).changed
    await world.platform.add_jobs("mail", [{}])
    assert await world.platform.migrate_once() == []
    stats = await world.stats()
    assert (stats.paused, stats.waiting, stats.warnings) == (True, 1, [])


async def pushed_regardless(world: HybridWorld, count: int) -> list[str]:
    """Jobs of a migrator that looked at the pauses before there was one, and pushes only now."""
    ids = await world.platform.add_jobs("mail", [{}] * count)
    rows = await world.platform.postgres.fetch(
        "UPDATE jobs SET status = 'migrated_to_redis' WHERE id = ANY($1) RETURNING *", ids
    )
    await world.platform.push(sorted(rows, key=lambda row: ids.index(row["id"])))
    return ids


async def test_entries_after_the_pause_are_told_and_set_aside_by_pausing_again(
    world: HybridWorld,
) -> None:
    early = await world.migrated(2)
    await world.engine.pause(MAIL)
    late = await pushed_regardless(world, 3)
    stats = await world.stats()
    assert (stats.paused, stats.waiting) == (True, 5)
    assert "3 jobs entered the list after the pause" in stats.warnings[0]
    assert (await world.engine.pause(MAIL)).changed
    assert await world.entries(ASIDE) == early + late
    assert (await world.stats()).warnings == []
    await world.engine.resume(MAIL)
    assert await world.entries() == early + late


async def test_resume_puts_what_waited_longer_in_front(world: HybridWorld) -> None:
    early = await world.migrated(3)
    await world.engine.pause(MAIL)
    late = await pushed_regardless(world, 2)
    await world.engine.resume(MAIL)
    assert await world.entries() == early + late
    assert await world.drain() == early + late
    assert await answer(world.redis.keys("*quarterdeck*")) == []


async def test_crash_between_the_steps_of_a_pause_is_told_and_healed(world: HybridWorld) -> None:
    ids = await world.migrated(2)
    async with world.rows_only() as rows:
        await rows.pause(MAIL)
    stats = await world.stats()
    assert stats.paused is False
    assert "only half paused" in stats.warnings[0]
    assert "workers take the 2 that are there" in stats.warnings[0]
    assert (await world.engine.pause(MAIL)).changed
    stats = await world.stats()
    assert (stats.paused, stats.warnings) == (True, [])
    await world.engine.resume(MAIL)
    assert await world.drain() == ids


async def test_crash_between_the_steps_of_a_resume_is_told_and_healed(world: HybridWorld) -> None:
    ids = await world.migrated(2)
    await world.engine.pause(MAIL)
    async with world.lists_only() as lists:
        await lists.bring_back(BAND)
    stats = await world.stats()
    assert stats.paused is False
    assert "only half paused" in stats.warnings[0]
    assert (await world.engine.resume(MAIL)).changed
    stats = await world.stats()
    assert (stats.paused, stats.warnings) == (False, [])
    assert await world.drain() == ids


async def test_list_set_aside_without_a_pause_is_told_and_brought_back(world: HybridWorld) -> None:
    ids = await world.migrated(2)
    async with world.lists_only() as lists:
        await lists.set_aside(BAND, "before the crash")
    stats = await world.stats()
    assert (stats.paused, stats.waiting) == (False, 2)
    assert "2 jobs are set aside in Redis" in stats.warnings[0]
    await world.engine.resume(MAIL)
    assert (await world.stats()).warnings == []
    assert await world.drain() == ids


async def test_pause_without_redis_says_so_and_is_completed_later(
    world: HybridWorld, redis_server: servers.RedisServer
) -> None:
    await asyncio.to_thread(redis_server.stop)
    with pytest.raises(SourceUnavailable, match="Redis"):
        await world.engine.pause(MAIL)
    await asyncio.to_thread(redis_server.start)
    assert (await world.stats()).paused is False
    await world.engine.pause(MAIL)
    assert (await world.stats()).paused is True


async def test_pause_survives_another_server(world: HybridWorld) -> None:
    await world.migrated(1)
    await world.engine.pause(MAIL)
    other = world.open_engine()
    found = await other.find_queue(MAIL.name)
    assert found is not None
    assert found[1].paused is True
    await other.resume(MAIL)
    assert (await world.stats()).paused is False
    await other.close()


async def test_pauses_and_resumes_at_once_lose_nothing(world: HybridWorld) -> None:
    ids = await world.migrated(50)
    other = world.open_engine()
    calls = [
        call(MAIL)
        for _ in range(8)
        for call in (world.engine.pause, other.resume, other.pause, world.engine.resume)
    ]
    await asyncio.gather(*calls)
    await other.close()
    await world.engine.resume(MAIL)
    stats = await world.stats()
    assert (stats.paused, stats.waiting, stats.warnings) == (False, 50, [])
    assert await world.drain() == ids


async def test_pause_of_an_unknown_queue_writes_nothing(world: HybridWorld) -> None:
    for call in (world.engine.pause, world.engine.resume):
        with pytest.raises(NotFound):
            await call(NOWHERE)
    assert await answer(world.redis.keys("*")) == []


async def test_whole_queue_pause_reaches_all_bands(world: HybridWorld) -> None:
    """Where the tables can only switch off a queue, its three lists go together."""
    for priority in (10, 100, 200):
        await world.platform.add_jobs("mail", [{}], priority=priority)
    await world.platform.migrate_once()
    engine = world.open_engine(tables={"pauses": ""})
    paused = await engine.pause(MAIL)
    assert (paused.scope, sorted(paused.affected)) == (
        "queue", ["queue:mail", "queue:mail:high", "queue:mail:low"],
    )  # fmt: skip
    assert await world.platform.work_once(["mail"], comply, timeout_s=0.01) is None
    fresh = world.open_engine(tables={"pauses": ""})
    assert (await fresh.resume(HIGH)).scope == "queue"
    found = await fresh.snapshot()
    assert {(stats.paused, stats.waiting) for stats in found.values()} == {(False, 1)}
    for _ in range(3):
        assert await world.platform.work_once(["mail"], comply)
    await engine.close()
    await fresh.close()
