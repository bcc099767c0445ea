"""What is there at the first look: jobs done, jobs failed, jobs waiting."""

import traceback
from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import func, select

from quarterdeck.demo.relay import DatabaseError
from quarterdeck.demo.scenario import MAIL, REPORTS, WARMUP, SampleJob, fate_of, job_at
from quarterdeck.demo.steps import run_step
from quarterdeck.state import Database, open_database
from quarterdeck.work.model import ClaimedJob, NewJob
from quarterdeck.work.store import WorkStore
from quarterdeck.work.tables import jobs

SETTLED = 100
WAITING = 60
LEASE_S = 30.0


async def prepare(url: str, seed: int) -> None:
    """See that there is a backlog: made in a new database, left alone in one that has jobs.

    Raises:
        SourceUnavailable: the database cannot be had.
    """
    database = open_database(url, "demo")
    try:
        if await next_number(database) == 0:
            await seed_backlog(WorkStore(database), seed)
    finally:
        await database.close()


async def next_number(database: Database) -> int:
    """The number after the newest sample job: where a former run stopped."""
    newest = func.max(func.json_extract(jobs.c.payload, "$.sample_number"))
    found = await database.read(lambda connection: connection.scalar(select(newest)))
    return 0 if found is None else found + 1


async def seed_backlog(store: WorkStore, seed: int) -> int:
    """Enqueue the first jobs and settle most of them at once; gives the next job's number."""
    await enqueue(store, [job_at(seed, number) for number in range(SETTLED)])
    for queue in (MAIL, REPORTS, WARMUP):
        for job in await store.claim([queue], "demo-backlog", LEASE_S, limit=SETTLED):
            await _settle(store, seed, job)
    await enqueue(store, [job_at(seed, n) for n in range(SETTLED, SETTLED + WAITING)])
    return SETTLED + WAITING


async def enqueue(store: WorkStore, batch: Sequence[SampleJob]) -> None:
    """Enqueue sample jobs in their order, with one write for each queue."""
    by_queue: dict[str, list[NewJob]] = defaultdict(list)
    for job in batch:
        new = NewJob(job.payload, priority=job.priority, max_attempts=job.max_attempts)
        by_queue[job.queue].append(new)
    for queue, new_jobs in by_queue.items():
        await store.enqueue_many(queue, new_jobs)


async def _settle(store: WorkStore, seed: int, job: ClaimedJob) -> None:
    fate = fate_of(seed, job.queue_name, job.payload["sample_number"])
    trouble = fate.trouble_at(job.attempt)
    try:
        run_step(job.queue_name, job.payload, trouble)
    except (OSError, DatabaseError) as error:
        trace = "".join(traceback.format_exception(error))
        await store.fail(job, str(error), trace, retry=fate.is_passing)
    else:
        await store.complete(job)
