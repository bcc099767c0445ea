"""Reading Celery runs nothing, and survives whatever lies in Redis; who may not is told so."""

import asyncio
import json
import pickle
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

import servers
from celery_world import MAIL, SOURCE, CeleryWorld, message, open_world
from contract.harness import DEADLINE_S, DirectToolbox
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.queues.adapters.celery.access import GRANTS
from quarterdeck.queues.model import JobRef, JobState
from quarterdeck.queues.rules import Redactor, TextFilter

GARBAGE = [
    b"", b"no json", b"[]", b"{}", b"null", b"\xff\xfe", b"[" * 20_000, b'{"headers": 7}',
    b'{"headers": {"id": 5}, "body": [[]]}', b'{"body": "not base64!", "headers": {"id": "b64"}}',
    json.dumps({"body": "%%%", "content-type": "application/json", "headers": {"id": "pct"},
                "properties": {"body_encoding": "base64"}}).encode(),
    message(b"[1]", "application/json", id="short"),
    message(b"[[], {}, {}]", "application/json", id="odd", retries="x", eta=[], task=7),
    message(b"{" * 5000, "application/json", id="deep"),
]  # fmt: skip


class Bomb:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._path,))


@pytest.fixture
async def world(redis_server: servers.RedisServer, tmp_path: Path) -> AsyncIterator[CeleryWorld]:
    async with open_world(redis_server, tmp_path) as opened:
        yield opened


def reads(world: CeleryWorld, job_id: str) -> list[Callable[[], Awaitable[object]]]:
    engine, text = world.engine, TextFilter("zzz", Redactor([]))
    return [
        engine.snapshot,
        lambda: engine.find_queue("queue:mail"),
        lambda: engine.find_job(JobRef(SOURCE, job_id)),
        lambda: engine.sample_failures(MAIL, 10),
        lambda: engine.list_jobs(MAIL, None, 50, 0, text),
        *(lambda state=state: engine.list_jobs(MAIL, state, 50, 0) for state in [None, *JobState]),
    ]


async def test_a_pickle_bomb_never_goes_off(world: CeleryWorld, tmp_path: Path) -> None:
    bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
    await world.send()
    pickled = message(bomb, "application/x-python-serialize", argsrepr="('4711',)", kwargsrepr="{}")
    await world.put(pickled, bomb)
    await world.redis.hset("unacked", "tag", bomb)
    await world.redis.set("celery-task-meta-a-task", bomb)
    for channel in ("/0.celeryev/task.multi", "/0.celeryev/worker.heartbeat", "/0.celery.pidbox",
                    "celery-task-meta-a-task"):  # fmt: skip
        await world.redis.publish(channel, bomb)
        await world.redis.publish(channel, pickled)
    for read in reads(world, "a-task"):
        await read()
    await world.engine.check(4e9)
    async with world.another_engine():
        pass
    job = await world.get(JobRef(SOURCE, "a-task"))
    assert job.payload == {"args": "('4711',)", "kwargs": "{}"}
    assert "not decoded" in (job.payload_error or "")
    assert not (tmp_path / "exploded").exists()
    pickle.loads(bomb)
    assert (tmp_path / "exploded").exists()


async def test_messages_that_are_none_break_no_page_and_can_be_deleted(world: CeleryWorld) -> None:
    good = await world.send()
    await world.put(*GARBAGE)
    page = await world.engine.list_jobs(MAIL, JobState.WAITING, 50, 0)
    assert page.total == len(page.items) == len(GARBAGE) + 1
    assert page.items[-1].ref == good
    assert len({job.ref for job in page.items}) == len(page.items)
    for read in reads(world, "odd"):
        await read()
    for job in page.items:
        assert (await world.get(job.ref)).state is JobState.WAITING
        await world.engine.delete(job.ref)
    assert (await world.stats()).waiting == 0


async def test_events_and_results_that_are_none_stop_no_others(world: CeleryWorld) -> None:
    await world.send()
    odd: list[Any] = [
        {"type": "task-sent"}, {"type": "task-sent", "uuid": 7, "timestamp": 1.0}, [], 5, None,
        {"type": "task-sent", "uuid": "\ud800", "timestamp": 1.0, "queue": "mail"},
        {"type": "task-failed", "uuid": "x", "timestamp": "now", "hostname": []},
        {"type": "worker-online", "hostname": None}, {"type": "task-sent", "uuid": "y",
         "timestamp": 1e300, "queue": ["mail"], "retries": {}, "eta": "never"},
    ]  # fmt: skip
    for event in odd:
        body = json.dumps([event]).encode()
        await world.redis.publish("/0.celeryev/task.multi", message(body, "application/json"))
        await world.redis.publish("celery-task-meta-x", json.dumps(event))
    for raw in GARBAGE:
        await world.redis.publish("/0.celeryev/task.multi", raw)
        await world.redis.publish("celery-task-meta-x", raw)
        await world.redis.set(f"celery-task-meta-{len(raw)}", raw)
    async with world.another_engine() as engine:
        second = await world.send()
        for each in (world.engine, engine):
            assert (await each.snapshot())[MAIL].waiting == 2
            found = await each.find_job(second)
            assert found is not None
            assert found.created_at is not None


async def test_closing_ends_while_much_is_published(world: CeleryWorld) -> None:
    is_over = asyncio.Event()

    async def publish() -> None:
        while not is_over.is_set():
            await world.redis.publish("celery-task-meta-x", b"{}")

    storm = [asyncio.create_task(publish()) for _ in range(3)]
    async with asyncio.timeout(DEADLINE_S):
        for _ in range(10):
            async with world.another_engine():
                pass
    is_over.set()
    await asyncio.gather(*storm)


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[tuple[servers.RedisServer, Any]]:
    """A server with a password, and a client that may everything."""
    with servers.redis() as server:
        async with Redis.from_url(server.url) as redis:
            await redis.config_set("requirepass", "s3cret")
        url = server.url.replace("//", "//:s3cret@")
        async with Redis.from_url(url) as redis:
            yield server, redis


async def refusal(world_url: str) -> str:
    engine = DirectToolbox().build("celery", SOURCE, {"url": world_url})
    with pytest.raises(SourceUnavailable) as caught:
        await engine.snapshot()
    await engine.close()
    return str(caught.value)


async def test_who_may_not_is_told_what_is_missing(
    guarded: tuple[servers.RedisServer, Any],
) -> None:
    server, redis = guarded
    for login in ("", ":wrong@", "nobody:wrong@"):
        said = await refusal(server.url.replace("//", f"//{login}"))
        assert "refuses the user name or password in its `url`" in said
        assert "wrong" not in said
    mute = [grant for grant in GRANTS.split() if grant != "allchannels"]
    await redis.execute_command("ACL", "SETUSER", "mute", "on", ">pw", "resetchannels", *mute)
    said = await refusal(server.url.replace("//", "//mute:pw@"))
    assert "+@pubsub" in said
    await redis.execute_command("ACL", "SETUSER", "full", "on", ">pw", *GRANTS.split())
    url = server.url.replace("//", "//full:pw@")
    engine = DirectToolbox().build("celery", SOURCE, {"url": url, "queues": ["mail"]})
    assert [ref.name for ref in await engine.snapshot()] == ["queue:mail"]
    assert (await engine.pause(MAIL)).changed
    assert (await engine.resume(MAIL)).changed
    await engine.close()
