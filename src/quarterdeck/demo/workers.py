"""The sample platform's workers: take their time over a job, and sometimes fail."""

import asyncio
from collections.abc import Awaitable, Callable

from sqlalchemy import func, select

from quarterdeck.demo.child import Platform
from quarterdeck.demo.retention import KEEP_FINISHED
from quarterdeck.demo.scenario import fate_of
from quarterdeck.demo.steps import run_step
from quarterdeck.state import Database
from quarterdeck.work.tables import job_logs
from quarterdeck.work.worker import JobContext, Worker, WorkerOptions


async def run_worker(platform: Platform, name: str, queues: tuple[str, ...], jobs: int) -> None:
    """Run the jobs of these queues, so many at a time, until the platform stops."""
    options = WorkerOptions(concurrency=jobs, name=name, keep_finished=KEEP_FINISHED)
    handlers = {queue: _handler(platform, queue) for queue in queues}
    await Worker(platform.store, handlers, options).run(platform.stop)


def _handler(platform: Platform, queue: str) -> Callable[[JobContext], Awaitable[None]]:
    async def handle(context: JobContext) -> None:
        job = context.job
        fate = fate_of(platform.seed, queue, job.payload["sample_number"])
        await asyncio.sleep(fate.duration_s)
        trouble = fate.trouble_at(job.attempt)
        if trouble and trouble.is_temporary and await has_failed_before(platform.database, job.id):
            trouble = None  # somebody has retried it, and the cause is gone by now
        run_step(queue, job.payload, trouble)

    return handle


async def has_failed_before(database: Database, job_id: str) -> bool:
    """Whether the job had used up its attempts once, and was put back by hand."""
    failures = select(func.count()).where(
        job_logs.c.job_id == job_id, job_logs.c.status == "failed"
    )
    return bool(await database.read(lambda connection: connection.scalar(failures)))
