"""Reading: what real workers did is what the engine says."""

from typing import Any

import pytest

from contract.harness import EngineHarness, Outcome, eventually
from quarterdeck.core.pagination import TotalKind
from quarterdeck.queues.model import (
    AttemptsReset,
    ErrorSupport,
    JobState,
    Priority,
    Provenance,
    QueueRef,
    QueueStats,
    TotalSupport,
)

HOSTILE_NAMES = [
    "a/b",
    "50%",
    "100%41",
    "it's \"quoted\"",
    "back\\slash",
    "queue:queue",
    "📬 réservé",
    "x" * 200,
    "a:highest",
    " ",
    "'; DROP TABLE jobs; --",
]


async def find(harness: EngineHarness, name: str) -> tuple[QueueRef, QueueStats]:
    found = await harness.engine.find_queue(name)
    assert found is not None, name
    return found


async def counts(harness: EngineHarness, name: str) -> dict[JobState, int | None]:
    _, stats = await find(harness, name)
    return {
        JobState.WAITING: stats.waiting,
        JobState.ACTIVE: stats.active,
        JobState.FAILED: stats.failed,
    }


async def test_all_four_states_come_from_real_work(harness: EngineHarness) -> None:
    refs = {
        JobState.COMPLETED: await harness.enqueue("mail", {"n": 1}),
        JobState.FAILED: await harness.enqueue("mail", {"n": 2}, outcome=Outcome.FAIL),
        JobState.ACTIVE: await harness.enqueue("mail", {"n": 3}, outcome=Outcome.HOLD),
    }

    async def states() -> bool:
        found = {state: await harness.engine.find_job(ref) for state, ref in refs.items()}
        return all(job is not None and job.state is state for state, job in found.items())

    async with harness.workers("mail"):
        await eventually(states, what="one job completed, one failed, one active")
        refs[JobState.WAITING] = await harness.enqueue("later", {"n": 4})
        queue, stats = await find(harness, "queue:mail")
        assert (stats.active, stats.failed, stats.waiting) == (1, 1, 0)
        for state in (JobState.COMPLETED, JobState.FAILED, JobState.ACTIVE):
            page = await harness.engine.list_jobs(queue, state, 10, 0)
            assert [job.ref for job in page.items] == [refs[state]], state
            assert page.total == 1
    later, stats = await find(harness, "queue:later")
    assert stats.waiting == 1
    page = await harness.engine.list_jobs(later, JobState.WAITING, 10, 0)
    assert [job.ref for job in page.items] == [refs[JobState.WAITING]]
