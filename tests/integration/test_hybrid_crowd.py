"""Thousands of jobs, real migrators and workers, and an operator who will not keep still."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import servers
from contract.harness import eventually
from hybrid_world import GUARD, MAIL, HybridWorld, answer, open_world, ref
from quarterdeck.core.clock import utc_now
from quarterdeck.core.errors import Conflict, NotFound
from quarterdeck.queues.model import BulkAction, DeleteOutcome, Priority, QueueRef

BANDS = [
    MAIL,
    QueueRef("platform", "queue:mail:high", Priority.HIGH),
    QueueRef("platform", "queue:mail:low", Priority.LOW),
]


@pytest.fixture
async def world(
    postgres_server: servers.PostgresServer, redis_server: servers.RedisServer, tmp_path: Path
) -> AsyncIterator[HybridWorld]:
    async with open_world(postgres_server, redis_server, tmp_path) as opened:
        yield opened


async def count(world: HybridWorld, status: str) -> int:
    """Rows of a status."""
    found: int = await world.platform.postgres.fetchval(
        "SELECT count(*) FROM jobs WHERE status = $1", status
    )
    return found


async def lost(world: HybridWorld) -> int:
    """Migrated rows in no list: those in the hands of workers."""
    migrated = await count(world, "migrated_to_redis")
    keys = [queue.name + suffix for queue in BANDS for suffix in ("", ":paused-by-quarterdeck")]
    entries = sum([await answer(world.redis.llen(key)) for key in keys])
    return migrated - int(entries)


async def is_quiet(world: HybridWorld) -> bool:
    """Nothing in hands, then nothing running: of paused bands, nothing can start any more."""
    return await lost(world) == 0 and await count(world, "running") == 0


async def test_pauses_in_full_traffic_lose_no_job_and_run_none_twice(world: HybridWorld) -> None:
    ids = []
    for priority in (20, 100, 200):
        ids += await world.platform.add_jobs("mail", [{}] * 1000, priority=priority)
    restless = random.Random(7)
    async with world.fleet.running(), world.fleet.running("mail", processes=3):
        other = world.open_engine()
        while await count(world, "completed") < 2400:
            queue = restless.choice(BANDS)
            engine = restless.choice([world.engine, other])
            await engine.pause(queue)
            if restless.random() < 0.3:
                await engine.pause(queue)
            await engine.resume(queue)
        await other.close()
        for queue in BANDS:
            await world.engine.pause(queue)
        await eventually(lambda: is_quiet(world))
        done = await count(world, "completed")
        stats = [await world.settled(queue) for queue in BANDS]
        assert [each.paused for each in stats] == [True] * 3
        assert sum(each.waiting or 0 for each in stats) == len(ids) - done
        assert [each.warnings for each in stats] == [[]] * 3
        for queue in BANDS:
            await world.engine.resume(queue)

        async def is_done() -> bool:
            return await count(world, "completed") == len(ids)

        await eventually(is_done)
    assert Counter(run.job_id for run in world.fleet.runs()) == Counter(ids)
    assert await answer(world.redis.keys("*")) == [GUARD.encode()]


async def test_nothing_starts_while_a_band_is_paused(world: HybridWorld) -> None:
    await world.platform.add_jobs("mail", [{}] * 600)
    async with world.fleet.running(), world.fleet.running("mail", processes=2):

        async def has_begun() -> bool:
            return await count(world, "completed") > 20

        for _ in range(4):
            await eventually(has_begun)
            await world.engine.pause(MAIL)
            await eventually(lambda: is_quiet(world))
            before = len(world.fleet.runs())
            assert (await world.stats()).paused is True
            await world.platform.add_jobs("mail", [{}] * 5)
            assert len(world.fleet.runs()) == before
            await world.engine.resume(MAIL)


async def test_deletes_race_workers_and_each_job_is_deleted_or_run(world: HybridWorld) -> None:
    ids = await world.platform.add_jobs("mail", [{}] * 400)
    outcomes: dict[str, object] = {}

    async def remove(job_id: str) -> None:
        try:
            outcomes[job_id] = await world.engine.delete(ref(job_id))
        except (Conflict, NotFound) as refusal:
            outcomes[job_id] = refusal

    async with world.fleet.running(), world.fleet.running("mail", processes=2):
        for start in range(len(ids) - 20, -1, -20):
            await asyncio.gather(*map(remove, ids[start : start + 20]))

        async def is_done() -> bool:
            rows = await world.platform.postgres.fetchval("SELECT count(*) FROM jobs")
            return await count(world, "completed") == int(rows)

        await eventually(is_done)
    deleted = {job_id for job_id, each in outcomes.items() if each is DeleteOutcome.DELETED}
    gone = {job_id for job_id in ids if await world.status(job_id) is None}
    assert deleted == gone
    started = Counter(run.job_id for run in world.fleet.runs())
    assert max(started.values(), default=1) == 1
    # A finished job may be deleted, too: so some were run first. All others ran exactly once.
    assert set(ids) - deleted <= set(started)
    assert (await world.settled()).warnings == []


async def test_bulk_retry_under_workers_runs_every_failed_job_once_more(world: HybridWorld) -> None:
    ids = await world.platform.add_jobs("mail", [{"outcome": "fail"}] * 300)
    async with world.fleet.running(), world.fleet.running("mail", processes=2):

        async def have_failed() -> bool:
            return await count(world, "failed") == 300

        await eventually(have_failed)
        world.fleet.heal()
        cutoff = utc_now()
        batches = [n async for n in world.engine.bulk(BulkAction.RETRY_FAILED, MAIL, cutoff)]
        assert sum(batches) == 300

        async def are_done() -> bool:
            return await count(world, "completed") == 300

        await eventually(are_done)
    assert Counter(run.job_id for run in world.fleet.runs()) == Counter(ids * 2)
    assert (await world.settled()).warnings == []
