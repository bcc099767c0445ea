"""Eight operators, four workers and the platform at once: nothing is lost, nothing doubled."""

import asyncio
import random
from collections import Counter

from bullmq_postgres_world import PostgresWorld, pg_world
from bullmq_world import bullmq_programs
from contract.harness import eventually
from contract.questions import runs_of
from quarterdeck.core.clock import utc_now
from quarterdeck.core.errors import Conflict, NotFound
from quarterdeck.queues.model import BulkAction, JobState
from quarterdeck.queues.ports import Engine

__all__ = ["bullmq_programs", "pg_world"]

ACTS = 30


class Operator:
    """Retries, deletes and pauses at random, and remembers what was granted."""

    def __init__(self, world: PostgresWorld, engine: Engine, seed: int) -> None:
        self._world = world
        self._engine = engine
        self._chance = random.Random(seed)
        self.retried: Counter[str] = Counter()
        self.deleted: list[str] = []
        self.retried_in_bulk = 0

    async def work(self, ids: list[str]) -> None:
        for _ in range(ACTS):
            try:
                await self._act(self._chance.choice(ids), self._chance.random())
            except (Conflict, NotFound):
                continue

    async def _act(self, job_id: str, dice: float) -> None:
        queue, ref = await self._world.queue(), self._world.ref(job_id)
        if dice < 0.7:
            await self._engine.retry(ref)
            self.retried[job_id] += 1
        elif dice < 0.8:
            await self._engine.delete(ref)
            self.deleted.append(job_id)
        elif dice < 0.88:
            await self._engine.pause(queue)
        elif dice < 0.98:
            await self._engine.resume(queue)
        else:
            async for size in self._engine.bulk(BulkAction.RETRY_FAILED, queue, utc_now()):
                self.retried_in_bulk += size


async def test_every_job_is_accounted_for_once(pg_world: PostgresWorld) -> None:
    bullmq = pg_world.bullmq
    failing = await bullmq.add_many("mail", [{"outcome": "fail"}] * 50)
    ids = failing + await bullmq.add_many("mail", [{}] * 30)
    ids += await bullmq.add_many("mail", [{"outcome": "fail"}] * 20, priority=3)
    engines = [pg_world.open() for _ in range(8)]
    operators = [Operator(pg_world, engine, seed) for seed, engine in enumerate(engines)]

    async def the_platform() -> None:
        for number in range(10):
            await bullmq.call("mail", "pause")
            ids.append(await bullmq.add("mail", {"number": number}))
            await bullmq.call("mail", "resume")

    async def is_done() -> bool:
        stats = await pg_world.stats()
        return stats.waiting == stats.active == 0

    fleet = bullmq.fleet(pg_world.directory)
    async with fleet.running("mail", processes=4):
        await asyncio.gather(the_platform(), *(each.work(list(ids)) for each in operators))
        await pg_world.engine.resume(await pg_world.queue())
        await eventually(is_done)
    deleted = [job_id for each in operators for job_id in each.deleted]
    retried = sum((each.retried for each in operators), Counter())
    in_bulk = sum(each.retried_in_bulk for each in operators)
    runs = runs_of(fleet.runs())
    kept = [job_id for job_id in ids if job_id not in deleted]
    assert len(deleted) == len(set(deleted))
    assert set(runs) <= set(ids)
    for job_id in kept:
        job = await pg_world.job(job_id)
        assert job.state is (JobState.COMPLETED if runs_well(job.payload) else JobState.FAILED)
        assert runs[job_id] >= 1 + retried[job_id]
    assert [await pg_world.engine.find_job(pg_world.ref(each)) for each in deleted] == [None] * len(
        deleted
    )
    # A retried job may be deleted before it runs again; all others run once for each retry.
    extra = sum(runs[job_id] - 1 - retried[job_id] for job_id in kept)
    assert 0 <= extra <= in_bulk
    stats = await pg_world.stats()
    assert (stats.completed or 0) + (stats.failed or 0) == len(kept)
    await asyncio.gather(*(engine.close() for engine in engines))


def runs_well(payload: dict[str, object]) -> bool:
    return payload.get("outcome") != "fail"
