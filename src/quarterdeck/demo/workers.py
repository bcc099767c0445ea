"""The sample platform's workers: take their time over a job, and sometimes fail."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from sqlalchemy import func, select

from quarterdeck.demo.child import Platform
from quarterdeck.demo.logs import about, log
from quarterdeck.demo.retention import KEEP_FINISHED
from quarterdeck.demo.scenario import MAIL, Fate, fate_of
from quarterdeck.demo.steps import run_step
from quarterdeck.demo.submission import submit
from quarterdeck.state import Database
from quarterdeck.work.model import ClaimedJob
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
        with about(
            request_id=f"req_{job.id[-12:]}",
            tenant_id=job.payload.get("workspace_id"),
            job_id=job.id,
            queue=queue,
            attempt=job.attempt,
        ):
            log.debug("job taken from %s, attempt %d", queue, job.attempt)
            fate = fate_of(platform.plan.seed, queue, job.payload["sample_number"])
            await asyncio.sleep(fate.duration_s)
            if queue == MAIL and platform.plan.ports is not None:
                await submit(platform.plan.ports.smtp, job.payload, platform.stop)
            await _work(platform, job, fate)

    return handle


async def _work(platform: Platform, job: ClaimedJob, fate: Fate) -> None:
    trouble = fate.trouble_at(job.attempt)
    if trouble and trouble.is_temporary and await has_failed_before(platform.database, job.id):
        trouble = None  # somebody has retried it, and the cause is gone by now
    took = {"duration_ms": round(fate.duration_s * 1000)}
    try:
        run_step(job.queue_name, job.payload, trouble)
    except Exception as error:
        level = logging.ERROR if job.attempt >= job.max_attempts else logging.WARNING
        log.log(level, "%s failed: %s", done(job), error, exc_info=True, extra=took)
        raise
    log.info("%s in %d ms", done(job), took["duration_ms"], extra=took)


def done(job: ClaimedJob) -> str:
    """What the job does, in words."""
    payload = job.payload
    if "recipient" in payload:
        return f"{payload['template']} to {payload['recipient']}"
    if "campaign_id" in payload:
        return f"campaign {payload['campaign_id']} to {payload['recipient_count']} recipients"
    if "day" in payload and "metrics" in payload:
        return f"statistics of {payload['day']}"
    return f"warm-up of {payload['ip_address']}, day {payload['day']}"


async def has_failed_before(database: Database, job_id: str) -> bool:
    """Whether the job had used up its attempts once, and was put back by hand."""
    failures = select(func.count()).where(
        job_logs.c.job_id == job_id, job_logs.c.status == "failed"
    )
    return bool(await database.read(lambda connection: connection.scalar(failures)))
