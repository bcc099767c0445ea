"""Sidekiq as tests use it: its client in one Ruby process, its workers, and an engine."""

import asyncio
import json
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

import servers
from contract.fleet import SCRIPTS, WorkerFleet
from contract.harness import DirectToolbox
from quarterdeck.queues.model import Job, JobRef, Priority, QueueRef, QueueStats
from quarterdeck.queues.ports import Engine

SOURCE = "mailer"
MAIL = QueueRef(SOURCE, "queue:mail", Priority.NORMAL)
TROUBLE = "421 4.7.0 mx1.example.com: too many connections"
RUBY = shutil.which("ruby") or "ruby"


class CallFailed(Exception):
    """Sidekiq refused a call; the text is its error's."""


class SidekiqClient:
    """A Ruby process that calls Sidekiq's client as the platform's programs would."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [RUBY, str(SCRIPTS / "sidekiq_producer.rb")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def call(self, **request: Any) -> Any:
        """One request as `sidekiq_producer.rb` describes it.

        Raises:
            CallFailed: Sidekiq raised an error.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise CallFailed(answer["error"])
        return answer["answer"]

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="session")
def sidekiq_client() -> Iterator[SidekiqClient]:
    """Sidekiq's client for the whole test process."""
    client = SidekiqClient()
    yield client
    client.close()


class SidekiqFleet(WorkerFleet):
    """Worker processes of Sidekiq, of one thread each; `poll_s`: how often they look for due jobs.

    Without it they do so seconds after their start only.
    """

    def __init__(self, url: str, directory: Path, poll_s: float | None = None) -> None:
        super().__init__("sidekiq_worker.rb", url, directory)
        poll = [] if poll_s is None else [f"SIDEKIQ_POLL_S={poll_s}"]
        self.command = [
            "env",
            *poll,
            RUBY,
            str(SCRIPTS / "sidekiq_worker.rb"),
            url,
            str(directory),
        ]


class SidekiqWorld:
    """An empty Redis, Sidekiq's client and workers, and our engine."""

    def __init__(self, client: SidekiqClient, server: servers.RedisServer, directory: Path) -> None:
        self.url = server.url
        self.directory = directory
        # Typed loosely: its answers are text here, which its annotations do not know.
        self.redis: Any = Redis.from_url(server.url, decode_responses=True)
        self._opened: list[Engine] = []
        self.engine = self.open_engine()
        self.fleet = SidekiqFleet(server.url, directory)
        self._client = client

    def open_engine(self, **options: Any) -> Engine:
        """Another engine over the same source, closed with the world."""
        engine = DirectToolbox().build("sidekiq", SOURCE, {"url": self.url, **options})
        self._opened.append(engine)
        return engine

    async def close(self) -> None:
        """Give all connections back."""
        for engine in self._opened:
            await engine.close()
        self.redis.close()

    async def push(self, *args: Any, queue: str = "mail", **options: Any) -> JobRef:
        """One job by Sidekiq's client; options are those of a job."""
        push = {"class": "Act", "queue": queue, "args": args, "retry": 0, **options}
        job_id = await asyncio.to_thread(lambda: self._client.call(url=self.url, push=push))
        return JobRef(SOURCE, job_id, queue)

    async def call(self, place: str, ref: JobRef, call: str) -> bool:
        """What Sidekiq's own API does to a job in a sorted set; False: it is not there."""
        request = {"url": self.url, "set": place, "id": ref.id, "call": call}
        return bool(await asyncio.to_thread(lambda: self._client.call(**request)))

    async def dead(self, *args: Any, queue: str = "mail", **options: Any) -> JobRef:
        """A job that Sidekiq has put into its dead set, as its API does, without a run."""
        ref = await self.push(*args, queue=queue, **{"at": 2**32, **options})
        assert await self.call("schedule", ref, "kill")
        return ref

    def put(self, place: str, job_id: str, score: Any = 0, **fields: Any) -> JobRef:
        """A job as other versions of Sidekiq write it, into a list or a sorted set."""
        job = {
            "retry": True, "queue": "mail", "class": "Act", "args": [], "jid": job_id, **fields
        }  # fmt: skip
        text = json.dumps(job, separators=(",", ":"))
        if place.startswith("queue:"):
            self.redis.sadd("queues", job["queue"])
            self.redis.lpush(place, text)
        else:
            self.redis.zadd(place, {text: score})
        return JobRef(SOURCE, job_id, job["queue"])

    def stored(self, place: str) -> list[dict[str, Any]]:
        """The jobs in a list or a sorted set."""
        is_list = self.redis.type(place) == "list"
        texts = self.redis.lrange(place, 0, -1) if is_list else self.redis.zrange(place, 0, -1)
        return [json.loads(text) for text in texts]

    async def get(self, ref: JobRef) -> Job:
        """What the engine says of a job that must be there."""
        found = await self.engine.find_job(ref)
        assert found is not None, ref
        return found

    async def stats(self) -> QueueStats:
        """What the engine says of `MAIL`, while nothing moves: both ways of asking must agree."""
        found = await self.moving_stats()
        assert (await self.engine.snapshot())[MAIL] == found
        return found

    async def moving_stats(self) -> QueueStats:
        """The same while workers run."""
        found = await self.engine.find_queue(MAIL.name)
        assert found is not None
        return found[1]


@asynccontextmanager
async def open_world(
    client: SidekiqClient, server: servers.RedisServer, directory: Path
) -> AsyncIterator[SidekiqWorld]:
    """An empty Redis."""
    world = SidekiqWorld(client, server, directory)
    world.redis.flushall()
    yield world
    await world.close()
