"""Eight clients retry, delete and pause while four workers of RQ run: each job counts once."""

import asyncio
import random
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

import servers
from contract.harness import eventually
from contract.questions import runs_of
from quarterdeck.core.errors import Conflict, NotFound
from quarterdeck.queues.model import JobRef, JobState
from quarterdeck.queues.ports import Engine
from rq_world import ACT, MAIL, RqWorld, has_run, open_world, ref

ROUNDS = 12


@pytest.fixture
async def world(redis_server: servers.RedisServer, tmp_path: Path) -> AsyncIterator[RqWorld]:
    async with open_world(redis_server, tmp_path) as opened:
        yield opened


class Client:
    """An operator with a connection of its own, who remembers what was granted."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self._engine = engine
        self._chance = random.Random(seed)
        self.retried: list[JobRef] = []
        self.deleted: list[JobRef] = []

    async def act(self, refs: list[JobRef], times: int) -> None:
        for _ in range(times):
            job, dice = self._chance.choice(refs), self._chance.random()
            try:
                if dice < 0.05:
                    await self._engine.pause(MAIL)
                elif dice < 0.1:
                    await self._engine.resume(MAIL)
                elif dice < 0.15:
                    await self._engine.delete(job)
                    self.deleted.append(job)
                else:
                    await self._engine.retry(job)
                    self.retried.append(job)
            except (Conflict, NotFound):
                continue
        await self._engine.resume(MAIL)

    async def close(self) -> None:
        await self._engine.close()


async def test_a_crowd_loses_and_doubles_no_job(world: RqWorld) -> None:
    failing = [ref(world.queue.enqueue(ACT, outcome="fail")) for _ in range(60)]
    refs = failing + [ref(world.queue.enqueue(ACT, outcome="ok")) for _ in range(60)]
    clients = [Client(world.open_engine(), seed) for seed in range(8)]

    async def is_idle() -> bool:
        stats = await world.stats()
        return (stats.waiting, stats.active) == (0, 0)

    async with world.fleet.running("mail", processes=4):
        # Each round waits for more starts, so that clients strike while workers work.
        for begun in range(10, 10 + ROUNDS * 10, 10):
            await eventually(partial(has_run, world, begun))
            await asyncio.gather(*(client.act(refs, 5) for client in clients))
        await eventually(is_idle)
    for client in clients:
        await client.close()
    retried = [job for client in clients for job in client.retried]
    deleted = [job for client in clients for job in client.deleted]
    assert len(set(deleted)) == len(deleted) > 0
    assert retried
    runs = runs_of(world.fleet.runs())
    for job in refs:
        granted, found = 1 + retried.count(job), await world.engine.find_job(job)
        if job in deleted:
            assert found is None
            assert runs[job.id] <= granted
        else:
            assert found is not None
            assert found.state is (JobState.FAILED if job in failing else JobState.COMPLETED)
            assert runs[job.id] == granted
    page = await world.engine.list_jobs(MAIL, None, len(refs), 0)
    assert sorted(job.ref.id for job in page.items) == sorted(
        job.id for job in refs if job not in deleted
    )
    stats = await world.stats()
    assert (stats.failed or 0) + (stats.completed or 0) == page.total
