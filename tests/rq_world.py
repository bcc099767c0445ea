"""RQ that tests take apart: an empty Redis, its own producers and workers, and an engine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from rq import Queue, Retry, SimpleWorker
from rq.job import Job as RqJob

import servers
from contract.fleet import WorkerFleet
from contract.harness import DirectToolbox
from quarterdeck.queues.model import Job, JobRef, Priority, QueueRef, QueueStats
from quarterdeck.queues.ports import Engine

SOURCE = "mailer"
MAIL = QueueRef(SOURCE, "queue:mail", Priority.NORMAL)
ACT = "workers.rq_tasks.act"
TROUBLE = "421 4.7.0 mx1.example.com: too many connections"


def succeed(*_: Any, **__: Any) -> None:
    """A job that works."""


def fail(*_: Any, **__: Any) -> None:
    """A job that fails."""
    raise ConnectionError(TROUBLE)


def postpone(*_: Any, **__: Any) -> Retry:
    """A job that wants to run again, once."""
    return Retry(max=1)


class RqWorld:
    """Pickled jobs, as is RQ's default; its workers run in this process until nothing is left."""

    def __init__(self, server: servers.RedisServer, directory: Path) -> None:
        self.url = server.url
        self.redis = Redis.from_url(server.url)
        self.engine = self.open_engine()
        self.queue = Queue("mail", connection=self.redis)
        self.fleet = WorkerFleet("rq_worker.py", f"{server.url}#fork", directory)

    def open_engine(self, **options: Any) -> Engine:
        """Another engine over the same source."""
        return DirectToolbox().build("rq", SOURCE, {"url": self.url, **options})

    def work(self, *queues: str) -> None:
        """Run what waits, one by one."""
        SimpleWorker(queues or ["mail"], connection=self.redis).work(
            burst=True, logging_level="CRITICAL"
        )

    def failed(self, **options: Any) -> RqJob:
        """A job that a worker has run, and that has failed."""
        job = self.queue.enqueue(fail, **options)
        self.work()
        return job

    def field(self, job: RqJob, name: str) -> bytes | None:
        """A field of the job's hash."""
        found: bytes | None = self.redis.hget(job.key, name)  # type: ignore[assignment]
        return found

    async def get(self, job: RqJob) -> Job:
        """What the engine says of a job that must be there."""
        found = await self.engine.find_job(ref(job))
        assert found is not None
        return found

    async def stats(self, queue: QueueRef = MAIL) -> QueueStats:
        """What the engine says of a queue that must be there."""
        found = await self.engine.find_queue(queue.name)
        assert found is not None
        return found[1]


def ref(job: RqJob) -> JobRef:
    """The job as the engine names it."""
    return JobRef(SOURCE, job.id)


async def has_run(world: RqWorld, number: int) -> bool:
    """Whether the fleet has started jobs so often. Counts do not tell: a worker of several queues
    holds what it popped in no list until it has begun.
    """
    return len(world.fleet.runs()) >= number


@asynccontextmanager
async def open_world(server: servers.RedisServer, directory: Path) -> AsyncIterator[RqWorld]:
    """An empty Redis."""
    world = RqWorld(server, directory)
    world.redis.flushall()
    yield world
    await world.engine.close()
    world.redis.close()
