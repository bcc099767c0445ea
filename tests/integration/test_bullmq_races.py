"""Eight operators, four workers and the platform at once: nothing is lost, nothing doubled."""

import asyncio
import random
from collections import Counter

import pytest

from bullmq_world import BullmqWorld, bullmq_programs, world
from contract.harness import eventually
from contract.questions import runs_of
from quarterdeck.core.clock import utc_now
from quarterdeck.core.errors import Conflict, NotFound
from quarterdeck.queues.model import BulkAction, JobState
from quarterdeck.queues.ports import Engine

__all__ = ["bullmq_programs", "world"]

ACTS = 40


class Operator:
    """Retries, deletes and pauses at random, and remembers what was granted."""

    def __init__(self, world: BullmqWorld, engine: Engine, seed: int) -> None:
        self._world = world
        self._engine = engine
        self._chance = random.Random(seed)
        self.retried: Counter[str] = Counter()
        self.deleted: list[str] = []
        self.retried_in_bulk = 0

    async def work(self, ids: list[str]) -> None:
        queue = await self._world.queue()
        for _ in range(ACTS):
            job_id, dice = self._chance.choice(ids), self._chance.random()
            ref = self._world.ref(job_id)
            try:
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
            except (Conflict, NotFound):
                continue


@pytest.mark.parametrize("major", [5, 6])
async def test_every_job_is_accounted_for_once(world: BullmqWorld, major: int) -> None:
    programs = world.of(major)
    failing = await programs.add_many("mail", [{"outcome": "fail"}] * 50)
    ids = failing + await programs.add_many("mail", [{}] * 30)
    ids += await programs.add_many("mail", [{"outcome": "fail"}] * 20, priority=3)
    engines = [world.open() for _ in range(8)]
    operators = [Operator(world, engine, seed) for seed, engine in enumerate(engines)]

    async def the_platform() -> None:
        for number in range(10):
            await programs.call("mail", "pause")
            ids.append(await programs.add("mail", {"number": number}))
            await programs.call("mail", "resume")

    async def is_done() -> bool:
        stats = await world.stats()
        return stats.waiting == stats.active == 0

    fleet = programs.fleet(world.directory)
    async with fleet.running("mail", processes=4):
        await asyncio.gather(the_platform(), *(each.work(list(ids)) for each in operators))
        await world.engine.resume(await world.queue())
        await eventually(is_done)
    deleted = [job_id for each in operators for job_id in each.deleted]
    retried = sum((each.retried for each in operators), Counter())
    runs = runs_of(fleet.runs())
    assert len(deleted) == len(set(deleted))
    for job_id in ids:
        places = await world.places(job_id)
        if job_id in deleted:
            assert places == []
            assert await world.engine.find_job(world.ref(job_id)) is None
            continue
        state = (await world.job(job_id)).state
        assert places == [state.value]
        assert state in {JobState.COMPLETED, JobState.FAILED}
        assert runs[job_id] >= 1 + retried[job_id]
    in_bulk = sum(each.retried_in_bulk for each in operators)
    # A retried job may be deleted before it runs again; all others run once for each retry.
    kept = [job_id for job_id in ids if job_id not in deleted]
    extra = sum(runs[job_id] - 1 - retried[job_id] for job_id in kept)
    assert extra <= in_bulk
    if not deleted:
        assert extra == in_bulk
    stats = await world.stats()
    assert (stats.completed or 0) + (stats.failed or 0) == len(kept)
    assert stats.warnings == []
    await asyncio.gather(*(engine.close() for engine in engines))


async def test_pauses_of_both_versions_and_ours_lose_nothing_when_we_resume(
    world: BullmqWorld,
) -> None:
    """As long as the last resume is ours, or nobody of version 5 resumes."""
    ids: list[str] = []
    chance = random.Random(4711)
    await world.v6.add("mail", {})
    queue = await world.queue()
    for number in range(60):
        programs = world.of(chance.choice([5, 6]))
        ids += await programs.add_many("mail", [{"number": number}] * chance.randrange(1, 4))
        match chance.randrange(5):
            case 0:
                await world.engine.pause(queue)
            case 1:
                await world.engine.resume(queue)
            case 2:
                await world.v6.call("mail", "pause")
            case 3:
                await world.v6.call("mail", "resume")
            case _:
                await world.engine.resume(queue)
                await world.v5.call("mail", "pause")
    await world.engine.resume(queue)
    assert [await world.places(job_id) for job_id in ids] == [["wait"]] * len(ids)
