"""The verbs of durable work. Each is one transaction; on return it is durable."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import NotFound
from quarterdeck.core.text import is_storable, storable
from quarterdeck.state.database import Database
from quarterdeck.work import claiming, enqueueing, settling, upkeep
from quarterdeck.work.checks import (
    check_job,
    check_json,
    check_priority,
    check_queue_name,
    shortened,
)
from quarterdeck.work.model import (
    DEFAULT_MAX_ATTEMPTS,
    DEFAULT_PRIORITY,
    Backoff,
    Band,
    ClaimedJob,
    Heartbeat,
    JobProgress,
    JobStatus,
    NewJob,
    WorkJob,
    full_jitter,
)
from quarterdeck.work.tables import job_progress, job_queue_pauses, job_queues, jobs


class WorkStore:
    """Durable jobs in one database. Any number of processes may use it at once.

    Every method raises `SourceUnavailable` when the database cannot be had.
    """

    def __init__(
        self, database: Database, clock: Clock = utc_now, backoff: Backoff = full_jitter
    ) -> None:
        self._database = database
        self._clock = clock
        self._backoff = backoff
        self._sleepers: set[asyncio.Event] = set()
        self._found_none = True

    def add_sleeper(self, wake: asyncio.Event) -> None:
        """Have `wake` set whenever this store enqueues, so that a worker need not poll for it."""
        self._sleepers.add(wake)

    def remove_sleeper(self, wake: asyncio.Event) -> None:
        """Undo `add_sleeper`."""
        self._sleepers.discard(wake)

    async def ensure_queue(self, name: str, default_priority: int = DEFAULT_PRIORITY) -> None:
        """Create the queue unless it exists; an existing one is left as it is.

        Raises:
            InvalidRequest: the name is empty, too long, or would read as a band (`...:high`).
        """
        check_queue_name(name)
        check_priority("default_priority", default_priority)
        now = self._clock()
        await self._database.write(
            lambda c: enqueueing.create_queue(c, name, now, default_priority)
        )

    async def enqueue(
        self,
        queue_name: str,
        payload: Any,
        *,
        priority: int | None = None,
        run_at: datetime | None = None,
        max_attempts: int = DEFAULT_MAX_ATTEMPTS,
    ) -> str:
        """Add a job, and its queue on first use; gives the job's id.

        `priority` None: the queue's default. `run_at` None: at once.

        Raises:
            InvalidRequest: the name, payload or a number cannot be stored.
        """
        check_queue_name(queue_name)
        job = NewJob(payload, priority, run_at, max_attempts)
        check_job(job)
        now = self._clock()
        job_id = await self._database.write(
            lambda c: enqueueing.enqueue_one(c, queue_name, job, now)
        )
        self._wake_sleepers()
        return job_id

    async def enqueue_many(self, queue_name: str, batch: Sequence[NewJob]) -> list[str]:
        """Add jobs in one transaction, all or none; gives their ids in order.

        Raises:
            InvalidRequest: one of them cannot be stored; then none is.
        """
        check_queue_name(queue_name)
        for job in batch:
            check_job(job)
        now = self._clock()
        ids = await self._database.write(
            lambda c: enqueueing.enqueue_many(c, queue_name, batch, now)
        )
        self._wake_sleepers()
        return ids

    async def claim(
        self, queue_names: Sequence[str], worker: str, lease_s: float, limit: int = 1
    ) -> list[ClaimedJob]:
        """Take up to `limit` due jobs, most urgent first, for `lease_s` seconds.

        Lowest priority number first across all these queues, then `run_at`, then id. Paused
        bands and inactive queues are passed over. `worker` must be unique among living workers.
        """
        now = self._clock()
        # One writer at a time on SQLite: who found nothing last time looks before standing in line.
        is_idle = self._found_none and self._database.dialect == "sqlite"
        if is_idle and not await self._database.read(
            lambda c: claiming.find_lanes(c, queue_names, now)
        ):
            return []
        until = now + timedelta(seconds=lease_s)
        claimed = await self._database.write(
            lambda c: claiming.claim_jobs(c, queue_names, worker, now, until, limit)
        )
        self._found_none = not claimed
        return claimed

    async def heartbeat(self, worker: str, job_ids: Sequence[str], lease_s: float) -> Heartbeat:
        """Extend the leases of this worker's jobs to `lease_s` seconds from now."""
        until = self._clock() + timedelta(seconds=lease_s)
        return await self._database.write(
            lambda c: claiming.extend_leases(c, worker, job_ids, until)
        )

    async def find_cancelled(self, job_ids: Sequence[str]) -> frozenset[str]:
        """Which of these running jobs were asked to stop. A read: cheap enough for every second."""
        return await self._database.read(lambda c: claiming.find_cancelled(c, job_ids))

    async def complete(self, job: ClaimedJob) -> bool:
        """Record success. False: the lease was lost meanwhile, nothing changed."""
        now = self._clock()
        return await self._database.write(lambda c: settling.complete_job(c, job, now))

    async def fail(
        self, job: ClaimedJob, message: str, trace: str | None, *, retry: bool = True
    ) -> JobStatus | None:
        """Record a failed attempt. None: the lease was lost meanwhile, nothing changed.

        `queued`: it will be tried again after a backoff. `failed`: it will not, because its
        attempts are used up, it was cancelled, or `retry` is False.
        """
        now = self._clock()
        wait = timedelta(seconds=self._backoff(job.attempt)) if retry else None
        failure = settling.Failure(shortened(message), trace and shortened(trace), wait)
        return await self._database.write(lambda c: settling.fail_job(c, job, failure, now))

    async def cancel(self, job_id: str) -> bool:
        """Fail a waiting job, or ask a running one to stop. False: unknown, finished, in Redis."""
        if not is_storable(job_id):
            return False
        now = self._clock()
        return await self._database.write(lambda c: settling.cancel_job(c, job_id, now))

    async def pause(self, queue_name: str, band: Band) -> None:
        """Stop claims from one band at once; running jobs finish. Safe to repeat.

        When this returns, no claim from the band can follow.

        Raises:
            NotFound: no such queue.
        """
        now = self._clock()

        def change(connection: Connection) -> bool:
            known = select(job_queues.c.name).where(job_queues.c.name == queue_name)
            if connection.execute(known).first() is None:
                return False
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            connection.execute(
                dialect.insert(job_queue_pauses).on_conflict_do_nothing(),
                {"queue_name": queue_name, "band": int(band), "paused_at": now},
            )
            return True

        if not is_storable(queue_name) or not await self._database.write(change):
            raise NotFound(
                f"There is no queue '{storable(queue_name)}'. Enqueue a job to it first."
            )

    async def resume(self, queue_name: str, band: Band) -> None:
        """Let workers claim from a band again; what waited is still there. Safe to repeat."""
        if not is_storable(queue_name):
            return
        await self._database.write(
            lambda c: (
                c.execute(
                    delete(job_queue_pauses).where(
                        job_queue_pauses.c.queue_name == queue_name,
                        job_queue_pauses.c.band == int(band),
                    )
                ).rowcount
            )
        )
        self._wake_sleepers()

    async def find_job(self, job_id: str) -> WorkJob | None:
        """One job with its progress."""
        if not is_storable(job_id):
            return None
        return await self._database.read(lambda c: _find_job(c, job_id))

    async def set_progress(
        self, job_id: str, *, total: int | None, done: int, failed: int, outcome: Any = None
    ) -> None:
        """Say how far a job is; `outcome` is JSON data. An unknown job is passed over.

        Raises:
            InvalidRequest: the outcome is not JSON.
        """
        check_json("outcome", outcome)
        values = {
            "total": total, "done": done, "failed": failed, "outcome": outcome,
            "updated_at": self._clock(),
        }  # fmt: skip
        await self._database.write(lambda c: _set_progress(c, job_id, values))

    async def reap_expired(self) -> int:
        """Take back jobs whose lease ran out; gives their number."""
        now = self._clock()
        if not await self._database.read(lambda c: settling.has_expired(c, now)):
            return 0
        total = 0
        while batch := await self._database.write(
            lambda c: settling.reap_batch(c, now, self._backoff)
        ):
            total += batch
        return total

    async def remove_finished(self, older_than: timedelta) -> int:
        """Delete jobs that ended longer ago, with their logs, in batches; gives their number."""
        before = self._clock() - older_than
        total = 0
        if await self._database.read(lambda c: upkeep.has_old(c, before)):
            while batch := await self._database.write(lambda c: upkeep.remove_batch(c, before)):
                total += batch
        return total

    async def fold_counts(self) -> None:
        """Keep the counters small: see `upkeep.fold_counts`."""
        now = self._clock()
        if await self._database.read(lambda c: upkeep.needs_fold(c, now)):
            await self._database.write(lambda c: upkeep.fold_counts(c, now))

    def _wake_sleepers(self) -> None:
        for wake in self._sleepers:
            wake.set()


def _find_job(connection: Connection, job_id: str) -> WorkJob | None:
    row = connection.execute(select(jobs).where(jobs.c.id == job_id)).mappings().one_or_none()
    if row is None:
        return None
    found = connection.execute(select(job_progress).where(job_progress.c.job_id == job_id))
    progress = found.mappings().one_or_none()
    fields: dict[str, Any] = {k: v for k, v in row.items() if k not in {"band", "phase", "status"}}
    return WorkJob(
        **fields,
        status=JobStatus(row["status"]),
        progress=JobProgress(**{k: v for k, v in progress.items() if k != "job_id"})
        if progress
        else None,
    )


def _set_progress(connection: Connection, job_id: str, values: dict[str, Any]) -> None:
    known = select(jobs.c.id).where(jobs.c.id == job_id).with_for_update(key_share=True, read=True)
    if connection.execute(known).first() is None:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(
        dialect.insert(job_progress).on_conflict_do_update(index_elements=["job_id"], set_=values),
        {"job_id": job_id, **values},
    )
