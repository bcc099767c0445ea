"""What is shown of Celery on RabbitMQ is what is there, and looking changes nothing."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from kombu.entity import Exchange, Queue

import servers
from celery_world import MAIL, SOURCE
from contract.harness import DirectToolbox, eventually
from quarterdeck.core.errors import ConfigError, SourceUnavailable
from quarterdeck.core.pagination import TotalKind
from quarterdeck.queues.model import JobRef, JobState, QueueRef
from quarterdeck.queues.rules import Redactor, TextFilter
from rabbit_server import PASSWORD, USER, RabbitServer
from rabbitmq_celery_world import RabbitWorld, open_rabbit_world, passage, restarted
from workers.celery_app import TASK


@pytest.fixture
async def world(
    redis_server: servers.RedisServer, rabbitmq_server: RabbitServer, tmp_path: Path
) -> AsyncIterator[RabbitWorld]:
    async with open_rabbit_world(redis_server, rabbitmq_server, tmp_path) as opened:
        yield opened


async def declare(world: RabbitWorld, name: str, **options: Any) -> None:
    """A queue as the application's settings describe it."""

    def act() -> None:
        queue: Any = Queue(name, Exchange(name), routing_key=name, **options)
        with world.app.connection_for_write() as connection:
            queue(connection).declare()
        world.app.conf.task_queues = [queue]

    await asyncio.to_thread(act)


async def test_what_nobody_told_of_is_counted_and_said_to_be_missing_from_the_list(
    world: RabbitWorld,
) -> None:
    told = await world.send()
    page = await world.engine.list_jobs(MAIL, JobState.WAITING, 10, 0)
    assert ([job.ref for job in page.items], page.total) == ([told], 1)
    assert page.total_kind is TotalKind.EXACT
    assert (await world.stats()).oldest_waiting_at == page.items[0].created_at
    world.configure(task_send_sent_event=False)
    await world.send()
    stats = await world.stats()
    assert (stats.waiting, stats.oldest_waiting_at) == (2, None)
    for state in (None, JobState.WAITING):
        page = await world.engine.list_jobs(MAIL, state, 10, 0)
        assert ([job.ref for job in page.items], page.total) == ([told], 1)
        assert page.total_kind is TotalKind.CAPPED
    assert (await world.engine.list_jobs(MAIL, JobState.FAILED, 10, 0)).total_kind is (
        TotalKind.EXACT
    )


async def test_only_queues_of_tasks_are_shown(world: RabbitWorld) -> None:
    await declare(world, "later", max_priority=9)
    await declare(world, "celery_delayed_3")
    await declare(world, "broadcast", auto_delete=True)
    async with world.workers("mail"), world.another_engine() as engine:
        await engine.check(time.time())
        assert {queue.name for queue in await engine.snapshot()} == {"queue:mail", "queue:later"}


async def test_of_priorities_all_are_counted(world: RabbitWorld) -> None:
    await declare(world, "mail", max_priority=9)
    refs = {await world.send(priority=priority) for priority in (0, 9, 3)}
    assert (await world.stats()).waiting == 3
    page = await world.engine.list_jobs(MAIL, JobState.WAITING, 10, 0)
    assert {job.ref for job in page.items} == refs


async def test_a_quorum_queue_is_never_looked_into(world: RabbitWorld) -> None:
    await declare(world, "mail", queue_arguments={"x-queue-type": "quorum"})
    refs = [await world.send() for _ in range(3)]

    async def are_counted() -> bool:
        # RabbitMQ itself counts quorum queues every five seconds only.
        return (await world.stats()).waiting == 3

    await eventually(are_counted)
    for _ in range(25):
        for state in (None, *JobState):
            await world.engine.list_jobs(MAIL, state, 10, 0, TextFilter("ok", Redactor([])))
        assert [(await world.get(ref)).state for ref in refs] == [JobState.WAITING] * 3
        await world.engine.check(time.time() + 3600)
    await world.engine.pause(MAIL)
    await world.engine.resume(MAIL)

    def fetch() -> list[Any]:
        with world.app.connection_for_read() as connection:
            return [connection.default_channel.basic_get("mail", no_ack=True) for _ in refs]

    for message, ref in zip(await asyncio.to_thread(fetch), refs, strict=True):
        assert message.headers["id"] == ref.id, "they are in their order"
        assert not message.delivery_info["redelivered"]
        assert message.headers.get("x-delivery-count", 0) == 0


async def test_a_purged_task_does_not_wait_for_ever(world: RabbitWorld) -> None:
    ref = await world.send()
    now = time.time()
    await world.engine.check(now)
    await asyncio.to_thread(world.app.control.purge)
    vhost = world.url.rpartition("/")[2]
    world.rabbit.call("DELETE", f"queues/{vhost}/mail/contents")
    await world.engine.check(now + 10)
    await world.engine.check(now + 30)
    assert (await world.get(ref)).state is JobState.WAITING, "it may have been fetched just now"
    await world.engine.check(now + 90)
    assert await world.engine.find_job(ref) is None
    second = await world.send()
    await world.engine.check(now + 200)
    assert (await world.get(second)).state is JobState.WAITING


async def test_an_unacknowledged_task_of_a_dead_worker_waits_at_once(world: RabbitWorld) -> None:
    world.configure(task_acks_late=True)
    ref = await world.send("hold")
    await world.kill_worker_of(ref)

    async def is_back() -> bool:
        return (await world.stats()).waiting == 1

    await eventually(is_back)
    async with world.workers():
        await world.until(JobState.ACTIVE, ref)
        world.fleet.release()
        await world.until(JobState.COMPLETED, ref)


