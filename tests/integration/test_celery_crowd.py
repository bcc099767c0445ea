"""Eight clients retry, delete and pause while four workers of Celery run: each task counts once."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import servers
from celery_world import MAIL, CeleryWorld, open_world
from contract.harness import eventually
from contract.questions import runs_of
from quarterdeck.core.errors import Conflict, NotFound
from quarterdeck.queues.model import JobRef, JobState
from quarterdeck.queues.ports import Engine


@pytest.fixture
async def world(redis_server: servers.RedisServer, tmp_path: Path) -> AsyncIterator[CeleryWorld]:
    async with open_world(redis_server, tmp_path) as opened:
        yield opened


class Client:
    """An operator with connections of its own, who remembers what was granted."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self._engine = engine
        self._chance = random.Random(seed)
        self.retried: list[JobRef] = []
        self.deleted: list[JobRef] = []

    async def act(self, refs: list[JobRef], times: int) -> None:
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

    async def pause(self) -> None:
        """Each time takes some seconds, for workers are waited for."""
        await self._engine.pause(MAIL)
        await self._engine.resume(MAIL)


async def test_eight_clients_and_four_workers_lose_and_double_nothing(world: CeleryWorld) -> None:
    failing = [await world.send("fail") for _ in range(80)]
    refs = failing + [await world.send() for _ in range(40)]
    engines = [world.open_engine() for _ in range(2)]
    clients = [Client(engines[seed % 2], seed) for seed in range(8)]

    async def nothing_to_do() -> bool:
        stats = (await world.engine.snapshot())[MAIL]
        return stats.waiting == 0 and stats.active == 0

    async with world.workers(processes=4):
        await asyncio.gather(
            *(client.act(refs, 60) for client in clients),
            clients[0].pause(),
            clients[1].pause(),
        )
        await eventually(nothing_to_do)
        assert not (await world.stats()).paused
    deleted = [ref for client in clients for ref in client.deleted]
    retried = [ref for client in clients for ref in client.retried]
    assert deleted
    assert retried
    assert len(set(deleted)) == len(deleted)
    runs = runs_of(world.fleet.runs())
    for ref in refs:
        job = await world.engine.find_job(ref)
        granted = 1 + retried.count(ref)
        if ref in deleted:
            assert job is None
            assert runs[ref.id] <= granted
        else:
            assert job is not None
            assert job.state is (JobState.FAILED if ref in failing else JobState.COMPLETED)
            assert runs[ref.id] == granted
    assert (await world.stats()).failed == len(set(failing) - set(deleted))
    await asyncio.gather(*(engine.close() for engine in engines))
