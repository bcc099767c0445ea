"""Eight clients retry and delete while four workers of Sidekiq run: each job counts once."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import servers
from contract.harness import eventually
from contract.questions import runs_of
from quarterdeck.core.errors import Conflict, NotFound
from quarterdeck.queues.model import JobRef, JobState
from quarterdeck.queues.ports import Engine
from sidekiq_world import MAIL, SidekiqClient, SidekiqWorld, open_world, sidekiq_client

__all__ = ["sidekiq_client"]


@pytest.fixture
async def world(
    sidekiq_client: SidekiqClient, redis_server: servers.RedisServer, tmp_path: Path
) -> AsyncIterator[SidekiqWorld]:
    async with open_world(sidekiq_client, redis_server, tmp_path) as opened:
        yield opened


class Client:
    """An operator with a connection of its own, who remembers what was granted."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self._engine = engine
        self._chance = random.Random(seed)
        self.retried: list[JobRef] = []
        self.deleted: list[JobRef] = []

    async def act(self, refs: list[JobRef], times: int) -> None:
        """Do something to a job at random, so many times."""
        for _ in range(times):
            job = self._chance.choice(refs)
            try:
                if self._chance.random() < 0.1:
                    await self._engine.delete(job)
                    self.deleted.append(job)
                else:
                    await self._engine.retry(job)
                    self.retried.append(job)
            except (Conflict, NotFound):
                continue


async def test_a_crowd_loses_and_doubles_no_job(world: SidekiqWorld) -> None:
    failing = [await world.push({"outcome": "fail"}) for _ in range(60)]
    refs = failing + [await world.push({"outcome": "ok"}) for _ in range(60)]
    clients = [Client(world.open_engine(), seed) for seed in range(8)]

    async def has_failed() -> bool:
        return ((await world.moving_stats()).failed or 0) >= 20

    async def is_idle() -> bool:
        stats = await world.moving_stats()
        return (stats.waiting, stats.active) == (0, 0)

    async with world.fleet.running("mail", processes=4):
        for _ in range(3):
            await eventually(has_failed)
            await asyncio.gather(*(client.act(refs, 20) for client in clients))
        await eventually(is_idle)
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
            assert (found and found.state) is (JobState.FAILED if job in failing else None)
            assert runs[job.id] == granted
    page = await world.engine.list_jobs(MAIL, None, 100, 0)
    assert page.total == len(set(failing) - set(deleted))
