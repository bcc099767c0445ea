"""Retry and delete: one job, or all failed ones of a lane in batches.

Every change locks the job's row first, looks at its status, and calls Procrastinate's function in
the same transaction. Its retry would put back a running job, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, DateTime, bindparam, text
from sqlalchemy.exc import IntegrityError

from quarterdeck.core.errors import Conflict, NotFound
from quarterdeck.queues.adapters.procrastinate.lanes import Lane
from quarterdeck.queues.adapters.procrastinate.listing import native_id
from quarterdeck.queues.adapters.procrastinate.rows import STATES
from quarterdeck.queues.model import BulkAction, DeleteOutcome, JobState

BATCH = 500

_LOCK = text(
    "SELECT status::text AS status, queueing_lock, abort_requested "
    "FROM procrastinate_jobs WHERE id = :id FOR UPDATE"
)
_LOCK_BATCH = text(
    "SELECT id FROM procrastinate_jobs WHERE queue_name = :queue AND sign(priority) = :band "
    "AND status = 'failed' AND id > :after ORDER BY id LIMIT :limit FOR UPDATE"
)
_FAILED_UNTIL = text(
    "SELECT job_id FROM procrastinate_events WHERE job_id = ANY (CAST(:ids AS bigint[])) "
    "AND type = 'failed' GROUP BY job_id HAVING max(at) <= :cutoff ORDER BY job_id"
).bindparams(bindparam("cutoff", type_=DateTime(timezone=True)))
# The function adds one. A retry cut short by an abort leaves its request, which no waiting job may
# have. Both are set while the job is still failed: changed later, its due time would be noted as
# an event a second time.
_RESET = text(
    "UPDATE procrastinate_jobs SET attempts = -1, abort_requested = false "
    "WHERE id = ANY (CAST(:ids AS bigint[])) AND status = 'failed'"
)
_RETRY = text(
    "SELECT procrastinate_retry_job_v2(id, now(), NULL, NULL, NULL) "
    "FROM unnest(CAST(:ids AS bigint[])) AS id"
)
# Procrastinate notifies of new jobs only; without this a retry starts at the workers' next poll.
_NOTIFY = text(
    "SELECT pg_notify(channel, json_build_object('type', 'job_inserted', 'job_id', id)::text) "
    "FROM procrastinate_jobs, LATERAL (VALUES ('procrastinate_any_queue_v1'), "
    "('procrastinate_queue_v1#' || queue_name)) AS to_whom (channel) "
    "WHERE id = :id AND octet_length(channel) < 64"
)
_CANCEL = text("SELECT procrastinate_cancel_job_v1(:id, :abort, :delete)")
_DELETE = text(
    "DELETE FROM procrastinate_jobs WHERE id = ANY (CAST(:ids AS bigint[])) "
    "AND status IN ('failed', 'succeeded')"
)


@dataclass(frozen=True, slots=True)
class Batch:
    """How many jobs a batch changed, and after which id the next one starts; None: no more."""

    size: int
    last: int | None


def retry_job(connection: Connection, job_id: str) -> None:
    """Put one failed job back, due now, its attempts from zero.

    Raises:
        NotFound, Conflict: nothing was changed.
    """
    native, state, _ = _lock(connection, job_id)
    if state is not JobState.FAILED:
        raise Conflict(f"Only failed jobs can be retried; this one is {state.value}.")
    try:
        _requeue(connection, [native])
    except IntegrityError as error:
        raise Conflict(
            "A job with the same queueing lock is waiting already, and Procrastinate lets only "
            "one of them wait. Retry this one when the other has started."
        ) from error


def delete_job(connection: Connection, job_id: str) -> DeleteOutcome:
    """Remove one job; one that runs is asked to abort.

    Raises:
        NotFound: nothing was changed.
    """
    native, state, is_aborting = _lock(connection, job_id)
    if state is JobState.ACTIVE:
        if not is_aborting:
            connection.execute(_CANCEL, {"id": native, "abort": True, "delete": False})
        return DeleteOutcome.CANCEL_REQUESTED
    if state is JobState.WAITING:
        connection.execute(_CANCEL, {"id": native, "abort": False, "delete": True})
    else:
        connection.execute(_DELETE, {"ids": [native]})
    return DeleteOutcome.DELETED


def change_batch(
    action: BulkAction, lane: Lane, cutoff: datetime, after: int, connection: Connection
) -> Batch:
    """Act on the next failed jobs of a lane, in the order of their ids, which stay.

    When they failed is looked up after they are locked: then it cannot change any more.
    """
    params = {"queue": lane.queue, "band": lane.sign, "after": after, "limit": BATCH}
    ids = list(connection.execute(_LOCK_BATCH, params).scalars())
    last = ids[-1] if len(ids) == BATCH else None
    due = list(connection.execute(_FAILED_UNTIL, {"ids": ids, "cutoff": cutoff}).scalars())
    if action is BulkAction.DELETE_FAILED:
        return Batch(connection.execute(_DELETE, {"ids": due}).rowcount if due else 0, last)
    return Batch(_requeue_some(connection, due), last)


def _requeue_some(connection: Connection, ids: Sequence[int]) -> int:
    """All of them, or else one by one those whose queueing lock is free; gives their number."""
    if not ids:
        return 0
    if _try_requeue(connection, ids):
        return len(ids)
    return sum(_try_requeue(connection, [each]) for each in ids)


def _try_requeue(connection: Connection, ids: Sequence[int]) -> bool:
    try:
        with connection.begin_nested():
            _requeue(connection, ids)
    except IntegrityError:
        return False
    return True


def _requeue(connection: Connection, ids: Sequence[int]) -> None:
    connection.execute(_RESET, {"ids": list(ids)})
    connection.execute(_RETRY, {"ids": list(ids)})
    connection.execute(_NOTIFY, {"id": ids[0]})


def _lock(connection: Connection, job_id: str) -> tuple[int, JobState, bool]:
    """The job's id, state, and whether it is asked to abort; nobody changes it until we commit."""
    native = native_id(job_id)
    row = None if native is None else connection.execute(_LOCK, {"id": native}).first()
    state = STATES.get(row.status) if row else None
    if native is None or row is None or state is None:
        raise NotFound(
            "There is no such job any more: it was deleted, or its time of keeping has ended."
        )
    return native, state, row.abort_requested
