"""RQ: its own producers and forking workers, with its JSON serializer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

import servers
from contract.fleet import WorkerFleet
from contract.harness import DirectToolbox, Outcome, Run
from quarterdeck.queues.model import JobRef
from rq_world import ACT

SOURCE = "platform"


class RqHarness:
    """A Redis server; queues of RQ are bands by their names."""

    def __init__(self, server: servers.RedisServer, directory: Path) -> None:
        self.engine = DirectToolbox().build("rq", SOURCE, {"url": server.url})
        self.redis = Redis.from_url(server.url)
        self._server = server
        self._fleet = WorkerFleet("rq_worker.py", f"{server.url}#json", directory)

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
        return (await asyncio.to_thread(self._enqueue, queue_name, [content], priority))[0]

    async def enqueue_many(
        self, queue_name: str, count: int, *, priority: int = 100, outcome: Outcome = Outcome.OK
    ) -> list[JobRef]:
        """See `EngineHarness`."""
        contents = [{"number": number, "outcome": str(outcome)} for number in range(count)]
        return await asyncio.to_thread(self._enqueue, queue_name, contents, priority)

    def workers(self, *queue_names: str, processes: int = 1) -> AbstractAsyncContextManager[None]:
        """See `EngineHarness`."""
        return self._fleet.running(*queue_names, processes=processes)

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
        """See `EngineHarness`."""
        raw = '["no", "call"]'
        await asyncio.to_thread(self.redis.hset, f"rq:job:{ref.id}", "data", raw)
        return raw

    @asynccontextmanager
    async def source_gone(self) -> AsyncIterator[None]:
        """The server is killed, and started again with what it had."""
        await asyncio.to_thread(self.redis.save)
        await asyncio.to_thread(self._server.stop)
        try:
            yield
        finally:
            await asyncio.to_thread(self._server.start)
            await asyncio.to_thread(self.redis.ping)  # it has read the file once it answers
            (self._server.directory / "dump.rdb").unlink()

    def _enqueue(
        self, queue_name: str, contents: list[dict[str, Any]], priority: int
    ) -> list[JobRef]:
        band = ":high" if priority <= 50 else "" if priority <= 150 else ":low"
        queue = Queue(f"{queue_name}{band}", connection=self.redis, serializer=JSONSerializer)
        jobs = queue.enqueue_many(Queue.prepare_data(ACT, kwargs=content) for content in contents)
        return [JobRef(SOURCE, job.id) for job in jobs]


@asynccontextmanager
async def open_rq(request: pytest.FixtureRequest, directory: Path) -> AsyncIterator[RqHarness]:
    """An empty Redis."""
    harness = RqHarness(request.getfixturevalue("redis_server"), directory)
    harness.redis.flushall()
    yield harness
    await harness.engine.close()
    harness.redis.close()
