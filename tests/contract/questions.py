"""What contract tests ask engines again and again."""

from collections import Counter
from collections.abc import Sequence

import pytest

from contract.harness import EngineHarness, Run, eventually
from quarterdeck.core.errors import Unsupported
from quarterdeck.queues.model import (
    Job,
    JobRef,
    JobState,
    ListSupport,
    PauseSupport,
    QueueRef,
    QueueStats,
)


async def find(harness: EngineHarness, name: str) -> QueueRef:
    """The queue of this public name, which must be there."""
    found = await harness.engine.find_queue(name)
    assert found is not None, name
    return found[0]


async def stats_of(harness: EngineHarness, name: str) -> QueueStats:
    """Its counts now."""
    found = await harness.engine.find_queue(name)
    assert found is not None, name
    return found[1]


async def get_job(harness: EngineHarness, ref: JobRef) -> Job:
    """A job that must be there."""
    job = await harness.engine.find_job(ref)
    assert job is not None, ref
    return job


async def can_pause(harness: EngineHarness, name: str) -> bool:
    """Whether this queue can be paused; an engine that says it cannot must refuse to."""
    queue = await find(harness, name)
    if harness.engine.capabilities(queue).pause is not PauseSupport.NONE:
        return True
    for change in (harness.engine.pause, harness.engine.resume):
        with pytest.raises(Unsupported):
            await change(queue)
    return False


def keeps_completed(harness: EngineHarness) -> bool:
    """Whether completed jobs are still there; an engine that keeps none cannot list them."""
    capabilities = harness.engine.capabilities(QueueRef("any", "queue:any"))
    return capabilities.list_jobs[JobState.COMPLETED] is not ListSupport.NO


async def is_in(harness: EngineHarness, state: JobState, ref: JobRef) -> bool:
    """Whether a job is in this state now.

    Where completed ones are not kept, a job that was started and is gone has completed: its
    worker finishes it before it leaves.
    """
    if keeps_completed(harness):
        return (await get_job(harness, ref)).state is state
    is_over = state is JobState.COMPLETED and ref.id in runs_of(harness.runs())
    job = await harness.engine.find_job(ref)
    return job.state is state if job else is_over


async def until_state(harness: EngineHarness, state: JobState, refs: Sequence[JobRef]) -> None:
    """Wait until all these jobs are in this state."""
    left = list(refs)

    async def done() -> bool:
        while left:
            if not await is_in(harness, state, left[-1]):
                return False
            left.pop()
        return True

    await eventually(done, what=f"{len(refs)} jobs {state}")


def runs_of(runs: Sequence[Run]) -> Counter[str]:
    """How often each job was started."""
    return Counter(run.job_id for run in runs)
