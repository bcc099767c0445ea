"""What contract tests ask engines again and again."""

from collections import Counter
from collections.abc import Sequence

import pytest

from contract.harness import EngineHarness, Run, eventually
from quarterdeck.core.errors import Unsupported
from quarterdeck.queues.model import Job, JobRef, JobState, PauseSupport, QueueRef, QueueStats


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


async def until_state(harness: EngineHarness, state: JobState, refs: Sequence[JobRef]) -> None:
    """Wait until all these jobs are in this state."""
    left = list(refs)

    async def done() -> bool:
        while left:
            job = await get_job(harness, left[-1])
            if job.state is not state:
                return False
            left.pop()
        return True

    await eventually(done, what=f"{len(refs)} jobs {state}")


def runs_of(runs: Sequence[Run]) -> Counter[str]:
    """How often each job was started."""
    return Counter(run.job_id for run in runs)
