"""Retry, delete and pause, by BullMQ's own functions.

Every change of a job locks its row first and looks at its state, then calls the function in the
same transaction: `remove` looks without a lock, and would take a job from the worker that has just
begun it. Who asks for the row meanwhile waits; workers skip it.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, text

from quarterdeck.core.errors import Conflict, NotFound, Unsupported
from quarterdeck.queues.adapters.bullmq_postgres.abilities import too_new
from quarterdeck.queues.adapters.bullmq_postgres.counting import LEDGER
from quarterdeck.queues.adapters.bullmq_postgres.rows import STATES
from quarterdeck.queues.model import BulkAction, JobRef, JobState

BATCH = 200

GONE = "There is no such job any more: it was deleted, or its time of keeping has ended."
_REFUSALS = {
    "scheduler": "This job is of a job scheduler, and BullMQ removes none of them alone. Remove "
    "the scheduler with BullMQ (removeJobScheduler), and finished ones with its clean.",
    "parent": "Children of this job are not done yet. Delete the flow with BullMQ, which knows "
    "what else belongs to it.",
    "child": "A parent waits for this job, and would run without it. Delete the flow with BullMQ, "
    "or retry this job.",
}

# What holds a job in a flow, or in a scheduler; NULL: nothing does.
_HELD = """CASE
  WHEN scheduler_id IS NOT NULL THEN 'scheduler'
  WHEN EXISTS (SELECT FROM job_dependency d WHERE d.parent_queue = job.queue
    AND d.parent_id = job.id AND d.status = 'pending') THEN 'parent'
  WHEN EXISTS (SELECT FROM job_dependency d WHERE d.child_queue = job.queue
    AND d.child_id = job.id AND d.status = 'pending') THEN 'child' END"""

_REQUIRED = text(f"SELECT {LEDGER}")
_LOCK = text(
    f"SELECT state::text AS state, {_HELD} AS held "  # noqa: S608 - our own text
    "FROM job WHERE queue = :queue AND id = :id FOR UPDATE OF job"
)
_FAILED_UNTIL = text(
    "SELECT id, finished_at_ms FROM job WHERE queue = :queue AND state = 'failed' "
    "AND finished_at_ms <= :cutoff ORDER BY finished_at_ms, seq"
)
_LOCK_BATCH = text(
    f"SELECT job.id, {_HELD} AS held FROM job "  # noqa: S608 - our own text
    "JOIN unnest(CAST(:ids AS text[]), CAST(:times AS bigint[])) AS seen (id, at) "
    "ON job.queue = :queue AND job.id = seen.id AND job.finished_at_ms = seen.at "
    "WHERE job.state = 'failed' ORDER BY job.id FOR UPDATE OF job"
)
_RETRY = text(
    "SELECT reprocess_job(:queue, id, 'failed', false, true, true) "
    "FROM unnest(CAST(:ids AS text[])) AS id"
)
_REMOVE = text("SELECT remove(:queue, id, false) FROM unnest(CAST(:ids AS text[])) AS id")

# The flag is a row that may not be there yet, so its name is locked instead: one of many wins.
_LOCK_PAUSE = text("SELECT pg_advisory_xact_lock(hashtext('quarterdeck:pause:' || :queue))")
_IS_PAUSED = text(
    "SELECT EXISTS (SELECT FROM meta WHERE queue = :queue AND field = 'paused' AND value = '1')"
)
_PAUSE = text("SELECT pause(:queue, CAST(:paused AS boolean))")

Failed = tuple[str, int]
"""The id of a failed job, and when it failed, in ms."""


def retry_job(connection: Connection, ref: JobRef) -> None:
    """Put one failed job back, due now, attempts and starts from zero.

    Raises:
        NotFound, Conflict: nothing was changed.
    """
    state, _ = _lock(connection, ref)
    if state is not JobState.FAILED:
        raise Conflict(f"Only failed jobs can be retried; this one is {state.value}.")
    connection.execute(_RETRY, {"queue": ref.queue, "ids": [ref.id]})


def delete_job(connection: Connection, ref: JobRef) -> None:
    """Remove one job that does not run; raises as `retry_job` does."""
    state, held = _lock(connection, ref)
    if state is JobState.ACTIVE:
        raise Conflict("Running jobs cannot be deleted. Wait until it ends.")
    if held is not None:
        raise Conflict(_REFUSALS[held])
    connection.execute(_REMOVE, {"queue": ref.queue, "ids": [ref.id]})


def list_failed(connection: Connection, native: str, cutoff: datetime) -> list[Failed]:
    """All that failed up to then, the oldest first (100 bytes each)."""
    params = {"queue": native, "cutoff": int(cutoff.timestamp() * 1000)}
    return [(row.id, row.finished_at_ms) for row in connection.execute(_FAILED_UNTIL, params)]


def change_batch(
    action: BulkAction, native: str, failed: Sequence[Failed], connection: Connection
) -> int:
    """Act on those that have not failed anew since they were listed; gives their number.

    What cannot be deleted is left: see `delete_job`.
    """
    check_writable(connection)
    ids, times = [job_id for job_id, _ in failed], [at for _, at in failed]
    rows = connection.execute(_LOCK_BATCH, {"queue": native, "ids": ids, "times": times})
    if action is BulkAction.RETRY_FAILED:
        chosen, function = [row.id for row in rows], _RETRY
    else:
        chosen, function = [row.id for row in rows if row.held is None], _REMOVE
    changed = connection.execute(function, {"queue": native, "ids": chosen}).scalars()
    return sum(1 for each in changed if each > 0)


def set_paused(connection: Connection, native: str, *, paused: bool) -> bool:
    """Set or clear the flag that all workers look at; gives whether it was otherwise before."""
    check_writable(connection)
    connection.execute(_LOCK_PAUSE, {"queue": native})
    if connection.execute(_IS_PAUSED, {"queue": native}).scalar_one() is paused:
        return False
    connection.execute(_PAUSE, {"queue": native, "paused": paused})
    return True


def check_writable(connection: Connection) -> None:
    """Refuse to change a schema of a newer BullMQ.

    Raises:
        Unsupported: with the version that it needs.
    """
    required = connection.execute(_REQUIRED).scalar_one()
    if (reason := too_new(required)) is not None:
        raise Unsupported.of("version", str(required or "none"), reason)


def _lock(connection: Connection, ref: JobRef) -> tuple[JobState, str | None]:
    """The job's state and what holds it; nobody changes it until we commit."""
    check_writable(connection)
    row = connection.execute(_LOCK, {"queue": ref.queue, "id": ref.id}).first()
    if row is None:
        raise NotFound(GONE)
    return STATES[row.state], row.held
