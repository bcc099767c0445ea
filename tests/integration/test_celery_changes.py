"""Retry, delete and pause of Celery's tasks, with its real workers."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kombu.entity import Exchange, Queue

import servers
from celery_world import MAIL, SOURCE, CeleryWorld, open_world
from contract.harness import eventually
from contract.questions import runs_of
from quarterdeck.core.errors import Conflict
from quarterdeck.queues.model import JobRef, JobState, RetryResult
from workers.celery_app import TASK


@pytest.fixture
async def world(redis_server: servers.RedisServer, tmp_path: Path) -> AsyncIterator[CeleryWorld]:
    async with open_world(redis_server, tmp_path) as opened:
        yield opened


async def test_a_retry_sends_the_same_task_and_the_arguments_it_had(world: CeleryWorld) -> None:
    ref = await world.send("fail", 4711, ["é", None], retries=2)
    async with world.workers():
        await world.until(JobState.FAILED, ref)
        assert (await world.get(ref)).attempts == 3
        world.fleet.heal()
        async with world.another_engine() as engine:
            answers = await asyncio.gather(
                *(each.retry(ref) for each in (world.engine, engine) * 4), return_exceptions=True
            )
        assert sum(isinstance(answer, RetryResult) for answer in answers) == 1
        assert sum(isinstance(answer, Conflict) for answer in answers) == 7
        await world.until(JobState.COMPLETED, ref)
    assert [run.attempt for run in world.fleet.runs()] == [3, 1]
    result = json.loads(await world.redis.get(f"celery-task-meta-{ref.id}"))
    assert (result["args"], result["kwargs"]) == ([4711, ["é", None]], {"outcome": "fail"})
    assert (await world.get(ref)).payload == {"args": [4711, ["é", None]], "outcome": "fail"}


async def test_without_its_arguments_a_task_is_not_retried_and_told_why(
    world: CeleryWorld,
) -> None:
    world.configure(result_extended=False)
    ref = await world.send("fail", "x" * 5000)
    async with world.workers():
        await world.until(JobState.FAILED, ref)
    assert (await world.get(ref)).queue == "queue:mail"
    with pytest.raises(Conflict, match="result_extended = True"):
        await world.engine.retry(ref)
    assert (await world.stats()).failed == 1
    await world.engine.delete(ref)
    assert not await world.redis.exists(f"celery-task-meta-{ref.id}")


async def test_a_task_that_was_routed_by_a_pattern_is_retried_into_its_queue(
    world: CeleryWorld,
) -> None:
    world.configure(task_send_sent_event=False)

    def send() -> str:
        events: Any = Exchange("events", type="topic")
        mail: Any = Queue("mail", events, routing_key="mail.#")
        world.app.conf.task_queues = [mail]
        options = {"queue": "mail", "routing_key": "mail.eu.send"}
        return str(world.app.send_task(TASK, kwargs={"outcome": "fail"}, **options).id)

    ref = JobRef(SOURCE, await asyncio.to_thread(send))
    async with world.another_engine() as engine:
        async with world.workers():
            await world.until(JobState.FAILED, ref)
        assert (await world.get(ref)).queue == "queue:mail"
        assert {queue.name for queue in await engine.snapshot()} == {"queue:mail"}
        await engine.retry(ref)
    assert await world.redis.llen("mail") == 1


async def test_a_task_for_later_waits_in_its_worker_and_is_not_deleted(world: CeleryWorld) -> None:
    moment = datetime.now(UTC) + timedelta(hours=1)
    ref = await world.send(eta=moment)
    async with world.workers():

        async def is_held() -> bool:
            return (await world.get(ref)).native_state == "RECEIVED"

        await eventually(is_held)
        job = await world.get(ref)
        assert (job.state, job.run_at) == (JobState.WAITING, moment)
        stats = await world.stats()
        assert (stats.waiting, stats.active) == (1, 0)
        with pytest.raises(Conflict, match="holds this task until its time"):
            await world.engine.delete(ref)
        await world.engine.check(moment.timestamp())
        assert (await world.get(ref)).state is JobState.WAITING


async def test_a_worker_that_starts_during_a_pause_is_asked_and_then_leaves_the_queue_alone(
    world: CeleryWorld,
) -> None:
    await world.send(queue="other")
    await world.send()
    paused = await world.engine.pause(MAIL)
    assert (paused.durable, paused.changed) == (False, True)
    assert "may take a few tasks" in paused.notes[0]

    async def is_asked() -> bool:
        return bool(await world.redis.hlen(f"quarterdeck:{SOURCE}:stopped") == 1)

    async with world.workers("mail", "other"):
        await eventually(is_asked)
        assert not (await world.engine.pause(MAIL)).changed
        ref, beside = await world.send(), await world.send(queue="other")
        await world.until(JobState.COMPLETED, beside)
        assert (await world.get(ref)).state is JobState.WAITING
        # A restarted server of ours knows of it, and asks whom it hears of.
        await world.engine.close()
        world.engine = world.open_engine()
        assert (await world.stats()).paused
        async with world.workers("other"):
            await world.engine.resume(MAIL)
            await world.until(JobState.COMPLETED, ref)
            active = await asyncio.to_thread(world.app.control.inspect().active_queues)
            consumed = sorted(sorted(each["name"] for each in own) for own in active.values())
            assert consumed == [["mail", "other"], ["other"]]
    assert set(runs_of(world.fleet.runs()).values()) == {1}


async def test_a_resume_that_was_cut_short_is_ended_at_the_next_look(world: CeleryWorld) -> None:
    ref = await world.send()
    async with world.workers():
        await world.until(JobState.COMPLETED, ref)
        await world.engine.pause(MAIL)
        second = await world.send()
        # We died after the pause was taken back, before the worker was told.
        await world.redis.hdel(f"quarterdeck:{SOURCE}:paused", "mail")
        await world.engine.check(0)
        await world.until(JobState.COMPLETED, second)
