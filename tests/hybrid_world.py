"""A hybrid source that tests take apart: rows, lists, a platform in this process, two engines."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from redis.asyncio import Redis

import servers
from contract.fleet import WorkerFleet
from contract.harness import DirectToolbox
from quarterdeck.config import decode_options
from quarterdeck.core.clock import utc_now
from quarterdeck.queues.adapters.hybrid import HybridEngine
from quarterdeck.queues.adapters.hybrid.lists import RedisLists
from quarterdeck.queues.model import JobRef, Priority, QueueRef, QueueStats
from quarterdeck.queues.ports import Engine
from quarterdeck.state import migrate
from workers.hybrid_platform import Platform

MAIL = QueueRef("platform", "queue:mail", Priority.NORMAL)
LIST = "queue:mail"
ASIDE = "queue:mail:paused-by-quarterdeck"
REMOVING = "queue:mail:removing-by-quarterdeck"
GUARD = "recent_jobs:mail"


def ref(job_id: str) -> JobRef:
    """A job of this source."""
    return JobRef("platform", job_id)


class HybridWorld:
    """Everything in it is real; `ahead` is how far the engine's clock is ahead of ours."""

    def __init__(self, urls: tuple[str, str], directory: Path, platform: Platform) -> None:
        self.urls = urls
        self.platform = platform
        self.redis = platform.redis
        self.ahead = timedelta()
        self.engine = self.open_engine()
        self.fleet = WorkerFleet("hybrid_worker.py", " ".join(urls), directory)

    def open_engine(self, **options: Any) -> HybridEngine:
        """Another server's engine over the same source."""
        given = {"name": "platform", "url": self.urls[0], "redis_url": self.urls[1], **options}
        decoded = decode_options(given, HybridEngine.Options, "source")
        return HybridEngine("platform", decoded, DirectToolbox(), lambda: utc_now() + self.ahead)

    @asynccontextmanager
    async def rows_only(self) -> AsyncIterator[Engine]:
        """The SQL half alone: what a server does that dies before it comes to Redis."""
        engine = DirectToolbox().build("sql", "platform", {"url": self.urls[0]})
        yield engine
        await engine.close()

    @asynccontextmanager
    async def lists_only(self) -> AsyncIterator[RedisLists]:
        """The Redis half alone."""
        options = HybridEngine.Options("platform", *self.urls)
        lists = RedisLists("platform", self.urls[1], options.patterns())
        yield lists
        await lists.close()

    async def stats(self, queue: QueueRef = MAIL) -> QueueStats:
        """What the engine says of a queue; both ways of asking must agree."""
        found = await self.engine.find_queue(queue.name)
        assert found is not None
        assert (await self.engine.snapshot())[queue] == found[1]
        return found[1]

    async def settled(self, queue: QueueRef = MAIL) -> QueueStats:
        """The same after two looks that are long enough apart."""
        await self.stats(queue)
        self.ahead += timedelta(seconds=6)
        return await self.stats(queue)

    async def migrated(self, count: int, **fields: Any) -> list[str]:
        """Jobs that the migrator has moved to Redis, the oldest first."""
        ids = await self.platform.add_jobs("mail", [{"number": n} for n in range(count)], **fields)
        assert await self.platform.migrate_once(count) == ids
        return ids

    async def failed(self, count: int, **fields: Any) -> list[str]:
        """Jobs that a worker has run, and that have failed for good."""
        ids = await self.migrated(count, **fields)
        for _ in ids:
            assert await self.platform.work_once(["mail"], refuse)
        return ids

    async def entries(self, key: str = LIST) -> list[str]:
        """Ids in the list, the next to run first."""
        found = await answer(self.redis.lrange(key, 0, -1))
        return [json.loads(entry)["id"] for entry in reversed(found)]

    async def status(self, job_id: str) -> str | None:
        """The row's own status; None: there is no row."""
        found: str | None = await self.platform.postgres.fetchval(
            "SELECT status FROM jobs WHERE id = $1", job_id
        )
        return found

    async def drain(self) -> list[str]:
        """Run everything that waits, one by one; gives the ids in that order."""
        done = []
        while moved := await self.platform.migrate_once() or await answer(self.redis.llen(LIST)):
            assert moved
            if job_id := await self.platform.work_once(["mail"], comply, timeout_s=0.01):
                done.append(job_id)
        return done


async def answer(reply: Awaitable[Any] | Any) -> Any:
    """What Redis says; its stubs cover clients that wait and clients that do not."""
    return await cast("Awaitable[Any]", reply)


async def comply(_id: str, _attempt: int, _payload: Any) -> None:
    """Do a job."""


async def refuse(_id: str, _attempt: int, _payload: Any) -> None:
    """Fail a job."""
    raise ConnectionError("421 4.7.0 mx1.example.com: too many connections")


@asynccontextmanager
async def open_world(
    postgres: servers.PostgresServer, redis: servers.RedisServer, directory: Path
) -> AsyncIterator[HybridWorld]:
    """A fresh, migrated PostgreSQL database, and an empty Redis."""
    async with Redis.from_url(redis.url) as client:
        await client.flushall()
    url = await asyncio.to_thread(postgres.create_database)
    await asyncio.to_thread(migrate, url, servers.MIGRATIONS)
    platform = await Platform.open(url, redis.url)
    await platform.add_queue("mail")
    world = HybridWorld((url, redis.url), directory, platform)
    yield world
    await world.engine.close()
    await platform.close()
