"""Sidekiq: its own client and worker processes, of the version that Debian has."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import servers
from contract.harness import Outcome, Run
from quarterdeck.queues.model import JobRef
from sidekiq_world import SOURCE, SidekiqClient, SidekiqWorld, open_world


class SidekiqHarness:
    """A Redis server; queues of Sidekiq are bands by their names."""

    def __init__(
        self, world: SidekiqWorld, client: SidekiqClient, server: servers.RedisServer
    ) -> None:
        self.engine = world.engine
        self._world = world
        self._client = client
        self._server = server

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
        return self._world.fleet.running(*queue_names, processes=processes)

    def runs(self) -> list[Run]:
        """See `EngineHarness`."""
        return self._world.fleet.runs()

    def heal(self) -> None:
        """See `EngineHarness`."""
        self._world.fleet.heal()

    def release(self) -> None:
        """See `EngineHarness`."""
        self._world.fleet.release()

    async def spoil_payload(self, ref: JobRef) -> str:
        """See `EngineHarness`."""
        key = f"queue:{ref.queue}"
        for place, job in enumerate(self._world.stored(key)):
            if job["jid"] == ref.id:
                self._world.redis.lset(key, place, json.dumps({**job, "args": {"no": "list"}}))
        return '{"no": "list"}'

    @asynccontextmanager
    async def source_gone(self) -> AsyncIterator[None]:
        """The server is killed, and started again with what it had."""
        await asyncio.to_thread(self._world.redis.save)
        await asyncio.to_thread(self._server.stop)
        try:
            yield
        finally:
            await asyncio.to_thread(self._server.start)
            (self._server.directory / "dump.rdb").unlink()

    def _enqueue(
        self, queue_name: str, contents: list[dict[str, Any]], priority: int
    ) -> list[JobRef]:
        band = ":high" if priority <= 50 else "" if priority <= 150 else ":low"
        queue = f"{queue_name}{band}"
        push = {
            "class": "Act", "queue": queue, "retry": 0, "backtrace": True,
            "args": [[content] for content in contents],
        }  # fmt: skip
        job_ids = self._client.call(url=self._server.url, push_bulk=push)
        return [JobRef(SOURCE, job_id, queue) for job_id in job_ids]


@asynccontextmanager
async def open_sidekiq(
    request: pytest.FixtureRequest, directory: Path
) -> AsyncIterator[SidekiqHarness]:
    """An empty Redis."""
    client: SidekiqClient = request.getfixturevalue("sidekiq_client")
    server: servers.RedisServer = request.getfixturevalue("redis_server")
    async with open_world(client, server, directory) as world:
        yield SidekiqHarness(world, client, server)
