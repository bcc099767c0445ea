"""Many who retry and delete while workers run: nothing is lost, nothing is doubled."""

import asyncio
import random

from contract.harness import EngineHarness, Outcome, eventually
from contract.questions import keeps_completed, runs_of, stats_of
from quarterdeck.core.errors import Conflict, NotFound
from quarterdeck.queues.model import DeleteOutcome, JobRef, JobState
from quarterdeck.queues.ports import Engine

AT_ONCE = 16
"""More at once would measure the wait for a connection, not the race."""


class Crowd:
    """Operators who retry and delete at random, and remember what they were told."""

    def __init__(self, engine: Engine, *, keeps_completed: bool) -> None:
        self._engine = engine
        self._keeps_completed = keeps_completed
        self._chance = random.Random(4711)
        self._door = asyncio.Semaphore(AT_ONCE)
        self._deleting: set[JobRef] = set()
        self.retried: list[JobRef] = []
        self.deleted: list[JobRef] = []
        self.cancelled: set[JobRef] = set()
        """Asked to abort while they ran: they end in any way, or are started once less."""

    async def strike(self, refs: list[JobRef], times: int) -> None:
        """Pick jobs at random; do a few things to each."""
        await asyncio.gather(*(self._hammer(ref) for ref in self._chance.choices(refs, k=times)))

    async def _hammer(self, ref: JobRef) -> None:
        async with self._door:
            for _ in range(self._chance.randrange(2, 6)):
                try:
                    await self._act(ref)
                except Conflict:
                    continue
                except NotFound:
                    # It may be gone a moment before the one who deleted it is told so.
                    assert ref in self._deleting or not self._keeps_completed

    async def _act(self, ref: JobRef) -> None:
        if self._chance.random() < 0.1:
            self._deleting.add(ref)
            if await self._engine.delete(ref) is DeleteOutcome.DELETED:
                self.deleted.append(ref)
            else:
                self.cancelled.add(ref)
        else:
            await self._engine.retry(ref)
            self.retried.append(ref)


async def failed_of(harness: EngineHarness, refs: list[JobRef]) -> list[JobRef]:
    jobs = [await harness.engine.find_job(ref) for ref in refs]
    return [job.ref for job in jobs if job and job.state is JobState.FAILED]


async def test_races_of_retry_delete_and_workers_lose_and_double_nothing(
    harness: EngineHarness,
) -> None:
    failing = await harness.enqueue_many("mail", 60, outcome=Outcome.FAIL)
    refs = failing + await harness.enqueue_many("mail", 40)
    crowd = Crowd(harness.engine, keeps_completed=keeps_completed(harness))

    async def nothing_to_do() -> bool:
        stats = await stats_of(harness, "queue:mail")
        return stats.waiting == 0 and stats.active == 0

    async with harness.workers("mail", processes=2):
        for _ in range(2):
            await crowd.strike(refs, 150)
        await eventually(nothing_to_do)
    assert len(set(crowd.deleted)) == len(crowd.deleted)
    runs = runs_of(harness.runs())
    for ref in refs:
        job = await harness.engine.find_job(ref)
        granted = 1 + crowd.retried.count(ref)
        if ref in crowd.deleted:
            assert job is None
            assert runs[ref.id] <= granted
        elif ref in crowd.cancelled:
            assert job is None or job.state in {JobState.FAILED, JobState.COMPLETED}
            assert runs[ref.id] <= granted
        elif ref not in failing and not keeps_completed(harness):
            assert job is None
            assert runs[ref.id] == granted
        else:
            assert job is not None
            assert job.state is (JobState.FAILED if ref in failing else JobState.COMPLETED)
            assert runs[ref.id] == granted
    stats = await stats_of(harness, "queue:mail")
    assert stats.failed == len(await failed_of(harness, failing))
