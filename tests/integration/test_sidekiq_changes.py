"""Retry and delete of Sidekiq's jobs, beside Sidekiq's own API and workers."""

import asyncio
import json
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import servers
from contract.harness import eventually
from quarterdeck.core.clock import utc_now
from quarterdeck.core.errors import Conflict, NotFound, SourceUnavailable
from quarterdeck.core.pagination import TotalKind
from quarterdeck.queues.model import BulkAction, JobRef, JobState, RetryResult
from sidekiq_world import (
    MAIL,
    SOURCE,
    TROUBLE,
    SidekiqClient,
    SidekiqFleet,
    SidekiqWorld,
    open_world,
    sidekiq_client,
)

__all__ = ["sidekiq_client"]

FAILURE = {
    "retry_count": 3, "failed_at": 1_700_000_000_000, "retried_at": 1_700_000_100_000,
    "error_class": "ConnectionError", "error_message": TROUBLE,
}  # fmt: skip


@pytest.fixture
async def world(
    sidekiq_client: SidekiqClient, redis_server: servers.RedisServer, tmp_path: Path
) -> AsyncIterator[SidekiqWorld]:
    async with open_world(sidekiq_client, redis_server, tmp_path) as opened:
        yield opened


async def bulk(world: SidekiqWorld, action: BulkAction, cutoff: datetime) -> int:
    return sum([size async for size in world.engine.bulk(action, MAIL, cutoff)])


async def test_a_retried_job_keeps_all_but_its_failure(world: SidekiqWorld) -> None:
    args = [2**70, 1.10, "é\u2028", {"b": 1, "a": [None, True]}]
    kept = {"args": args, "tags": ["x"], "bid": "b7", "cattr": {"locale": "fr"}, "retry": 25}
    ref = world.put("dead", "d1", created_at=1_700_000_000_000, **kept, **FAILURE)
    assert (await world.get(ref)).attempts == 4
    await world.engine.retry(ref)
    (job,) = world.stored("queue:mail")
    assert not set(FAILURE) & set(job)
    assert {name: job[name] for name in kept} == kept
    assert world.redis.smembers("queues") == {"mail"}
    again = await world.get(ref)
    assert (again.state, again.attempts, again.error) == (JobState.WAITING, 0, None)


@pytest.mark.parametrize("created_at", [1_700_000_000.25, 1_700_000_000_250])
async def test_times_are_written_as_the_jobs_version_of_sidekiq_writes_them(
    world: SidekiqWorld, created_at: float
) -> None:
    ref = world.put("dead", "d1", created_at=created_at)
    before = utc_now()
    await world.engine.retry(ref)
    (job,) = world.stored("queue:mail")
    assert type(job["enqueued_at"]) is type(created_at)
    shown = await world.get(ref)
    assert shown.created_at == datetime.fromtimestamp(1_700_000_000.25, UTC)
    assert shown.run_at is not None
    assert abs((shown.run_at - before).total_seconds()) < 60


async def test_sidekiq_runs_a_retried_job_as_a_new_one(world: SidekiqWorld) -> None:
    ref = await world.push({"outcome": "fail"}, retry=1, backtrace=True)

    async def is_retried() -> bool:
        return bool(world.redis.zcard("retry"))

    async with world.fleet.running("mail"):
        await eventually(is_retried)
    waiting = await world.get(ref)
    assert (waiting.state, waiting.native_state) == (JobState.WAITING, "retry")
    assert (waiting.attempts, waiting.max_attempts) == (1, 2)
    assert waiting.run_at is not None
    assert waiting.run_at > utc_now()
    assert waiting.error is not None
    assert waiting.error.message == TROUBLE
    assert (waiting.error.stack_trace or "").startswith(f"ConnectionError: {TROUBLE}\n  ")
    assert (await world.stats()).waiting == 1
    with pytest.raises(Conflict, match="waiting"):
        await world.engine.retry(ref)
    assert await world.call("retry", ref, "kill")
    await world.engine.retry(ref)
    async with world.fleet.running("mail"):
        await eventually(is_retried)
    assert [run.attempt for run in world.fleet.runs()] == [1, 1]
    await world.engine.delete(ref)
    assert await world.engine.find_job(ref) is None


async def test_of_our_retry_and_sidekiqs_own_exactly_one_puts_the_job_back(
    world: SidekiqWorld,
) -> None:
    for _ in range(20):
        ref = await world.dead()
        ours, _ = await asyncio.gather(
            world.engine.retry(ref), world.call("dead", ref, "retry"), return_exceptions=True
        )
        assert isinstance(ours, RetryResult | Conflict | NotFound)
        assert [job["jid"] for job in world.stored("queue:mail")] == [ref.id]
        await world.engine.delete(ref)
    assert world.redis.zcard("dead") == 0


async def test_a_retry_that_cannot_be_done_leaves_the_job_dead(world: SidekiqWorld) -> None:
    ref = world.put("dead", "d1")
    for key in ("queue:mail", "queues"):
        world.redis.delete("queue:mail")
        world.redis.set(key, "another program's")
        with pytest.raises(SourceUnavailable, match="WRONGTYPE"):
            await world.engine.retry(ref)
        world.redis.delete(key)
        assert world.redis.zcard("dead") == 1
    await world.engine.retry(ref)


async def test_only_the_job_itself_is_changed_and_not_one_that_names_it(
    world: SidekiqWorld,
) -> None:
    ref = world.put("dead", "d1")
    others = [
        world.put("dead", "d11"),
        world.put("dead", "d2", args=["d1", {"jid": "d1"}]),
        world.put("dead", "d3", queue="bulk", args=["mail", "d1"]),
    ]
    world.put("queue:mail", "q1", args=["d1"])
    world.put("schedule", "s1", 2**32, args=["d1"])
    await world.engine.delete(ref)
    with pytest.raises(NotFound):
        await world.engine.delete(ref)
    with pytest.raises(NotFound):
        await world.engine.retry(JobRef(SOURCE, "d3", "mail"))
    assert {job["jid"] for job in world.stored("dead")} == {other.id for other in others}
    assert world.redis.llen("queue:mail") == world.redis.zcard("schedule") == 1


