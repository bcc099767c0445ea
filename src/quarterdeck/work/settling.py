"""The SQL that ends an attempt: completed, failed, to be retried, cancelled, given up for dead."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Integer, Row, bindparam, literal_column, select, update

from quarterdeck.state.types import UtcDateTime
from quarterdeck.work.model import AttemptStatus, Backoff, ClaimedJob, JobStatus
from quarterdeck.work.tables import has_status, job_logs, jobs

CANCELLED = "The job was cancelled on request."
CANCELLED_WAITING = "The job was cancelled on request before it ran."
REAP_BATCH = 200

_NOW = bindparam("now", type_=UtcDateTime)
_IS_MINE = (
    (jobs.c.id == bindparam("job_id"))
    & has_status(JobStatus.RUNNING)
    & (jobs.c.locked_by == bindparam("worker"))
    & (jobs.c.attempt_count == bindparam("attempt", type_=Integer))
)

_COMPLETE = (
    update(jobs)
    .where(_IS_MINE)
    .values(
        status=JobStatus.COMPLETED.value,
        completed_at=_NOW,
        updated_at=_NOW,
        locked_by=None,
        lease_until=None,
    )
)

_MINE = (
    select(
        jobs.c.id,
        jobs.c.attempt_count,
        jobs.c.max_attempts,
        jobs.c.cancel_requested,
        jobs.c.started_at,
    )
    .where(_IS_MINE)
    .with_for_update()
)

_EXPIRED = (
    select(
        jobs.c.id,
        jobs.c.attempt_count,
        jobs.c.max_attempts,
        jobs.c.cancel_requested,
        jobs.c.started_at,
        jobs.c.locked_by,
    )
    .where(jobs.c.status == literal_column("'running'"), jobs.c.lease_until < _NOW)
    .order_by(jobs.c.lease_until)
    .limit(REAP_BATCH)
)
_EXPIRED_LOCKED = _EXPIRED.with_for_update(skip_locked=True)

_RETRY = (
    update(jobs)
    .where(jobs.c.id == bindparam("job_id"))
    .values(
        status=JobStatus.QUEUED.value,
        run_at=bindparam("due", type_=UtcDateTime),
        last_error_message=bindparam("message"),
        last_error_trace=bindparam("trace"),
        updated_at=_NOW,
        locked_by=None,
        lease_until=None,
    )
)

_FAIL = (
    update(jobs)
    .where(jobs.c.id == bindparam("job_id"))
    .values(
        status=JobStatus.FAILED.value,
        failed_at=_NOW,
        last_error_message=bindparam("message"),
        last_error_trace=bindparam("trace"),
        updated_at=_NOW,
        locked_by=None,
        lease_until=None,
        cancel_requested=False,
    )
)

_CANCEL_WAITING = (
    update(jobs)
    .where(jobs.c.id == bindparam("job_id"), has_status(JobStatus.QUEUED))
    .values(
        status=JobStatus.FAILED.value,
        failed_at=_NOW,
        updated_at=_NOW,
        last_error_message=CANCELLED_WAITING,
        last_error_trace=None,
    )
)

_CANCEL_RUNNING = (
    update(jobs)
    .where(jobs.c.id == bindparam("job_id"), has_status(JobStatus.RUNNING))
    .values(cancel_requested=True, updated_at=_NOW)
)

# One row for each attempt. A job that somebody put back with its attempts reset has old rows of
# the same number; only the one still open is ours.
_LOG_END = (
    update(job_logs)
    .where(
        job_logs.c.job_id == bindparam("of_job"),
        job_logs.c.attempt_number == bindparam("attempt", type_=Integer),
        job_logs.c.status == AttemptStatus.ATTEMPTING.value,
    )
    .values(
        status=bindparam("end"),
        log_message=bindparam("message"),
        stack_trace=bindparam("trace"),
        finished_at=_NOW,
        duration_ms=bindparam("elapsed_ms", type_=Integer),
    )
)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed, and whether another may follow."""

    message: str
    trace: str | None
    retry_in: timedelta | None
    """None: no further attempt, however many are left."""


