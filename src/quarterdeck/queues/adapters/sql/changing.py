"""Retry and delete: one job, or all failed ones of a lane in batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    delete,
    func,
    literal,
    select,
    tuple_,
    update,
)

from quarterdeck.core.errors import Conflict, NotFound
from quarterdeck.queues.adapters.sql.limited import utc_text
from quarterdeck.queues.adapters.sql.names import PHASES, Lane, in_lane, in_states
from quarterdeck.queues.adapters.sql.tables import JobTables
from quarterdeck.queues.model import BulkAction, JobState, RetryResult

BATCH = 500
_TRIES = 5
_IDLE = (JobState.WAITING, JobState.COMPLETED, JobState.FAILED)


@dataclass(frozen=True, slots=True)
class Batch:
    """How many jobs a batch changed, and where the next one starts; None: there is none."""

    size: int
    last: tuple[Any, ...] | None


@dataclass(frozen=True, slots=True)
class FailedUntil:
    """The failed jobs of a lane that failed up to `cutoff`, behind those already seen."""

    lane: Lane
    cutoff: datetime
    after: tuple[Any, ...] | None = None

    def condition(self, connection: Connection, tables: JobTables) -> ColumnElement[bool]:
        """The jobs in SQL. One whose time of failure is unknown is left alone."""
        times = failure_times(tables)
        bound = literal(self.cutoff, times[0].type)
        failed_at = func.coalesce(*times) if len(times) > 1 else times[0]
        return and_(
            in_lane(tables, self.lane),
            in_states(tables, JobState.FAILED),
            utc_text(connection, failed_at) <= utc_text(connection, bound),
        )


def retry_job(connection: Connection, tables: JobTables, job_id: str, now: datetime) -> RetryResult:
    """Put one failed job back, due now. Its last error stays to be seen until it completes.

    Raises:
        NotFound, Conflict: nothing was changed.
    """
    native = _known_id(tables, job_id)
    for _ in range(_TRIES):
        if _requeue(connection, tables, [native], now):
            return RetryResult(attempts_reset="attempt_count" in tables.jobs.c)
        state = _state_now(connection, tables, native)
        if state is not JobState.FAILED:
            raise Conflict(f"Only failed jobs can be retried; this one is {state.value}.")
    raise _restless()


def delete_job(connection: Connection, tables: JobTables, job_id: str) -> None:
    """Remove one job that does not run, with its attempts.

    Raises:
        NotFound, Conflict: nothing was changed.
    """
    native = _known_id(tables, job_id)
    for _ in range(_TRIES):
        if _remove(connection, tables, [native], _IDLE):
            return
        if _state_now(connection, tables, native) is JobState.ACTIVE:
            raise Conflict(
                "Running jobs cannot be deleted. Wait until it has finished; pausing its queue "
                "keeps it from being started again."
            )
    raise _restless()


def change_batch(
    action: BulkAction,
    failed: FailedUntil,
    now: datetime,
    connection: Connection,
    tables: JobTables,
) -> Batch:
    """Act on the next failed jobs of a lane, in an order that the action does not disturb."""
    jobs = tables.jobs
    key = _batch_key(tables)
    statement = select(*key).where(failed.condition(connection, tables)).order_by(*key).limit(BATCH)
    if failed.after is not None:
        bounds = [
            literal(value, column.type) for value, column in zip(failed.after, key, strict=True)
        ]
        statement = statement.where(tuple_(*key) > tuple_(*bounds))
    # Locked in order, so that two of these at once wait for each other instead of deadlocking.
    rows = connection.execute(statement.with_for_update(of=jobs)).all()
    ids = [row[-1] for row in rows]
    if not ids:
        return Batch(0, None)
    if action is BulkAction.RETRY_FAILED:
        size = _requeue(connection, tables, ids, now)
    else:
        size = _remove(connection, tables, ids, (JobState.FAILED,))
    return Batch(size, tuple(rows[-1]) if len(rows) == BATCH else None)


def failure_times(tables: JobTables) -> Sequence[ColumnElement[Any]]:
    """The columns that can say when a job failed, the better one first."""
    return [tables.jobs.c[name] for name in ("failed_at", "updated_at") if name in tables.jobs.c]


def _batch_key(tables: JobTables) -> Sequence[ColumnElement[Any]]:
    """Neither retry nor delete changes it, so each job is looked at once and the whole ends."""
    jobs = tables.jobs
    # Our own tables have an index over the failed jobs of a lane in this order.
    return (jobs.c.created_at, jobs.c.id) if tables.counts is not None else (jobs.c.id,)


def _requeue(connection: Connection, tables: JobTables, ids: Sequence[Any], now: datetime) -> int:
    jobs = tables.jobs
    values = {
        "status": tables.statuses[JobState.WAITING][0],
        "attempt_count": 0,
        "run_at": now,
        "updated_at": now,
        "failed_at": None,
        "locked_by": None,
        "lease_until": None,
        "cancel_requested": False,
    }
    known = {jobs.c[name]: value for name, value in values.items() if name in jobs.c}
    failed = jobs.c.status.in_(tables.statuses[JobState.FAILED])
    statement = update(jobs).where(jobs.c.id.in_(ids), failed).values(known)
    return connection.execute(statement).rowcount


def _remove(
    connection: Connection, tables: JobTables, ids: Sequence[Any], states: Sequence[JobState]
) -> int:
    jobs, logs = tables.jobs, tables.logs
    statuses = [status for state in states for status in tables.statuses[state]]
    doomed = and_(jobs.c.id.in_(ids), jobs.c.status.in_(statuses))
    if logs is not None and tables.counts is None:
        # Ours cascade; in people's tables the attempts may stand in the way.
        which = select(jobs.c.id).where(doomed)
        connection.execute(delete(logs).where(logs.c.job_id.in_(which)))
    return connection.execute(delete(jobs).where(doomed)).rowcount


def _known_id(tables: JobTables, job_id: str) -> Any:
    native = tables.native_id(job_id)
    if native is None:
        raise _gone()
    return native


def _state_now(connection: Connection, tables: JobTables, native: Any) -> JobState:
    jobs = tables.jobs
    statement = select(jobs.c.status).where(jobs.c.id == native, in_states(tables, *PHASES))
    row = connection.execute(statement).first()
    state = tables.state_of(row.status) if row else None
    if state is None:
        raise _gone()
    return state


def _gone() -> NotFound:
    return NotFound(
        "There is no such job any more: it was deleted, or its time of keeping has ended."
    )


def _restless() -> Conflict:
    return Conflict("The job changes faster than we can act on it; look at it and try again.")