async def test_jobs_far_behind_in_large_places_are_found(world: SidekiqWorld) -> None:
    pipeline = world.redis.pipeline()
    for number in range(10_100):
        job = {"queue": "mail", "class": "Act", "args": [], "jid": f"d{number}"}
        pipeline.zadd("dead", {json.dumps(job): number})
        if number < 3_000:
            pipeline.lpush("queue:mail", json.dumps({**job, "jid": f"q{number}"}))
    pipeline.execute()
    for job_id in ("q0", "q2999", "d0", "d10099"):
        ref = JobRef(SOURCE, job_id, "mail")
        assert (await world.get(ref)).ref == ref
        await world.engine.delete(ref)
        assert await world.engine.find_job(ref) is None
    assert (world.redis.llen("queue:mail"), world.redis.zcard("dead")) == (2_998, 10_098)
    page = await world.engine.list_jobs(MAIL, JobState.FAILED, 10, 0)
    assert (page.total, page.total_kind) == (10_000, TotalKind.CAPPED)
    assert page.items[0].ref.id == "d10098"
    assert await bulk(world, BulkAction.DELETE_FAILED, utc_now()) == 10_098


async def test_bulk_takes_what_died_up_to_the_cutoff_in_its_queue(world: SidekiqWorld) -> None:
    early = [world.put("dead", f"e{number}", 1_000 + number) for number in range(300)]
    world.put("dead", "late", 2_000)
    world.put("dead", "other", 1_000, queue="bulk", args=["mail"])
    cutoff = datetime.fromtimestamp(1_500, UTC)
    assert await bulk(world, BulkAction.RETRY_FAILED, cutoff) == len(early)
    assert {job["jid"] for job in world.stored("dead")} == {"late", "other"}
    assert {job["jid"] for job in world.stored("queue:mail")} == {ref.id for ref in early}
    assert await bulk(world, BulkAction.RETRY_FAILED, cutoff) == 0


async def test_a_scheduled_job_is_either_deleted_or_runs(world: SidekiqWorld) -> None:
    soon = utc_now().timestamp() + 1
    refs = [await world.push(at=soon) for _ in range(60)]
    deleted: list[JobRef] = []

    async def strike(ref: JobRef) -> None:
        try:
            await world.engine.delete(ref)
            deleted.append(ref)
        except (NotFound, Conflict):
            pass

    fleet = SidekiqFleet(world.url, world.directory, poll_s=0.05)

    async def is_drained() -> bool:
        return len({run.job_id for run in fleet.runs()} | {ref.id for ref in deleted}) == 60

    async with fleet.running("mail", processes=2):
        while utc_now().timestamp() < soon:  # the jobs fall due while they are deleted
            await world.moving_stats()
        await asyncio.gather(*(strike(ref) for ref in refs[::2] for _ in range(2)))
        await eventually(is_drained)
    ran = [run.job_id for run in fleet.runs()]
    assert len(ran) == len(set(ran))
    assert len(deleted) == len(set(deleted))
    assert {ref.id for ref in refs} == set(ran) | {ref.id for ref in deleted}
    assert not set(ran) & {ref.id for ref in deleted}


async def test_a_trace_that_unpacks_to_gigabytes_is_not_unpacked(world: SidekiqWorld) -> None:
    packed = b64encode(zlib.compress(b"[" + b" " * 50_000_000 + b"]")).decode()
    ref = world.put("dead", "d1", error_backtrace=packed, **FAILURE)
    error = (await world.get(ref)).error
    assert error is not None
    assert error.stack_trace == f"ConnectionError: {TROUBLE}"


async def test_what_is_no_job_breaks_no_page(world: SidekiqWorld) -> None:
    good = await world.push(1)
    deep = "[" * 500 + "]" * 500
    odd = ["", "x", "[]", "null", '{"jid":1}', '{"jid":"a b"}', '{"jid":"x"', b"\xff\xfe"]
    for text in odd:
        world.redis.lpush("queue:mail", text)
        world.redis.zadd("dead", {text: 1})
    nested = json.loads(f'{{"queue":"mail","jid":"deep","args":{deep}}}')
    world.redis.lpush("queue:mail", json.dumps(nested))
    world.redis.sadd("processes", "p")
    world.redis.hset("p:work", mapping={"a": "x", "b": "{}", "c": '{"payload":"x","queue":"mail"}'})
    page = await world.engine.list_jobs(MAIL, None, 50, 0)
    jobs = {job.ref.id: job for job in page.items}
    assert set(jobs) == {good.id, "deep"}
    assert jobs["deep"].payload_error == "The arguments are no list in JSON."
    assert (await world.engine.sample_failures(MAIL, 10)).failures == []
    assert await bulk(world, BulkAction.DELETE_FAILED, utc_now()) == 0
    assert (await world.stats()).waiting == 2 + len(odd)


async def test_jobs_of_rails_are_shown_by_their_own_class(world: SidekiqWorld) -> None:
    ref = world.put(
        "dead",
        "d1",
        wrapped="SendMail",
        args=[{"job_class": "SendMail", "arguments": [{"to": "a@example.com"}]}],
        **{"class": "ActiveJob::QueueAdapters::SidekiqAdapter::JobWrapper"},
    )
    assert (await world.get(ref)).payload == {"class": "SendMail", "to": "a@example.com"}
