"""Celery that tests take apart: an empty Redis, its own producers and workers, and an engine."""

import asyncio
import base64
import json
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

import servers
from contract.fleet import WorkerFleet
from contract.harness import DirectToolbox, eventually
from quarterdeck.queues.adapters.celery import CeleryEngine
from quarterdeck.queues.model import Job, JobRef, JobState, Priority, QueueRef, QueueStats
from workers.celery_app import TASK, build_app

SOURCE = "mailer"
MAIL = QueueRef(SOURCE, "queue:mail", Priority.NORMAL)
TROUBLE = "421 4.7.0 mx1.example.com: too many connections"


class CeleryWorld:
    """Producers in this process, workers in others. `settings` are those of both."""

    def __init__(
        self,
        server: servers.RedisServer,
        directory: Path,
        options: dict[str, Any] | None = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.server = server
        self.redis: Any = Redis.from_url(server.url)
        self.options = options or {"url": server.url}
        self.url: str = self.options["url"]
        self.fleet = WorkerFleet("celery_worker.py", self.url, directory)
        self.engine = self.open_engine()
        self.app = build_app(self.url)
        self._settings = settings or {}
        self._directory = directory
        self.running = 0
        self.configure()

    def configure(self, **settings: Any) -> None:
        """Other settings of the application, for producers and workers from now on."""
        given = self._settings | settings
        (self._directory / "celery.json").write_text(json.dumps(given))
        self.app.close()
        self.app = build_app(self.url, **given)

    def open_engine(self, **options: Any) -> CeleryEngine:
        """Another engine over the same source; the test closes it."""
        engine = DirectToolbox().build("celery", SOURCE, {**self.options, **options})
        assert isinstance(engine, CeleryEngine)
        return engine

    async def send(
        self, outcome: str = "ok", *args: Any, queue: str = "mail", **options: Any
    ) -> JobRef:
        """A task as the platform sends it."""

        def act() -> str:
            kwargs = {"outcome": outcome}
            return str(self.app.send_task(TASK, args, kwargs, queue=queue, **options).id)

        return JobRef(SOURCE, await asyncio.to_thread(act))

    @asynccontextmanager
    async def workers(self, *queues: str, processes: int = 1) -> AsyncIterator[None]:
        """Worker processes that hear remote control already."""
        async with self.fleet.running(*(queues or ["mail"]), processes=processes):
            self.running += processes
            await eventually(self.are_online)
            yield
            self.running -= processes

    async def kill_worker_of(self, ref: JobRef) -> None:
        """A worker that takes this task, and is killed while it runs it."""
        process = await asyncio.create_subprocess_exec(
            *self.fleet.command, "mail", env=self.fleet.environment, stdout=DEVNULL, stderr=DEVNULL
        )
        try:
            await self.until(JobState.ACTIVE, ref)
        finally:
            process.kill()
            await process.wait()

    @asynccontextmanager
    async def another_engine(self, **options: Any) -> AsyncIterator[CeleryEngine]:
        """An engine over the same source, for as long as the block runs."""
        engine = self.open_engine(**options)
        await engine.snapshot()
        yield engine
        await engine.close()

    async def get(self, ref: JobRef) -> Job:
        """What the engine says of a task that must be there."""
        job = await self.engine.find_job(ref)
        assert job is not None
        return job

    async def until(self, state: JobState, *refs: JobRef) -> None:
        """Wait until all these tasks are in this state."""

        async def done() -> bool:
            jobs = [await self.engine.find_job(ref) for ref in refs]
            return all(job is not None and job.state is state for job in jobs)

        await eventually(done)

    async def stats(self, queue: QueueRef = MAIL) -> QueueStats:
        """What the engine says of a queue; both ways of asking must agree."""
        found = await self.engine.find_queue(queue.name)
        assert found is not None
        assert (await self.engine.snapshot())[queue] == found[1]
        return found[1]

    async def put(self, *bodies: bytes, queue: str = "mail") -> None:
        """Messages as they are, the last one the newest."""
        await self.redis.lpush(queue, *bodies)

    async def are_online(self) -> bool:
        """Whether all workers that were started hear remote control."""
        replies = await asyncio.to_thread(self.app.control.ping, limit=self.running)
        return len(replies) == self.running


def message(body: bytes, content_type: str, **headers: Any) -> bytes:
    """A task's message with any body, as Kombu writes it."""
    envelope = {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "binary",
        "content-type": content_type,
        "headers": {"id": "a-task", "task": TASK, **headers},
        "properties": {"body_encoding": "base64", "delivery_tag": "tag"},
    }
    return json.dumps(envelope).encode()


@asynccontextmanager
async def open_world(server: servers.RedisServer, directory: Path) -> AsyncIterator[CeleryWorld]:
    """An empty Redis, and an engine that listens already."""
    world = CeleryWorld(server, directory)
    await world.redis.flushall()
    await world.engine.snapshot()
    yield world
    await world.engine.close()
    await world.redis.aclose()
    await asyncio.to_thread(world.app.close)