async def test_after_a_restart_of_rabbitmq_events_are_heard_again(world: RabbitWorld) -> None:
    first = await world.send()
    async with restarted(world.rabbit):
        with pytest.raises(SourceUnavailable, match="does not answer"):
            await world.engine.snapshot()
    assert (await world.get(first)).state is JobState.WAITING, "it was kept"
    second = await world.send()
    assert (await world.get(second)).created_at is not None, "its event was heard"
    assert (await world.stats()).waiting == 2


async def test_what_ended_while_rabbitmq_was_out_of_reach_is_read_from_results(
    world: RabbitWorld,
) -> None:
    ref = await world.send("fail")
    async with passage(world.rabbit.port) as way:
        engine = world.open_engine(url=world.through(way))
        assert (await engine.snapshot())[MAIL].waiting == 1
    async with world.workers():
        await world.until(JobState.FAILED, ref)
    with pytest.raises(SourceUnavailable):
        await engine.snapshot()
    await engine.close()
    await world.engine.close()
    await world.redis.delete(*[key async for key in world.redis.scan_iter("quarterdeck:*")])
    world.engine = world.open_engine()
    job = await world.get(ref)
    assert (job.state, job.queue, job.payload) == (
        JobState.FAILED, "queue:mail", {"outcome": "fail"},
    )  # fmt: skip


async def test_who_may_not_is_told_at_which_door_and_what_to_do(world: RabbitWorld) -> None:
    login, management = f"{USER}:{PASSWORD}@", world.rabbit.management_url
    closed = f"http://127.0.0.1:{servers.free_port()}"
    vhost = world.url.rpartition("/")[2]
    cases = [
        ({"url": world.url.replace(PASSWORD, "wrong")}, "refuses the user name or password in its"),
        ({"url": world.url.replace(vhost, "none")}, "virtual host 'none'"),
        ({"management_url": management.replace("//", f"//{USER}:wrong@")}, "`management_url`.*tag"),
        (
            {
                "url": world.url.replace(vhost, "%2F"),
                "management_url": management.replace("//", f"//{USER}:{PASSWORD}@") + "/none",
            },
            "answers 404|knows no virtual host",
        ),
        ({"management_url": closed}, "`management_url`.* does not answer.*refused"),
        ({"url": f"amqp://{login}127.0.0.1:{servers.free_port()}/x"}, "RabbitMQ .*does not answer"),
    ]
    for options, reason in cases:
        engine = world.open_engine(**options)
        with pytest.raises(SourceUnavailable, match=reason) as caught:
            await engine.snapshot()
        assert caught.value.source == SOURCE
        assert "wrong" not in str(caught.value)
        await engine.close()


async def test_tls_is_checked_against_the_authority_of_the_settings(
    world: RabbitWorld, tmp_path: Path
) -> None:
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    authority.issue_cert("127.0.0.1").configure_cert(context)
    await world.send()
    async with (
        passage(world.rabbit.port, context) as broker,
        passage(world.rabbit.management_port, context) as management,
    ):
        secret = {
            "url": world.through(broker).replace("amqp:", "amqps:"),
            "management_url": f"https://127.0.0.1:{management.port}",
        }
        async with world.another_engine(**secret, ca_file=str(tmp_path / "ca.pem")) as engine:
            (stats,) = (await engine.snapshot()).values()
            assert stats.waiting == 1
        for option, url in secret.items():
            engine = world.open_engine(**{option: url})
            with pytest.raises(SourceUnavailable, match="certificate"):
                await engine.snapshot()
            await engine.close()


async def test_a_user_needs_no_more_than_is_documented(world: RabbitWorld) -> None:
    vhost = world.url.rpartition("/")[2]
    call = world.rabbit.call
    ref = await world.send("fail")
    async with world.workers():
        await world.until(JobState.FAILED, ref)
    call("PUT", "users/watch", {"password": "pw", "tags": "management"})
    grants = {"configure": r"^(celeryev$|quarterdeck\.)", "write": ".*", "read": ".*"}
    call("PUT", f"permissions/{vhost}/watch", grants)
    async with world.another_engine(url=world.url.replace(f"{USER}:{PASSWORD}", "watch:pw")) as it:
        assert (await it.snapshot())[MAIL].failed == 1
        await it.check(time.time())
        await it.retry(ref)
        assert (await it.pause(MAIL)).changed
        assert (await it.resume(MAIL)).changed
    call("DELETE", "users/watch")


def test_without_a_redis_for_results_the_source_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"mailer\.result_url: missing.*any Redis"):
        DirectToolbox().build("celery", SOURCE, {"url": "amqp://rabbit/"})
    with pytest.raises(ConfigError, match="`url` must be"):
        DirectToolbox().build("celery", SOURCE, {"url": "amqp:///x", "result_url": "redis://r"})


async def test_events_that_are_none_stop_no_others(world: RabbitWorld) -> None:
    def publish() -> None:
        with world.app.connection_for_write() as connection:
            producer: Any = connection.Producer()
            for body, kind in [
                (b"\x80\x04garbage", "application/x-python-serialize"), (b"{" * 20_000, None),
                (b"[1, null, {}]", "application/json"), (b"", "application/json"),
            ]:  # fmt: skip
                producer.publish(
                    body, exchange="celeryev", routing_key="task.multi", serializer=None,
                    content_type=kind or "application/json", content_encoding="binary",
                )  # fmt: skip

    await asyncio.to_thread(publish)
    ref = await world.send()
    assert (await world.get(ref)).created_at is not None
    assert await world.engine.find_job(JobRef(SOURCE, TASK)) is None
    assert await world.engine.find_queue(QueueRef(SOURCE, "queue:none").name) is None