def complete_job(connection: Connection, job: ClaimedJob, now: datetime) -> bool:
    """Mark as completed what is still this worker's; False: it is not."""
    if connection.execute(_COMPLETE, {**_mine(job), "now": now}).rowcount == 0:
        return False
    log = {
        "of_job": job.id, "attempt": job.attempt, "end": AttemptStatus.SUCCESS.value,
        "message": None, "trace": None, "now": now,
        "elapsed_ms": _elapsed_ms(job.started_at, now),
    }  # fmt: skip
    connection.execute(_LOG_END, log)
    return True


def fail_job(
    connection: Connection, job: ClaimedJob, failure: Failure, now: datetime
) -> JobStatus | None:
    """End the attempt: queued again or failed for good. None: not this worker's any more."""
    row = connection.execute(_MINE, _mine(job)).one_or_none()
    if row is None:
        return None
    return _end_attempt(connection, row, failure, now)


def reap_batch(connection: Connection, now: datetime, backoff: Backoff) -> int:
    """Take back up to `REAP_BATCH` jobs whose lease ran out. Rival reapers share the work."""
    postgres = connection.dialect.name == "postgresql"
    rows = connection.execute(_EXPIRED_LOCKED if postgres else _EXPIRED, {"now": now}).all()
    for row in rows:
        message = f"lease expired: the worker {row.locked_by} stopped answering"
        # The first try after a lost worker is at once: the lease was wait enough. A payload that
        # kills its workers gets slower from then on.
        wait = backoff(row.attempt_count - 1) if row.attempt_count > 1 else 0
        _end_attempt(connection, row, Failure(message, None, timedelta(seconds=wait)), now)
    return len(rows)


def has_expired(connection: Connection, now: datetime) -> bool:
    """Whether any lease ran out; a read, so that looking never takes the write lock."""
    return connection.execute(_EXPIRED.limit(1), {"now": now}).first() is not None


def cancel_job(connection: Connection, job_id: str, now: datetime) -> bool:
    """Fail a waiting job, or ask the worker of a running one to stop; False: neither."""
    values = {"job_id": job_id, "now": now}
    if connection.execute(_CANCEL_WAITING, values).rowcount:
        return True
    return bool(connection.execute(_CANCEL_RUNNING, values).rowcount)


def _end_attempt(
    connection: Connection, row: Row[*tuple[Any, ...]], failure: Failure, now: datetime
) -> JobStatus:
    message = CANCELLED if row.cancel_requested else failure.message
    error = {"message": message, "trace": failure.trace, "now": now}
    exhausted = row.attempt_count >= row.max_attempts
    if row.cancel_requested or failure.retry_in is None or exhausted:
        connection.execute(_FAIL, {**error, "job_id": row.id})
        end, status = AttemptStatus.FAILED, JobStatus.FAILED
    else:
        connection.execute(_RETRY, {**error, "job_id": row.id, "due": now + failure.retry_in})
        end, status = AttemptStatus.RETRY, JobStatus.QUEUED
    log = {
        **error, "of_job": row.id, "attempt": row.attempt_count, "end": end.value,
        "elapsed_ms": _elapsed_ms(row.started_at, now),
    }  # fmt: skip
    connection.execute(_LOG_END, log)
    return status


def _mine(job: ClaimedJob) -> dict[str, Any]:
    return {"job_id": job.id, "worker": job.locked_by, "attempt": job.attempt}


def _elapsed_ms(started_at: datetime | None, now: datetime) -> int | None:
    if started_at is None:
        return None
    # Clocks of two machines may differ: a span is never negative, nor beyond the column.
    return min(max(int((now - started_at).total_seconds() * 1000), 0), 2**31 - 1)
