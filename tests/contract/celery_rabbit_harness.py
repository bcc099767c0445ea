"""Celery on RabbitMQ, with its results in Redis."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

import servers
from contract.celery_harness import Broker, CeleryHarness
from quarterdeck.queues.model import JobRef
from rabbit_server import RabbitServer
from rabbitmq_celery_world import restarted, wait_for_confirmations
from workers.celery_app import TASK


class CeleryRabbitHarness(CeleryHarness):
    """A virtual host of its own."""

    def __init__(
        self, directory: Path, redis: servers.RedisServer, rabbit: RabbitServer, url: str
    ) -> None:
        options = {
            "url": url, "result_url": redis.url, "management_url": rabbit.management_url,
        }  # fmt: skip
        super().__init__(directory, redis, Broker(options, {"result_backend": redis.url}))
        wait_for_confirmations(self.app)
        self._rabbit = rabbit
        self._url = url

    async def _has_workers(self, count: int) -> bool:
        return await asyncio.to_thread(self._rabbit.listening_workers, self._url) == count

    async def spoil_payload(self, ref: JobRef) -> object:
        """A message cannot be changed in its queue; but what was told of it is all we know."""
        shown = {"args": "['no object'", "kwargs": "{'text': 'cut off..."}

        def tell() -> None:
            with self.app.events.default_dispatcher() as dispatcher:
                dispatcher.send(
                    "task-sent", uuid=ref.id, name=TASK, queue="mail", timestamp=time.time(),
                    **shown,
                )  # fmt: skip

        await asyncio.to_thread(tell)
        return shown

    def source_gone(self) -> AbstractAsyncContextManager[None]:
        """RabbitMQ is stopped, both of its doors, and keeps what it holds."""
        return restarted(self._rabbit)


@asynccontextmanager
async def open_celery_rabbit(
    request: pytest.FixtureRequest, directory: Path
) -> AsyncIterator[CeleryRabbitHarness]:
    """An empty virtual host, and an engine that listens already."""
    redis: servers.RedisServer = request.getfixturevalue("redis_server")
    rabbit: RabbitServer = request.getfixturevalue("rabbitmq_server")
    async with Redis.from_url(redis.url) as client:
        await client.flushall()
    url = rabbit.create_vhost()
    harness = CeleryRabbitHarness(directory, redis, rabbit, url)
    await harness.engine.snapshot()
    yield harness
    await harness.close()
    rabbit.drop_vhost(url)
