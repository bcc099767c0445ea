"""Retry and delete of RQ's jobs, beside RQ's own commands and workers."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from rq import Retry
from rq.exceptions import InvalidJobOperation
from rq.job import Dependency
from rq.job import Job as RqJob

import servers
from quarterdeck.core.clock import utc_now
from quarterdeck.core.errors import Conflict, NotFound, SourceUnavailable
from quarterdeck.queues.model import BulkAction, JobRef, JobState
from rq_world import MAIL, SOURCE, TROUBLE, RqWorld, fail, open_world, postpone, ref, succeed


@pytest.fixture
async def world(redis_server: servers.RedisServer, tmp_path: Path) -> AsyncIterator[RqWorld]:
    async with open_world(redis_server, tmp_path) as opened:
        yield opened


async def delete_failed(world: RqWorld) -> int:
    found = world.engine.bulk(BulkAction.DELETE_FAILED, MAIL, utc_now())
    return sum([size async for size in found])


async def test_retry_leaves_arguments_and_meta_as_they_are(world: RqWorld) -> None:
    job = world.failed(args=("a@example.com",), meta={"tenant": 7})
    before = world.redis.hgetall(job.key)
    await world.engine.retry(ref(job))
    after = world.redis.hgetall(job.key)
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert changed == {b"status", b"enqueued_at", b"started_at", b"ended_at"}
    again = RqJob.fetch(job.id, connection=world.redis)
    assert (again.args, again.meta, again.is_queued) == (("a@example.com",), {"tenant": 7}, True)
    assert again.started_at is None
    world.work()
    assert (await world.get(job)).attempts == 2


async def test_a_retried_job_does_not_end_with_the_time_of_keeping_a_failure(
    world: RqWorld,
) -> None:
    short, limited = world.failed(failure_ttl=60), world.failed(failure_ttl=60, ttl=3600)
    assert 0 < world.redis.ttl(short.key) <= 60
    await world.engine.retry(ref(short))
    await world.engine.retry(ref(limited))
    assert world.redis.ttl(short.key) == -1
    assert 3500 < world.redis.ttl(limited.key) <= 3600


async def test_a_policys_retries_are_not_given_again_and_attempts_are_unknown(
    world: RqWorld,
) -> None:
    job = world.queue.enqueue(fail, retry=Retry(max=2))
    assert (await world.get(job)).attempts == 0
    world.work()
    failed = await world.get(job)
    assert (failed.state, failed.attempts) == (JobState.FAILED, None)
    result = await world.engine.retry(ref(job))
    assert not result.attempts_reset
    assert world.field(job, "retries_left") == b"0"
    world.work()
    assert (await world.get(job)).state is JobState.FAILED


async def test_retries_that_a_job_returns_begin_anew(world: RqWorld) -> None:
    job = world.queue.enqueue(postpone)
    for runs in (2, 4):
        world.work()
        shown = await world.get(job)
        assert (shown.state, shown.attempts) == (JobState.FAILED, runs)
        assert [each.outcome for each in shown.history[-2:]] == ["retried", "failed"]
        await world.engine.retry(ref(job))


async def test_of_our_retry_and_rqs_requeue_exactly_one_wins(world: RqWorld) -> None:
    for _ in range(20):
        job = world.failed()
        ours, theirs = await asyncio.gather(
            world.engine.retry(ref(job)),
            asyncio.to_thread(RqJob.fetch(job.id, connection=world.redis).requeue),
            return_exceptions=True,
        )
        assert isinstance(ours, Conflict) is not isinstance(theirs, InvalidJobOperation)
        assert world.redis.lrange("rq:queue:mail", 0, -1) == [job.id.encode()]
        await world.engine.delete(ref(job))


async def test_a_retry_that_cannot_be_done_leaves_the_job_failed(world: RqWorld) -> None:
    job = world.failed()
    world.redis.set("rq:queue:mail", "no list")
    with pytest.raises(SourceUnavailable, match="WRONGTYPE"):
        await world.engine.retry(ref(job))
    world.redis.delete("rq:queue:mail")
    assert (await world.get(job)).state is JobState.FAILED
    assert (await world.stats()).failed == 1
    await world.engine.retry(ref(job))


async def test_failures_without_an_end_are_dated_by_what_rq_noted(world: RqWorld) -> None:
    job = world.queue.enqueue(succeed)
    world.redis.lrem("rq:queue:mail", 0, job.id)
    world.redis.zadd("rq:wip:mail", {f"{job.id}:x": 1})
    world.redis.hset(job.key, "status", "started")
    stats = await world.stats()
    assert stats.active == 1
    assert "lost their worker" in stats.warnings[0]
    begin = utc_now() - timedelta(seconds=1)
    world.queue.started_job_registry.cleanup()
    assert world.field(job, "ended_at") == b""
    (failure,) = (await world.engine.sample_failures(MAIL, 10)).failures
    assert "AbandonedJobError" in failure.message
    assert failure.failed_at is not None
    early = [n async for n in world.engine.bulk(BulkAction.RETRY_FAILED, MAIL, begin)]
    assert early == []
    assert await delete_failed(world) == 1


async def test_a_job_that_others_wait_for_is_not_deleted(world: RqWorld) -> None:
    parent = world.failed()
    child = world.queue.enqueue(succeed, depends_on=parent)
    assert (await world.get(child)).native_state == "deferred"
    assert (await world.stats()).waiting == 1
    with pytest.raises(Conflict, match="wait for this one"):
        await world.engine.delete(ref(parent))
    assert await delete_failed(world) == 0
    await world.engine.delete(ref(child))
    await world.engine.delete(ref(parent))
    assert world.redis.keys("rq:job:*") == []


async def test_a_deleted_dependent_is_not_brought_back_by_its_parent(world: RqWorld) -> None:
    parent = world.queue.enqueue(succeed)
    child = world.queue.enqueue(succeed, depends_on=Dependency(jobs=[parent], allow_failure=True))
    await world.engine.delete(ref(child))
    world.work()
    assert (await world.get(parent)).state is JobState.COMPLETED
    assert not world.redis.exists(child.key)
    assert (await world.stats()).waiting == 0


async def test_scheduled_jobs_wait_until_they_are_due(world: RqWorld) -> None:
    due = utc_now().replace(microsecond=0) + timedelta(hours=1)
    job = world.queue.enqueue_at(due, succeed)
    late = world.queue.enqueue_at(due - timedelta(hours=2), succeed)
    shown = await world.get(job)
    assert (shown.state, shown.native_state, shown.run_at) == (JobState.WAITING, "scheduled", due)
    page = await world.engine.list_jobs(MAIL, JobState.WAITING, 10, 0)
    assert [(each.ref, each.run_at) for each in page.items][1] == (ref(job), due)
    stats = await world.stats()
    assert (stats.waiting, stats.oldest_waiting_at) == (2, None)
    assert "--with-scheduler" in stats.warnings[0]
    world.redis.set("rq:scheduler-lock:mail", "someone")
    with pytest.raises(Conflict, match="taking this job"):
        await world.engine.delete(ref(late))
    await world.engine.delete(ref(job))
    assert (await world.stats()).waiting == 1


async def test_a_job_that_a_worker_has_popped_cannot_be_deleted(world: RqWorld) -> None:
    job = world.queue.enqueue(succeed)
    world.redis.lmove("rq:queue:mail", "rq:queue:mail:intermediate", "LEFT", "RIGHT")
    assert (await world.stats()).waiting == 1
    page = await world.engine.list_jobs(MAIL, JobState.WAITING, 10, 0)
    assert [each.ref for each in page.items] == [ref(job)]
    with pytest.raises(Conflict, match="taking this job"):
        await world.engine.delete(ref(job))


async def test_rate_limited_jobs_are_left_to_rq(world: RqWorld) -> None:
    job = world.failed()
    world.redis.hset(job.key, "rate_limit_key", "smtp")
    with pytest.raises(Conflict, match="rate limits"):
        await world.engine.retry(ref(job))
    assert (await world.get(job)).state is JobState.FAILED


async def test_stopped_jobs_are_failed_and_cancelled_ones_are_not_shown(world: RqWorld) -> None:
    stopped, cancelled = world.failed(), world.queue.enqueue(succeed)
    world.redis.hset(stopped.key, "status", "stopped")
    cancelled.cancel()
    assert (await world.get(stopped)).state is JobState.FAILED
    assert await world.engine.find_job(ref(cancelled)) is None
    with pytest.raises(NotFound):
        await world.engine.delete(ref(cancelled))
    assert (await world.engine.list_jobs(MAIL, None, 10, 0)).total == 1
    await world.engine.retry(ref(stopped))


async def test_the_history_tells_each_end_with_its_error(world: RqWorld) -> None:
    job = world.failed()
    await world.engine.retry(ref(job))
    world.work()
    shown = await world.get(job)
    assert [each.number for each in shown.history] == [1, 2]
    assert {each.message for each in shown.history} == {TROUBLE}
    assert shown.error is not None
    assert shown.error.stack_trace is not None
    assert shown.error.stack_trace.startswith("Traceback")
    assert all(each.started_at <= (each.finished_at or utc_now()) for each in shown.history)


@pytest.mark.parametrize("job_id", ["a:dependents", "mail:intermediate", ":", "a:b"])
async def test_ids_do_not_lead_to_other_keys(world: RqWorld, job_id: str) -> None:
    world.redis.sadd("rq:job:a:dependents", "x")
    assert await world.engine.find_job(JobRef(SOURCE, job_id)) is None
    with pytest.raises(NotFound):
        await world.engine.retry(JobRef(SOURCE, job_id))
