"""Retry, delete and pause of Celery's tasks on RabbitMQ, with its real workers."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from kombu.entity import Exchange, Queue

import servers
from celery_world import MAIL, SOURCE
from contract.harness import eventually
from contract.questions import runs_of
from quarterdeck.core.errors import Conflict, SourceUnavailable, Unsupported
from quarterdeck.queues.model import JobRef, JobState, RetryResult
from rabbit_server import RabbitServer
from rabbitmq_celery_world import Passage, RabbitWorld, open_rabbit_world, passage
from workers.celery_app import TASK


@pytest.fixture
async def world(
    redis_server: servers.RedisServer, rabbitmq_server: RabbitServer, tmp_path: Path
) -> AsyncIterator[RabbitWorld]:
    async with open_rabbit_world(redis_server, rabbitmq_server, tmp_path) as opened:
        yield opened


async def failed(world: RabbitWorld, *args: Any, **options: Any) -> JobRef:
    ref = await world.send("fail", *args, **options)
    async with world.workers():
        await world.until(JobState.FAILED, ref)
    return ref


async def waiting(world: RabbitWorld) -> int | None:
    return (await world.stats()).waiting


async def test_of_eight_retries_by_two_of_us_one_sends_the_task_as_it_was(
    world: RabbitWorld,
) -> None:
    ref = await failed(world, 4711, ["é", None])
    async with world.another_engine() as engine:
        answers = await asyncio.gather(
            *(each.retry(ref) for each in (world.engine, engine) * 4), return_exceptions=True
        )
    assert sum(isinstance(answer, RetryResult) for answer in answers) == 1
    assert sum(isinstance(answer, Conflict) for answer in answers) == 7
    assert await waiting(world) == 1
    world.fleet.heal()
    async with world.workers():
        await world.until(JobState.COMPLETED, ref)
    assert [run.attempt for run in world.fleet.runs()] == [1, 1]
    assert (await world.get(ref)).payload == {"args": [4711, ["é", None]], "outcome": "fail"}


async def cut_short(world: RabbitWorld, way: Passage, ref: JobRef, *, arrives: bool) -> None:
    """A retry whose connection breaks before RabbitMQ could confirm it."""
    async with world.another_engine(url=world.through(way)) as engine:
        way.loses_after, way.loses_answers = b"argsrepr", arrives
        retry = asyncio.create_task(engine.retry(ref))

        async def is_under_way() -> bool:
            claimed = bool(await world.redis.zcard(f"quarterdeck:{SOURCE}:claims"))
            return claimed and await waiting(world) == (1 if arrives else 0)

        await eventually(is_under_way)
        with pytest.raises(Conflict, match="waiting"):
            await world.engine.retry(ref)
        way.mend()
        with pytest.raises(SourceUnavailable, match="did not confirm"):
            await retry


async def test_a_retry_that_did_not_arrive_is_failed_again_and_can_be_repeated(
    world: RabbitWorld,
) -> None:
    ref = await failed(world)
    async with passage(world.rabbit.port) as way:
        await cut_short(world, way, ref, arrives=False)
    await world.engine.check(time.time())
    assert (await world.get(ref)).state is JobState.WAITING, "it may be on its way"
    await world.engine.check(time.time() + 120)
    job = await world.get(ref)
    assert (job.state, job.native_state) == (JobState.FAILED, "RETRY NOT CONFIRMED")
    assert (await world.stats()).failed == 1
    await world.engine.retry(ref)
    assert await waiting(world) == 1
    world.fleet.heal()
    async with world.workers():
        await world.until(JobState.COMPLETED, ref)
    assert runs_of(world.fleet.runs()) == {ref.id: 2}


async def test_a_retry_that_arrived_although_nobody_heard_so_runs_once(world: RabbitWorld) -> None:
    ref = await failed(world)
    async with passage(world.rabbit.port) as way:
        await cut_short(world, way, ref, arrives=True)
    await world.engine.check(time.time() + 120)
    assert (await world.get(ref)).native_state == "RETRY NOT CONFIRMED"
    world.fleet.heal()
    async with world.workers():
        await world.until(JobState.COMPLETED, ref)
    assert (await world.get(ref)).native_state == "SUCCESS"
    assert runs_of(world.fleet.runs()) == {ref.id: 2}


async def test_a_task_whose_queue_is_gone_is_failed_as_before(world: RabbitWorld) -> None:
    ref = await failed(world, retries=2)
    vhost = world.url.rpartition("/")[2]
    world.rabbit.call("DELETE", f"queues/{vhost}/mail")
    with pytest.raises(Conflict, match="no queue 'mail' in RabbitMQ any more"):
        await world.engine.retry(ref)
    job = await world.get(ref)
    assert (job.state, job.attempts, job.native_state) == (JobState.FAILED, 3, "FAILURE")


async def test_a_task_that_was_routed_by_a_pattern_is_retried_into_its_queue(
    world: RabbitWorld,
) -> None:
    world.configure(task_send_sent_event=False)

    def send() -> str:
        events: Any = Exchange("events", type="topic")
        mail: Any = Queue("mail", events, routing_key="mail.#", max_priority=5)
        world.app.conf.task_queues = [mail]
        options = {"queue": "mail", "routing_key": "mail.eu.send"}
        return str(world.app.send_task(TASK, kwargs={"outcome": "fail"}, **options).id)

    ref = JobRef(SOURCE, await asyncio.to_thread(send))
    world.configure(task_queue_max_priority=5)
    async with world.another_engine() as engine:
        async with world.workers():
            await world.until(JobState.FAILED, ref)
        assert {queue.name for queue in await engine.snapshot()} == {"queue:mail"}
        await engine.retry(ref)
        assert (await engine.snapshot())[MAIL].waiting == 1


async def test_waiting_tasks_cannot_be_deleted_and_finished_ones_can(world: RabbitWorld) -> None:
    ref = await failed(world)
    left = await world.send()
    with pytest.raises(Unsupported, match="cannot remove one message") as caught:
        await world.engine.delete(left)
    assert caught.value.details[0]["field"] == "delete.waiting"
    await world.engine.delete(ref)
    assert await world.engine.find_job(ref) is None
    assert not await world.redis.exists(f"celery-task-meta-{ref.id}")
    assert await waiting(world) == 1


async def test_a_worker_that_starts_during_a_pause_is_asked_and_then_leaves_the_queue_alone(
    world: RabbitWorld,
) -> None:
    await world.send()
    await world.send(queue="other")
    assert (await world.engine.pause(MAIL)).changed

    async def is_asked() -> bool:
        return bool(await world.redis.hlen(f"quarterdeck:{SOURCE}:stopped") == 1)

    async with world.workers("mail", "other"):
        await eventually(is_asked)
        assert not (await world.engine.pause(MAIL)).changed
        ref, beside = await world.send(), await world.send(queue="other")
        await world.until(JobState.COMPLETED, beside)
        assert (await world.get(ref)).state is JobState.WAITING
        await world.engine.resume(MAIL)
        await world.until(JobState.COMPLETED, ref)
