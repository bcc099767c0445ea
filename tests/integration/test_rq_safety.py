"""Reading RQ runs nothing, changes nothing, and survives whatever lies in Redis."""

import pickle
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import servers
from quarterdeck.core.clock import utc_now
from quarterdeck.queues.model import BulkAction, JobRef, JobState
from quarterdeck.queues.rules import Redactor, TextFilter
from rq_world import MAIL, SOURCE, RqWorld, open_world, ref, succeed

FIELDS = [
    "data", "meta", "result", "exc_info", "description", "created_at", "enqueued_at", "started_at",
    "ended_at", "last_heartbeat", "retries_left", "retry_intervals", "number_of_retries", "ttl",
    "webhooks", "dependency_ids", "group_id", "worker_name", "success_callback_name",
]  # fmt: skip


class Bomb:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._path,))


@pytest.fixture
async def world(redis_server: servers.RedisServer, tmp_path: Path) -> AsyncIterator[RqWorld]:
    async with open_world(redis_server, tmp_path) as opened:
        yield opened


def reads(world: RqWorld, job_id: str) -> list[Callable[[], Awaitable[object]]]:
    engine, text = world.engine, TextFilter("zzz", Redactor([]))
    return [
        engine.snapshot,
        lambda: engine.find_queue("queue:mail"),
        lambda: engine.find_job(JobRef(SOURCE, job_id)),
        lambda: engine.sample_failures(MAIL, 10),
        lambda: engine.list_jobs(MAIL, None, 10, 0),
        lambda: engine.list_jobs(MAIL, None, 10, 0, text),
        *(lambda state=state: engine.list_jobs(MAIL, state, 10, 0) for state in JobState),
    ]


@pytest.mark.parametrize("packed", [False, True])
async def test_a_pickle_bomb_in_every_field_never_goes_off(
    world: RqWorld, tmp_path: Path, packed: bool
) -> None:
    job = world.failed()
    bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
    raw = zlib.compress(bomb) if packed else bomb
    world.redis.hset(job.key, mapping=dict.fromkeys(FIELDS, raw))
    entry = {"type": "2", "exc_string": b64encode(raw), "return_value": b64encode(bomb)}
    world.redis.xadd(f"rq:results:{job.id}", dict.fromkeys(entry, raw))
    world.redis.xadd(f"rq:results:{job.id}", entry)  # type: ignore[arg-type]
    for read in reads(world, job.id):
        await read()
    shown = await world.get(job)
    assert shown.state is JobState.FAILED
    await world.engine.retry(ref(job))
    for read in reads(world, job.id):
        await read()
    await world.engine.delete(ref(job))
    assert not (tmp_path / "exploded").exists()
    pickle.loads(bomb)
    assert (tmp_path / "exploded").exists()


async def test_reads_send_no_command_that_writes(world: RqWorld) -> None:
    job = world.failed()
    world.queue.enqueue(succeed)
    # An abandoned job, and such as have ended their time: RQ's own reads would clean up here.
    world.redis.zadd("rq:wip:mail", {f"{world.queue.enqueue(succeed).id}:x": 1})
    world.redis.zadd("rq:finished:mail", {"gone": 1})
    world.redis.zadd("rq:failed:mail", {"gone": 1})
    keys = sorted(world.redis.keys())
    before = [world.redis.dump(key) for key in keys]
    world.redis.config_resetstat()
    for read in reads(world, job.id):
        await read()
    called = world.redis.info("commandstats")
    assert sorted(world.redis.keys()) == keys
    assert [world.redis.dump(key) for key in keys] == before
    names = {name.removeprefix("cmdstat_") for name in called}
    writing = {
        name
        for name, about in world.redis.command().items()
        if "write" in about["flags"] and name in names
    }
    assert writing == set()


async def test_what_lies_under_jobs_keys_breaks_no_page(world: RqWorld) -> None:
    good = world.queue.enqueue(succeed, number=1)
    for job_id, key_type in {"text": "set", "listed": "list"}.items():
        world.redis.rpush("rq:queue:mail", job_id)
        if key_type == "set":
            world.redis.set(f"rq:job:{job_id}", "x")
        else:
            world.redis.rpush(f"rq:job:{job_id}", "x")
    world.redis.rpush("rq:queue:mail", b"\xff\xfe", "no-such-job", "")
    world.redis.hset("rq:job:bare", mapping={"status": "queued", "origin": "mail"})
    world.redis.rpush("rq:queue:mail", "bare")
    world.redis.rpush(f"rq:results:{good.id}", "x")
    page = await world.engine.list_jobs(MAIL, None, 10, 0)
    assert {job.ref.id for job in page.items} == {good.id, "bare"}
    assert page.total == 2
    assert [await world.engine.find_job(JobRef(SOURCE, each)) for each in ("text", "listed")] == [
        None,
        None,
    ]
    bare = await world.engine.find_job(JobRef(SOURCE, "bare"))
    assert bare is not None
    assert (bare.payload, bare.payload_error) == (None, "The job has no data.")
    assert (bare.created_at, bare.updated_at) == (None, None)


async def test_a_small_text_that_unpacks_to_gigabytes_is_not_unpacked(world: RqWorld) -> None:
    job = world.failed(description="send it")
    bomb = zlib.compress(b"x" * 50_000_000)
    world.redis.hset(job.key, "data", bomb)
    world.redis.xadd(f"rq:results:{job.id}", {"type": "2", "exc_string": b64encode(bomb)})
    shown = await world.get(job)
    assert shown.payload == "send it"
    assert shown.payload_error == "The arguments are larger than 1000000 bytes."
    assert shown.error is not None
    assert shown.error.message == "The error is too large to be shown."


async def test_pickled_jobs_are_shown_by_their_description(world: RqWorld) -> None:
    job = world.queue.enqueue(succeed, "a@example.com", number=1)
    shown = await world.get(job)
    assert shown.payload == "rq_world.succeed('a@example.com', number=1)"
    assert shown.payload_error is None


async def test_a_wrong_type_in_a_registry_is_unknown_and_not_zero(world: RqWorld) -> None:
    world.queue.enqueue(succeed)
    world.redis.set("rq:failed:mail", "x")
    stats = await world.stats()
    assert (stats.failed, stats.waiting) == (None, 1)
    assert "another type" in stats.warnings[0]
    page = await world.engine.list_jobs(MAIL, None, 10, 0)
    assert len(page.items) == 1
    assert [n async for n in world.engine.bulk(BulkAction.RETRY_FAILED, MAIL, utc_now())] == []
