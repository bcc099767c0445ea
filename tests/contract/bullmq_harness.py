"""BullMQ on Redis: producers and workers of its versions 5 and 6, in Node."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

import servers
from bullmq_world import Bullmq, CallFailed, redis_gone
from contract.harness import DirectToolbox, NameRefused, Outcome, Run
from contract.sql_harness import SOURCE
from quarterdeck.queues.model import JobRef


class BullmqHarness:
    """Producers of one version. What other engines call a band is a queue of its own here."""

    def __init__(self, bullmq: Bullmq, directory: Path, server: servers.RedisServer) -> None:
        self.engine = DirectToolbox().build(
            "bullmq", SOURCE, {"url": bullmq.url, "discover_every_s": 0, "band_separator": "-"}
        )
        self._bullmq = bullmq
        self._server = server
        self._fleet = bullmq.fleet(directory)
        self._numbers = itertools.count(1)

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
        return (await self._add(queue_name, [content], priority))[0]

    async def enqueue_many(
        self, queue_name: str, count: int, *, priority: int = 100, outcome: Outcome = Outcome.OK
    ) -> list[JobRef]:
        """See `EngineHarness`."""
        contents = [{"number": number, "outcome": str(outcome)} for number in range(count)]
        return await self._add(queue_name, contents, priority)

    def workers(self, *queue_names: str, processes: int = 1) -> AbstractAsyncContextManager[None]:
        """Each process works on all bands of these queues."""
        names = [f"{name}{band}" for name in queue_names for band in ("-high", "", "-low")]
        return self._fleet.running(*names, processes=processes)

    def runs(self) -> list[Run]:
        """See `EngineHarness`."""
        return self._fleet.runs()

    def heal(self) -> None:
        """See `EngineHarness`."""
        self._fleet.heal()

    def release(self) -> None:
        """See `EngineHarness`."""
        self._fleet.release()

    async def spoil_payload(self, ref: JobRef) -> str:
        """See `EngineHarness`. BullMQ takes any JSON as a payload, but it must be JSON."""
        raw = '{"broken": '
        async with Redis.from_url(self._server.url) as redis:
            await redis.hset(f"bull:{ref.queue}:{ref.id}", "data", raw)
        return raw

    def source_gone(self) -> AbstractAsyncContextManager[None]:
        """The server is stopped, and keeps what it holds."""
        return redis_gone(self._server)

    async def close(self) -> None:
        """Give all connections back."""
        await asyncio.gather(self.engine.close(), self._bullmq.close())

    async def _add(
        self, queue_name: str, contents: list[dict[str, Any]], priority: int
    ) -> list[JobRef]:
        name = queue_name + ("-high" if priority <= 50 else "" if priority <= 150 else "-low")
        # BullMQ numbers the jobs of each queue from 1; what a worker reports names no queue.
        jobs = [
            {"name": "send", "data": data, "opts": {"jobId": f"job-{next(self._numbers)}"}}
            for data in contents
        ]
        try:
            ids = await self._bullmq.call(name, "addBulk", jobs)
        except CallFailed as error:
            raise NameRefused(name) from error
        return [JobRef(SOURCE, job_id, name) for job_id in ids]


@asynccontextmanager
async def _open(
    major: int, request: pytest.FixtureRequest, directory: Path
) -> AsyncIterator[BullmqHarness]:
    """An empty Redis."""
    server: servers.RedisServer = request.getfixturevalue("redis_server")
    programs = request.getfixturevalue("bullmq_programs")
    async with Redis.from_url(server.url) as redis:
        await redis.flushall()
    harness = BullmqHarness(Bullmq(programs, server.url, major), directory, server)
    yield harness
    await harness.close()


open_bullmq5 = partial(_open, 5)
open_bullmq6 = partial(_open, 6)
