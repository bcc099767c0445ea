"""Retry and delete in two stores, one job or many, and crashes between their steps."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import servers
from hybrid_world import (
    ASIDE,
    GUARD,
    LIST,
    MAIL,
    REMOVING,
    HybridWorld,
    answer,
    comply,
    open_world,
    ref,
)
from quarterdeck.core.clock import utc_now
from quarterdeck.core.errors import Conflict, NotFound
from quarterdeck.queues.adapters.hybrid.keys import Band
from quarterdeck.queues.adapters.hybrid.lists import CHUNK
from quarterdeck.queues.model import BulkAction, DeleteOutcome, Priority

BAND = Band("mail", Priority.NORMAL)


@pytest.fixture
async def world(
    postgres_server: servers.PostgresServer, redis_server: servers.RedisServer, tmp_path: Path
) -> AsyncIterator[HybridWorld]:
    async with open_world(postgres_server, redis_server, tmp_path) as opened:
        yield opened


async def test_retry_without_clearing_the_guard_would_be_passed_over(world: HybridWorld) -> None:
    (job_id,) = await world.failed(1)
    async with world.rows_only() as rows:
        await rows.retry(ref(job_id))
    assert await world.platform.migrate_once() == []
    assert await world.status(job_id) == "queued"


async def test_retry_runs_the_job_again_from_attempt_one(world: HybridWorld) -> None:
    (job_id,) = await world.failed(1)
    assert await answer(world.redis.sismember(GUARD, job_id))
    assert (await world.engine.retry(ref(job_id))).attempts_reset
    assert await world.platform.migrate_once() == [job_id]
    assert await world.platform.work_once(["mail"], comply) == job_id
    job = await world.engine.find_job(ref(job_id))
    assert job is not None
    assert (job.state, job.attempts) == ("completed", 1)


async def test_retry_that_died_after_the_guard_can_be_repeated(world: HybridWorld) -> None:
    (job_id,) = await world.failed(1)
    async with world.lists_only() as lists:
        await lists.clear_guard("mail", [job_id])
    assert await world.status(job_id) == "failed"
    assert await world.platform.migrate_once() == []
    await world.engine.retry(ref(job_id))
    assert await world.platform.migrate_once() == [job_id]


async def test_retry_of_a_job_in_redis_conflicts_and_keeps_its_guard(world: HybridWorld) -> None:
    (job_id,) = await world.migrated(1)
    with pytest.raises(Conflict):
        await world.engine.retry(ref(job_id))
    assert await answer(world.redis.sismember(GUARD, job_id))
    with pytest.raises(NotFound):
        await world.engine.retry(ref("no such job"))


async def test_retry_twice_at_once_succeeds_once(world: HybridWorld) -> None:
    (job_id,) = await world.failed(1)
    results = await asyncio.gather(
        *(world.engine.retry(ref(job_id)) for _ in range(6)), return_exceptions=True
    )
    assert sum(isinstance(each, Conflict) for each in results) == 5
    assert await world.drain() == [job_id]


async def test_slow_retry_after_a_rivals_leaves_no_guard(world: HybridWorld) -> None:
    """Between our look and our change the job was retried, guarded again, run, and has failed."""
    (job_id,) = await world.failed(1)
    job = world.platform.postgres.transaction()
    await job.start()
    await world.platform.postgres.execute("SELECT 1 FROM jobs FOR UPDATE")
    slow = asyncio.create_task(world.engine.retry(ref(job_id)))
    while await answer(world.redis.sismember(GUARD, job_id)):
        assert not slow.done()
    await answer(world.redis.sadd(GUARD, job_id))
    await job.commit()
    await slow
    assert await world.platform.migrate_once() == [job_id]


@pytest.mark.parametrize("paused", [False, True])
async def test_delete_removes_entry_row_and_hash(world: HybridWorld, paused: bool) -> None:
    ids = await world.migrated(5)
    if paused:
        await world.engine.pause(MAIL)
    assert await world.engine.delete(ref(ids[2])) is DeleteOutcome.DELETED
    assert await world.entries(ASIDE if paused else LIST) == [ids[0], ids[1], ids[3], ids[4]]
    assert await world.status(ids[2]) is None
    assert not await answer(world.redis.exists(f"job:{ids[2]}", REMOVING))
    stats = await world.settled()
    assert (stats.waiting, stats.warnings) == (4, [])
    with pytest.raises(NotFound):
        await world.engine.delete(ref(ids[2]))


async def test_delete_finds_an_entry_deep_in_a_long_list(world: HybridWorld) -> None:
    (job_id,) = await world.migrated(1)
    strangers = [json.dumps({"id": f"s{n}", "payload": {"of": job_id}}) for n in range(CHUNK + 10)]
    await answer(world.redis.lpush(LIST, *strangers))
    await world.engine.delete(ref(job_id))
    assert await world.status(job_id) is None
    assert await answer(world.redis.llen(LIST)) == CHUNK + 10


async def test_delete_works_in_every_state_that_does_not_run(world: HybridWorld) -> None:
    (failed,) = await world.failed(1)
    (completed,) = await world.migrated(1)
    await world.platform.work_once(["mail"], comply)
    (queued,) = await world.platform.add_jobs("mail", [{}])
    for job_id in (failed, completed, queued):
        await world.engine.delete(ref(job_id))
        assert await world.status(job_id) is None
    stats = await world.stats()
    assert (stats.waiting, stats.failed, stats.completed) == (0, 0, 0)


async def test_delete_of_a_running_job_is_refused(world: HybridWorld) -> None:
    (job_id,) = await world.migrated(1)
    row = await world.platform.take(["mail"])
    with pytest.raises(Conflict):
        await world.engine.delete(ref(job_id))
    await world.platform.finish(row)
    assert await world.status(job_id) == "completed"


async def test_delete_of_a_popped_job_conflicts_and_changes_nothing(world: HybridWorld) -> None:
    (job_id,) = await world.migrated(1)
    entry = await answer(world.redis.rpop(LIST))
    with pytest.raises(Conflict, match="taken this job from Redis"):
        await world.engine.delete(ref(job_id))
    assert await world.status(job_id) == "migrated_to_redis"
    await answer(world.redis.rpush(LIST, entry))
    assert await world.drain() == [job_id]


async def test_refused_delete_puts_the_entry_back_at_its_place(world: HybridWorld) -> None:
    ids = await world.migrated(4)
    async with world.lists_only() as lists:
        for job_id in ids:
            entries = await lists.find_entries(BAND, job_id)
            taken = await lists.take_out(BAND, job_id, entries)
            assert taken is not None
            assert job_id not in await world.entries()
            await lists.put_back(BAND, job_id, taken)
            assert await world.entries() == ids
            await lists.put_back(BAND, job_id, taken)
            assert await world.entries() == ids


async def test_entry_is_put_back_aside_or_first_when_the_list_has_moved_on(
    world: HybridWorld,
) -> None:
    ids = await world.migrated(4)
    async with world.lists_only() as lists:
        taken = await lists.take_out(BAND, ids[2], await lists.find_entries(BAND, ids[2]))
        assert taken is not None
        await world.engine.pause(MAIL)
        await lists.put_back(BAND, ids[2], taken)
        assert await world.entries(ASIDE) == ids
        await world.engine.resume(MAIL)
        taken = await lists.take_out(BAND, ids[2], await lists.find_entries(BAND, ids[2]))
        assert taken is not None
        await answer(world.redis.rpop(LIST, 2))
        await lists.put_back(BAND, ids[2], taken)
    assert await world.entries() == ids[2:]


async def test_doubled_entry_of_a_running_job_is_put_back_when_delete_is_refused(
    world: HybridWorld,
) -> None:
    """The row still said migrated when we looked, and a worker starts it before we delete it."""
    (job_id,) = await world.migrated(1)
    entry = (await answer(world.redis.lrange(LIST, 0, -1)))[0]
    await world.platform.postgres.execute("BEGIN")
    await world.platform.postgres.execute(
        "UPDATE jobs SET status = 'running' WHERE id = $1", job_id
    )
    deletion = asyncio.create_task(world.engine.delete(ref(job_id)))
    while not await answer(world.redis.hexists(REMOVING, job_id)):
        assert not deletion.done()
    await world.platform.postgres.execute("COMMIT")
    with pytest.raises(Conflict):
        await deletion
    assert await answer(world.redis.lrange(LIST, 0, -1)) == [entry]
    assert await world.status(job_id) == "running"


async def test_job_that_is_migrated_while_it_is_deleted_leaves_no_entry(world: HybridWorld) -> None:
    (job_id,) = await world.platform.add_jobs("mail", [{}])
    transaction = world.platform.postgres.transaction()
    await transaction.start()
    rows = await world.platform.postgres.fetch("SELECT * FROM jobs FOR UPDATE")
    deletion = asyncio.create_task(world.engine.delete(ref(job_id)))
    await world.platform.push(rows)
    await world.platform.postgres.execute("UPDATE jobs SET status = 'migrated_to_redis'")
    await transaction.commit()
    assert await deletion is DeleteOutcome.DELETED
    assert await world.entries() == []
    assert await world.status(job_id) is None
    assert await answer(world.redis.keys("job:*")) == []


async def test_delete_that_died_before_the_row_is_told_and_completed(world: HybridWorld) -> None:
    ids = await world.migrated(2)
    async with world.lists_only() as lists:
        await lists.take_out(BAND, ids[0], await lists.find_entries(BAND, ids[0]))
    stats = await world.settled()
    assert stats.waiting == 1
    assert [warning[:29] for warning in stats.warnings] == ["1 deletions were interrupted:"]
    await world.engine.delete(ref(ids[0]))
    assert await world.status(ids[0]) is None
    stats = await world.settled()
    assert (stats.waiting, stats.warnings) == (1, [])
    assert await world.drain() == ids[1:]


async def test_delete_that_died_after_the_row_is_tidied_by_the_next(world: HybridWorld) -> None:
    ids = await world.migrated(3)
    async with world.lists_only() as lists:
        for job_id in ids[:2]:
            await lists.take_out(BAND, job_id, await lists.find_entries(BAND, job_id))
    await world.platform.postgres.execute("DELETE FROM jobs WHERE id = $1", ids[0])
    await world.platform.postgres.execute(
        "UPDATE jobs SET status = 'completed' WHERE id = $1", ids[1]
    )
    await world.engine.delete(ref(ids[2]))
    # The completed job may still have a use for its hash; the deleted ones have not.
    assert set(await answer(world.redis.keys("*"))) == {
        f"job:{ids[1]}".encode(),
        GUARD.encode(),
    }
    assert (await world.settled()).warnings == []


async def test_doubled_entries_of_a_job_are_all_removed(world: HybridWorld) -> None:
    ids = await world.migrated(2)
    entry = (await answer(world.redis.lrange(LIST, 0, 0)))[0]
    await answer(world.redis.lpush(LIST, entry, json.dumps({"id": ids[1], "again": True})))
    await world.engine.delete(ref(ids[1]))
    assert await world.entries() == ids[:1]


async def test_deletes_at_once_succeed_once_and_leave_nothing(world: HybridWorld) -> None:
    ids = await world.migrated(6)
    other = world.open_engine()
    for job_id in ids:
        results = await asyncio.gather(
            *(engine.delete(ref(job_id)) for engine in (world.engine, other) * 3),
            return_exceptions=True,
        )
        assert results.count(DeleteOutcome.DELETED) == 1
        rest = [each for each in results if each is not DeleteOutcome.DELETED]
        assert all(isinstance(each, Conflict | NotFound) for each in rest), rest
    await other.close()
    assert await answer(world.redis.keys("*")) == [GUARD.encode()]
    assert (await world.settled()).warnings == []


async def test_bulk_retry_clears_all_guards_and_leaves_later_failures(world: HybridWorld) -> None:
    early = await world.failed(7)
    cutoff = utc_now()
    late = await world.failed(2)
    done = [n async for n in world.engine.bulk(BulkAction.RETRY_FAILED, MAIL, cutoff)]
    assert sum(done) == 7
    assert sorted(await world.platform.migrate_once()) == sorted(early)
    assert [await world.status(job_id) for job_id in late] == ["failed"] * 2
    assert [n async for n in world.engine.bulk(BulkAction.RETRY_FAILED, MAIL, cutoff)] == []


async def test_bulk_delete_removes_rows_and_hashes(world: HybridWorld) -> None:
    early = await world.failed(5)
    for job_id in early:
        await answer(world.redis.hset(f"job:{job_id}", "status", "failed"))
    cutoff = utc_now()
    (late,) = await world.failed(1)
    await answer(world.redis.hset(f"job:{late}", "status", "failed"))
    done = [n async for n in world.engine.bulk(BulkAction.DELETE_FAILED, MAIL, cutoff)]
    assert sum(done) == 5
    assert await answer(world.redis.keys("job:*")) == [f"job:{late}".encode()]
    assert (await world.stats()).failed == 1


async def test_rows_with_uuid_ids_and_other_names_work_alike(world: HybridWorld) -> None:
    """The platform's own documentation has uuids; people have names of their own."""
    (failed,) = await world.failed(1)
    (waiting,) = await world.migrated(1)
    await world.platform.postgres.execute(
        "DROP TRIGGER jobs_count_insert ON jobs; DROP TRIGGER jobs_count_move ON jobs;"
        "DROP TRIGGER jobs_count_delete ON jobs;"
        "ALTER TABLE jobs DROP COLUMN band, DROP COLUMN phase;"
        "ALTER TABLE job_logs DROP CONSTRAINT job_logs_job_id_fkey;"
        "ALTER TABLE job_progress DROP CONSTRAINT job_progress_job_id_fkey;"
        "ALTER TABLE jobs ALTER COLUMN id TYPE uuid USING id::uuid;"
        "ALTER TABLE job_logs ALTER COLUMN job_id TYPE uuid USING job_id::uuid;"
        "ALTER TABLE jobs RENAME COLUMN queue_name TO lane; ALTER TABLE jobs RENAME TO tasks"
    )
    engine = world.open_engine(tables={"jobs": "tasks"}, columns={"jobs": {"queue_name": "lane"}})
    found = await engine.find_queue(MAIL.name)
    assert found is not None
    assert (found[1].waiting, found[1].failed) == (1, 1)
    await engine.delete(ref(waiting))
    assert await world.entries() == []
    done = [n async for n in engine.bulk(BulkAction.DELETE_FAILED, MAIL, utc_now())]
    assert done == [1]
    assert await world.platform.postgres.fetchval("SELECT count(*) FROM tasks") == 0
    with pytest.raises(NotFound):
        await engine.retry(ref(failed))
    await engine.close()
