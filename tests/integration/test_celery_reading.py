"""What the engine shows of Celery's messages, events and results is what is there."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import servers
from celery_world import MAIL, SOURCE, TROUBLE, CeleryWorld, message, open_world
from contract.harness import eventually
from quarterdeck.core.errors import Conflict
from quarterdeck.queues.model import JobRef, JobState, QueueRef

LATE = QueueRef(SOURCE, "queue:later")


@pytest.fixture
async def world(redis_server: servers.RedisServer, tmp_path: Path) -> AsyncIterator[CeleryWorld]:
    async with open_world(redis_server, tmp_path) as opened:
        yield opened


async def test_each_priority_has_a_list_and_all_of_them_count(world: CeleryWorld) -> None:
    refs = {step: await world.send(priority=step) for step in (9, 0, 6, 3)}
    assert await world.redis.llen("mail\x06\x169") == 1
    assert (await world.stats()).waiting == 4
    page = await world.engine.list_jobs(MAIL, JobState.WAITING, 10, 0)
    assert [job.ref for job in page.items] == [refs[step] for step in (0, 3, 6, 9)]
    second = await world.engine.list_jobs(MAIL, JobState.WAITING, 2, 1)
    assert [job.ref for job in second.items] == [refs[3], refs[6]]
    for ref in refs.values():
        await world.engine.delete(ref)
    assert (await world.stats()).waiting == 0


async def test_other_priority_steps_are_those_of_the_settings(world: CeleryWorld) -> None:
    world.configure(broker_transport_options={"priority_steps": [0, 1, 2]})
    engine = world.open_engine(priority_steps=[0, 1, 2])
    for step in (0, 1, 2):
        await world.send(priority=step)
    found = await engine.find_queue("queue:mail")
    assert found is not None
    assert found[1].waiting == 3
    await engine.close()


async def test_a_queue_whose_list_is_empty_is_there_still(world: CeleryWorld) -> None:
    ref = await world.send()
    await world.engine.delete(ref)
    assert not await world.redis.exists("mail")
    other = world.open_engine()
    assert {queue.name for queue in await other.snapshot()} == {"queue:mail"}
    await other.close()


async def test_without_events_jobs_and_queues_are_found_all_the_same(world: CeleryWorld) -> None:
    world.configure(task_send_sent_event=False, worker_send_task_events=False)
    engine = world.open_engine(discover_every_s=1)
    refs = [await world.send("hold"), await world.send("fail", queue="later")]

    async def is_seen(state: JobState, queue: QueueRef, ref: JobRef) -> bool:
        page = await engine.list_jobs(queue, state, 10, 0)
        return ref in [job.ref for job in page.items]

    assert (await engine.snapshot())[MAIL].waiting == 1
    waiting = (await engine.list_jobs(MAIL, None, 10, 0)).items[0]
    assert (waiting.ref, waiting.created_at) == (refs[0], None)
    async with world.workers("mail", "later"):
        await eventually(lambda: is_seen(JobState.ACTIVE, MAIL, refs[0]))
        await eventually(lambda: is_seen(JobState.FAILED, LATE, refs[1]))
        failed = await engine.find_job(refs[1])
        assert failed is not None
        assert failed.error is not None
        assert failed.error.message == TROUBLE
        assert "ConnectionError" in (failed.error.stack_trace or "")
    await engine.close()


async def test_what_failed_while_nobody_listened_is_read_from_results(world: CeleryWorld) -> None:
    await world.engine.close()
    failed, done = await world.send("fail", 1, "two"), await world.send()
    async with world.workers():

        async def are_done() -> bool:
            keys = [f"celery-task-meta-{ref.id}" for ref in (failed, done)]
            return bool(await world.redis.exists(*keys) == 2)

        await eventually(are_done)
    world.engine = world.open_engine()
    await world.until(JobState.FAILED, failed)
    stats = await world.stats()
    assert (stats.failed, stats.completed, stats.completed_last_hour) == (1, 1, 1)
    job = await world.get(failed)
    assert job.payload == {"args": [1, "two"], "outcome": "fail"}
    await world.engine.close()
    # It is in our index now, whatever becomes of the result, which Celery keeps for a day.
    await world.redis.delete(f"celery-task-meta-{failed.id}")
    world.engine = world.open_engine()
    assert (await world.get(failed)).state is JobState.FAILED
    await world.engine.retry(failed)
    assert (await world.stats()).waiting == 1


async def store_failure(world: CeleryWorld, job_id: str, done_at: float) -> None:
    """A result that nobody was told of."""
    result = {
        "status": "FAILURE", "result": {"exc_type": "OSError", "exc_message": ["no"]},
        "task_id": job_id, "queue": "mail", "name": "send", "retries": 0, "args": [],
        "kwargs": {}, "date_done": done_at, "worker": "w@test",
    }  # fmt: skip
    await world.redis.set(f"celery-task-meta-{job_id}", json.dumps(result))


async def test_after_a_lost_connection_results_are_read_again(world: CeleryWorld) -> None:
    await store_failure(world, "missed", time.time())
    assert await world.engine.find_job(JobRef(SOURCE, "missed")) is None
    assert await world.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub") == 1
    await world.until(JobState.FAILED, JobRef(SOURCE, "missed"))


async def test_only_the_newest_are_remembered(world: CeleryWorld) -> None:
    await world.engine.close()
    now = time.time()
    for number in range(1200):
        await store_failure(world, f"task-{number:04}", now - 1200 + number)
    world.engine = world.open_engine(keep=1000)
    assert (await world.stats()).failed == 1000
    for number in range(1200):
        event = {"type": "task-sent", "uuid": f"new-{number}", "timestamp": now, "queue": "mail"}
        body = json.dumps([event]).encode()
        await world.redis.publish("/0.celeryev/task.multi", message(body, "application/json"))
    assert (await world.stats()).failed == 1000, "new tasks push out no failed ones"
    own = [key async for key in world.redis.scan_iter("quarterdeck:mailer:job:*")]
    assert len(own) == 2000


async def test_other_prefixes_and_a_database_for_results(world: CeleryWorld) -> None:
    other = world.server.url.removesuffix("/0") + "/7"
    prefixed = {"global_keyprefix": "acme:"}
    world.configure(
        result_backend=other,
        broker_transport_options=prefixed,
        result_backend_transport_options=prefixed,
    )
    await world.engine.close()
    world.engine = world.open_engine(
        result_url=other, key_prefix="acme:", result_key_prefix="acme:"
    )
    ref = await world.send("fail", 4711)
    assert (await world.stats()).waiting == 1
    async with world.workers():
        await world.until(JobState.FAILED, ref)
        assert (await world.get(ref)).payload == {"args": [4711], "outcome": "fail"}
    await world.engine.retry(ref)
    assert (await world.stats()).waiting == 1
    await world.engine.delete(ref)
    assert await world.redis.llen("acme:mail") == 0


async def test_an_unacknowledged_task_of_a_dead_worker_waits_for_its_delivery(
    world: CeleryWorld,
) -> None:
    world.configure(task_acks_late=True)
    ref = await world.send("hold")
    await world.kill_worker_of(ref)
    assert await world.redis.hlen("unacked") == 1
    # One that has not heard of the worker lately.
    async with world.another_engine() as engine:
        await engine.check(time.time())
        assert (await world.get(ref)).state is JobState.ACTIVE, "it may have begun just now"
        await engine.check(time.time() + 120)
    job = await world.get(ref)
    assert (job.state, job.queue) == (JobState.WAITING, "queue:mail")
    stats = await world.stats()
    assert (stats.active, stats.waiting) == (0, 1)
    with pytest.raises(Conflict, match="holds this task"):
        await world.engine.delete(ref)


async def test_a_task_that_died_with_its_worker_is_not_active_for_ever(world: CeleryWorld) -> None:
    ref = await world.send("hold")
    await world.kill_worker_of(ref)
    await world.engine.check(time.time() + 120)
    assert (await world.get(ref)).state is JobState.ACTIVE, "its worker was heard a moment ago"
    async with world.another_engine() as engine:
        await engine.check(time.time() + 120)
    assert await world.engine.find_job(ref) is None
    assert (await world.stats()).active == 0
