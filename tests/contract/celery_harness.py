"""Celery on Redis: its own producers and workers."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

import servers
from bullmq_world import redis_gone
from contract.fleet import WorkerFleet
from contract.harness import DirectToolbox, Outcome, Run, eventually
from contract.sql_harness import SOURCE
from quarterdeck.queues.model import JobRef
from workers.celery_app import TASK, build_app


@dataclass(frozen=True)
class Broker:
    """Options of our source, and settings of the application."""

    options: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)


class CeleryHarness:
    """Producers as Celery has them. What other engines call a band is a queue of its own here."""

    def __init__(self, directory: Path, server: servers.RedisServer, broker: Broker) -> None:
        self.engine = DirectToolbox().build("celery", SOURCE, broker.options)
        (directory / "celery.json").write_text(json.dumps(broker.settings))
        self.app = build_app(broker.options["url"], **broker.settings)
        self._server = server
        self._fleet = WorkerFleet("celery_worker.py", broker.options["url"], directory)

    async def enqueue(
        self,
        queue_name: str,
        payload: dict[str, Any] | None = None,
        *,
        priority: int = 100,
        outcome: Outcome = Outcome.OK,
    ) -> JobRef:
        """See `EngineHarness`."""
        content = {**(payload or {}), "outcome": str(outcome)}
        return (await self._send(queue_name, [content], priority))[0]

    async def enqueue_many(
        self, queue_name: str, count: int, *, priority: int = 100, outcome: Outcome = Outcome.OK
    ) -> list[JobRef]:
        """See `EngineHarness`."""
        contents = [{"number": number, "outcome": str(outcome)} for number in range(count)]
        return await self._send(queue_name, contents, priority)

    @asynccontextmanager
    async def workers(self, *queue_names: str, processes: int = 1) -> AsyncIterator[None]:
        """Each process works on all bands of these queues, and hears remote control."""
        names = [f"{name}{band}" for name in queue_names for band in (":high", "", ":low")]
        async with self._fleet.running(*names, processes=processes):
            await eventually(lambda: self._has_workers(processes))
            yield

    async def _has_workers(self, count: int) -> bool:
        replies = await asyncio.to_thread(self.app.control.ping, limit=count)
        return len(replies) == count

    def runs(self) -> list[Run]:
        """See `EngineHarness`."""
        return self._fleet.runs()

    def heal(self) -> None:
        """See `EngineHarness`."""
        self._fleet.heal()

    def release(self) -> None:
        """See `EngineHarness`."""
        self._fleet.release()

    async def spoil_payload(self, ref: JobRef) -> object:
        """See `EngineHarness`."""
        raw = '["no", "object"]'
        async with Redis.from_url(self._server.url) as redis:
            for place, stored in enumerate(await redis.lrange("mail", 0, -1)):
                message = json.loads(stored)
                if message["headers"]["id"] == ref.id:
                    message["body"] = base64.b64encode(raw.encode()).decode()
                    await redis.lset("mail", place, json.dumps(message))
        return raw

    def source_gone(self) -> AbstractAsyncContextManager[None]:
        """The server is stopped, and keeps what it holds."""
        return redis_gone(self._server)

    async def close(self) -> None:
        """Give all connections back."""
        await self.engine.close()
        await asyncio.to_thread(self.app.close)

    async def _send(
        self, queue_name: str, contents: list[dict[str, Any]], priority: int
    ) -> list[JobRef]:
        name = queue_name + (":high" if priority <= 50 else "" if priority <= 150 else ":low")

        def send() -> list[JobRef]:
            return [
                JobRef(SOURCE, self.app.send_task(TASK, kwargs=content, queue=name).id)
                for content in contents
            ]

        return await asyncio.to_thread(send)


@asynccontextmanager
async def open_celery(
    request: pytest.FixtureRequest, directory: Path
) -> AsyncIterator[CeleryHarness]:
    """An empty Redis, and an engine that listens already, as one beside producers does."""
    server: servers.RedisServer = request.getfixturevalue("redis_server")
    async with Redis.from_url(server.url) as redis:
        await redis.flushall()
    harness = CeleryHarness(directory, server, Broker({"url": server.url}))
    await harness.engine.snapshot()
    yield harness
    await harness.close()
