"""Programs of BullMQ 5 and 6, as tests use them: producers in one Node process, and workers."""

import asyncio
import json
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

import servers
from contract.fleet import WorkerFleet
from contract.harness import DirectToolbox, eventually
from contract.sql_harness import SOURCE
from quarterdeck.queues.model import Job, JobRef, JobState, QueueRef, QueueStats
from quarterdeck.queues.ports import Engine
from workers.bullmq_modules import SCRIPTS, node_environment

LISTS = ("wait", "paused", "active")
SETS = ("prioritized", "delayed", "waiting-children", "failed", "completed")


class CallFailed(Exception):
    """BullMQ refused a call; the text is its error's."""


class Programs:
    """A Node process that calls BullMQ as the platform's programs would."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self.node = shutil.which("node") or "node"
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [self.node, str(SCRIPTS / "producer.cjs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self.environment,
            text=True,
        )

    def call(self, **request: Any) -> Any:
        """One request as `producer.cjs` describes it.

        Raises:
            CallFailed: BullMQ threw an error.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise CallFailed(answer["error"])
        return answer.get("answer")

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


@dataclass(frozen=True)
class Bullmq:
    """BullMQ of one major version on one store."""

    programs: Programs
    url: str
    major: int
    prefix: str = "bull"

    def of(self, major: int) -> "Bullmq":
        """The other version on the same store."""
        return replace(self, major=major)

    async def call(self, queue: str, call: str, *args: Any, job: str | None = None) -> Any:
        """A method of `Queue`, or of one of its jobs."""
        request = {
            "major": self.major, "url": self.url, "prefix": self.prefix,
            "queue": queue, "call": call, "args": args, "job": job,
        }  # fmt: skip
        return await asyncio.to_thread(lambda: self.programs.call(**request))

    async def add(self, queue: str, data: Any, **opts: Any) -> str:
        """Add one job; its id."""
        return str(await self.call(queue, "add", "send", data, opts))

    async def add_many(self, queue: str, contents: list[Any], **opts: Any) -> list[str]:
        """Add jobs in this order; their ids."""
        jobs = [{"name": "send", "data": data, "opts": opts} for data in contents]
        return [str(each) for each in await self.call(queue, "addBulk", jobs)]

    async def close(self) -> None:
        """Give up all connections of the producers."""
        await self.call("", "close")

    def fleet(self, directory: Path, **options: Any) -> "NodeFleet":
        """Workers of this version; options are those of BullMQ's Worker."""
        return NodeFleet(self, directory, options)

    def workers(
        self, directory: Path, *queues: str, processes: int = 1, **options: Any
    ) -> AbstractAsyncContextManager[None]:
        """Worker processes while the block runs."""
        return self.fleet(directory, **options).running(*queues, processes=processes)


class NodeFleet(WorkerFleet):
    """Worker processes of one version of BullMQ."""

    def __init__(self, bullmq: Bullmq, directory: Path, options: Mapping[str, Any]) -> None:
        super().__init__("bullmq", bullmq.url, directory)
        self.command = [
            "env", f"NODE_PATH={bullmq.programs.environment['NODE_PATH']}", bullmq.programs.node,
            str(SCRIPTS / "worker.cjs"), str(bullmq.major), bullmq.url, bullmq.prefix,
            json.dumps(options), str(directory),
        ]  # fmt: skip


@pytest.fixture(scope="session")
def bullmq_programs() -> Iterator[Programs]:
    """BullMQ's producers for the whole test process."""
    programs = Programs(node_environment())
    yield programs
    programs.close()


@asynccontextmanager
async def redis_gone(server: servers.RedisServer) -> AsyncIterator[None]:
    """The server is down while the block runs; then it is back with what it held."""
    dump = server.directory / "dump.rdb"
    subprocess.run(["redis-cli", "-p", str(server.port), "save"], check=True, capture_output=True)
    await asyncio.to_thread(server.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(server.start)
        # It listens before it has read the file, but answers after that.
        async with Redis.from_url(server.url) as redis:
            await redis.ping()
        dump.unlink()


class EngineWorld:
    """An engine over queues of BullMQ, and what tests ask it again and again."""

    engine: Engine
    directory: Path

    async def queue(self, name: str = "mail") -> QueueRef:
        """The queue that BullMQ calls so."""
        found = await self.engine.find_queue(f"queue:{name}")
        assert found is not None, name
        return found[0]

    async def stats(self, name: str = "mail") -> QueueStats:
        """Its counts."""
        found = await self.engine.find_queue(f"queue:{name}")
        assert found is not None, name
        return found[1]

    def ref(self, job_id: str, name: str = "mail") -> JobRef:
        """A job of ours."""
        return JobRef(SOURCE, job_id, name)

    async def job(self, job_id: str, name: str = "mail") -> Job:
        """A job that is there."""
        found = await self.engine.find_job(self.ref(job_id, name))
        assert found is not None, job_id
        return found

    async def until_state(
        self, state: JobState, job_ids: Iterable[str], name: str = "mail"
    ) -> None:
        """Wait until all these jobs are in that state."""
        left = list(job_ids)

        async def done() -> bool:
            while left and (await self.job(left[-1], name)).state is state:
                left.pop()
            return not left

        await eventually(done, what=f"jobs {state}")

    def heal(self) -> None:
        """Failing jobs succeed from now on."""
        (self.directory / "healed").touch()


class BullmqWorld(EngineWorld):
    """An empty Redis, our engine on it, and BullMQ of both versions."""

    def __init__(self, programs: Programs, server: servers.RedisServer, directory: Path) -> None:
        self.server = server
        # Typed loosely: its answers are text here, which its annotations do not know.
        self.redis: Any = Redis.from_url(server.url, decode_responses=True)
        self.directory = directory
        self.v5 = Bullmq(programs, server.url, 5)
        self.v6 = Bullmq(programs, server.url, 6)
        self.engine = self.open()

    def of(self, major: int) -> Bullmq:
        """BullMQ of that version."""
        return self.v5.of(major)

    def open(self, **options: Any) -> Engine:
        """An engine of other settings; the test closes it."""
        given = {"url": self.server.url, "discover_every_s": 0, **options}
        return DirectToolbox().build("bullmq", SOURCE, given)

    async def places(self, job_id: str, name: str = "mail") -> list[str]:
        """All lists and sorted sets of a queue that hold this job."""
        found = []
        for place in LISTS:
            entries = await self.redis.lrange(f"bull:{name}:{place}", 0, -1)
            found += [place] * entries.count(job_id)
        for place in SETS:
            if await self.redis.zscore(f"bull:{name}:{place}", job_id) is not None:
                found.append(place)
        return found

    async def fail(self, major: int, count: int = 1, **opts: Any) -> list[str]:
        """Jobs of `mail` that a worker has let fail; their ids."""
        contents = [{"number": number, "outcome": "fail"} for number in range(count)]
        ids = await self.of(major).add_many("mail", contents, **opts)
        async with self.of(major).workers(self.directory, "mail"):
            await self.until_state(JobState.FAILED, ids)
        return ids

    async def close(self) -> None:
        """Give all connections back."""
        await self.engine.close()
        await self.v5.close()
        await self.redis.aclose()


@pytest.fixture
async def world(
    bullmq_programs: Programs, redis_server: servers.RedisServer, tmp_path: Path
) -> AsyncIterator[BullmqWorld]:
    """A fresh world."""
    opened = BullmqWorld(bullmq_programs, redis_server, tmp_path)
    await opened.redis.flushall()
    yield opened
    await opened.close()
