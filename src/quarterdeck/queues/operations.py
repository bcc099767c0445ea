"""Bulk operations: durable work in our own queue, visible like any other job.

An operation is a job of `quarterdeck:operations`. Its cut-off is the moment of the request, so that
jobs which fail again meanwhile are left alone, and a crash half-way is healed by running it again.
"""

from dataclasses import dataclass
from datetime import datetime

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import NotFound
from quarterdeck.core.text import is_storable
from quarterdeck.queues.model import BulkAction, Priority, QueueRef
from quarterdeck.queues.service import QueueService
from quarterdeck.work.model import JobStatus, WorkJob
from quarterdeck.work.store import WorkStore
from quarterdeck.work.worker import JobContext

OPERATIONS_QUEUE = "quarterdeck:operations"

_STATES = {
    JobStatus.QUEUED: "pending",
    JobStatus.MIGRATED_TO_REDIS: "pending",
    JobStatus.RUNNING: "running",
    JobStatus.COMPLETED: "completed",
    JobStatus.FAILED: "failed",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """A bulk operation. `done` jobs were changed so far; `total` was the count at the start."""

    id: str
    action: BulkAction
    queue: str
    source: str
    state: str
    cutoff: datetime
    requested_by: str
    done: int
    total: int | None
    error: str | None
    created_at: datetime
    updated_at: datetime


class BulkOperations:
    """Starts, runs and reports operations over all failed jobs of a queue."""

    def __init__(self, queues: QueueService, work: WorkStore, clock: Clock = utc_now) -> None:
        self._queues = queues
        self._work = work
        self._clock = clock

    async def start(self, action: BulkAction, queue: QueueRef, principal: str) -> Operation:
        """Queue the operation and answer at once; what runs it is any server of this database."""
        self._queues.check_bulk(action, queue)
        payload = {
            "action": action.value,
            "source": queue.source,
            "queue": queue.name,
            "priority": queue.priority.value,
            "cutoff": self._clock().isoformat(),
            "requested_by": principal,
        }
        job_id = await self._work.enqueue(OPERATIONS_QUEUE, payload)
        return await self.get(f"op_{job_id}")

    async def get(self, operation_id: str) -> Operation:
        """Progress and outcome.

        Raises:
            NotFound: no such operation, or its time of keeping has ended.
        """
        prefix, _, job_id = operation_id.partition("_")
        job = None
        if prefix == "op" and is_storable(job_id):
            job = await self._work.find_job(job_id)
        if job is None or job.queue_name != OPERATIONS_QUEUE:
            raise NotFound(
                "There is no such operation. Its id was given by the request that started it, "
                "and finished operations are kept for some days."
            )
        return _operation(job)

    async def run(self, context: JobContext) -> None:
        """The worker's handler."""
        payload = context.job.payload
        queue = QueueRef(payload["source"], payload["queue"], Priority(payload["priority"]))
        view = await self._queues.get_queue(queue.name, queue.source)
        total = view.stats.failed

        async def progress(done: int) -> None:
            # Jobs may fail between the request and now: a total below `done` would be a lie.
            expected = None if total is None else max(total, done)
            await context.progress(total=expected, done=done)

        await progress(0)
        cutoff = datetime.fromisoformat(payload["cutoff"])
        done = await self._queues.run_bulk(BulkAction(payload["action"]), queue, cutoff, progress)
        await context.progress(total=done, done=done)


def _operation(job: WorkJob) -> Operation:
    payload = job.payload
    return Operation(
        id=f"op_{job.id}",
        action=BulkAction(payload["action"]),
        queue=payload["queue"],
        source=payload["source"],
        state=_STATES[job.status],
        cutoff=datetime.fromisoformat(payload["cutoff"]),
        requested_by=payload["requested_by"],
        done=job.progress.done if job.progress else 0,
        total=job.progress.total if job.progress else None,
        error=job.last_error_message if job.status is not JobStatus.COMPLETED else None,
        created_at=job.created_at,
        updated_at=job.updated_at,
    )
