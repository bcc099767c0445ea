"""`python -m quarterdeck.demo.producer PLAN`: fills the queues, keeps them bounded."""

import asyncio
import contextlib
import sys
from itertools import count

from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.demo.backlog import enqueue, next_number
from quarterdeck.demo.child import Platform, run_child
from quarterdeck.demo.logs import log
from quarterdeck.demo.retention import tidy, waiting_by_band
from quarterdeck.demo.scenario import campaign_at, job_at
from quarterdeck.work.model import band_of

TICK_S = 1.0
JOBS_PER_TICK = 2
TIDY_EVERY_TICKS = 30
FULL = 3000
"""Jobs waiting in one band beyond which it gets no more: somebody may leave it paused."""


async def produce(platform: Platform) -> None:
    """Enqueue a few jobs every tick and each campaign at once, until told to stop."""
    number = await next_number(platform.database)
    for tick in count(1):
        try:
            number = await produce_batch(platform, number)
            if tick % TIDY_EVERY_TICKS == 0:
                await tidy(platform.database, platform.store)
        except SourceUnavailable as error:
            log.warning("the queues cannot be filled: %s", error.message)
            print(error.message, file=sys.stderr, flush=True)  # noqa: T201 - the parent reads it
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(platform.stop.wait(), TICK_S)
        if platform.stop.is_set():
            return


async def produce_batch(platform: Platform, number: int) -> int:
    """Enqueue what comes at `number` as far as there is room; gives the next job's number."""
    waiting = await platform.database.read(waiting_by_band)
    after = _end_of_batch(number)
    batch = [job_at(platform.plan.seed, n) for n in range(number, after)]
    room = [job for job in batch if waiting.get((job.queue, band_of(job.priority)), 0) < FULL]
    await enqueue(platform.store, room)
    log.info(
        "%d jobs enqueued",
        len(room),
        extra={"first": number, "turned_away": len(batch) - len(room)},
    )
    return after


def _end_of_batch(number: int) -> int:
    """A campaign comes whole; quiet jobs a few at a time."""
    campaign = campaign_at(number)
    if campaign is not None:
        return campaign[1]
    after = number + 1
    while after < number + JOBS_PER_TICK and campaign_at(after) is None:
        after += 1
    return after


if __name__ == "__main__":
    run_child(produce, "producer")
