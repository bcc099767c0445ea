"""The SQL that puts jobs in. Each function is a part of one transaction of the caller's."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Integer, Text, bindparam, func, insert, literal, select
from sqlalchemy.dialects import postgresql, sqlite

from quarterdeck.core.ids import uuid7
from quarterdeck.state.types import UtcDateTime
from quarterdeck.work.model import DEFAULT_PRIORITY, JobStatus, NewJob
from quarterdeck.work.tables import Json, job_queues, jobs

BATCH = 1000

_NOW = bindparam("now", type_=UtcDateTime)

# The queue's default is looked up by the insert itself: no statement of its own for each job.
_ENQUEUE_ONE = insert(jobs).from_select(
    [
        "id", "queue_name", "status", "priority", "payload", "attempt_count", "max_attempts",
        "run_at", "created_at", "updated_at", "cancel_requested",
    ],
    select(
        bindparam("job_id", type_=Text),
        job_queues.c.name,
        literal(JobStatus.QUEUED.value, Text),
        func.coalesce(bindparam("wanted", type_=Integer), job_queues.c.default_priority),
        bindparam("data", type_=Json),
        literal(0),
        bindparam("tries", type_=Integer),
        bindparam("due", type_=UtcDateTime),
        _NOW,
        _NOW,
        literal(False),
    ).where(job_queues.c.name == bindparam("queue")),
)  # fmt: skip

_DEFAULT_PRIORITY = select(job_queues.c.default_priority).where(
    job_queues.c.name == bindparam("queue")
)

# RETURNING makes SQLAlchemy send many rows a statement: fewer round trips, and on PostgreSQL one
# run of the counting trigger for a thousand rows instead of a thousand.
_ENQUEUE_MANY = insert(jobs).returning(jobs.c.id)


def create_queue(
    connection: Connection, name: str, now: datetime, priority: int = DEFAULT_PRIORITY
) -> None:
    """Create the queue unless it exists; then it keeps its default priority."""
    values = {
        "name": name, "default_priority": priority, "is_active": True, "created_at": now,
    }  # fmt: skip
    if connection.dialect.name == "postgresql":
        connection.execute(postgresql.insert(job_queues).on_conflict_do_nothing(), values)
    else:
        connection.execute(sqlite.insert(job_queues).on_conflict_do_nothing(), values)


def enqueue_one(connection: Connection, queue_name: str, job: NewJob, now: datetime) -> str:
    """Insert one job, and its queue on first use; gives the job's id."""
    job_id = uuid7()
    values = {
        "job_id": job_id,
        "queue": queue_name,
        "wanted": job.priority,
        "data": job.payload,
        "tries": job.max_attempts,
        "due": job.run_at or now,
        "now": now,
    }
    if connection.execute(_ENQUEUE_ONE, values).rowcount == 0:
        create_queue(connection, queue_name, now)
        connection.execute(_ENQUEUE_ONE, values)
    return job_id


def enqueue_many(
    connection: Connection, queue_name: str, batch: Sequence[NewJob], now: datetime
) -> list[str]:
    """Insert jobs in the order given, all or none; gives their ids in that order."""
    default = _default_priority(connection, queue_name, now)
    ids: list[str] = []
    for start in range(0, len(batch), BATCH):
        rows = [_row(queue_name, job, default, now) for job in batch[start : start + BATCH]]
        connection.execute(_ENQUEUE_MANY, rows).all()
        ids.extend(row["id"] for row in rows)
    return ids


def _default_priority(connection: Connection, queue_name: str, now: datetime) -> int:
    found = {"queue": queue_name}
    known = connection.execute(_DEFAULT_PRIORITY, found).first()
    if known is None:
        create_queue(connection, queue_name, now)
        known = connection.execute(_DEFAULT_PRIORITY, found).one()
    priority: int = known.default_priority
    return priority


def _row(queue_name: str, job: NewJob, default: int, now: datetime) -> dict[str, Any]:
    return {
        "id": uuid7(),
        "queue_name": queue_name,
        "status": JobStatus.QUEUED.value,
        "priority": default if job.priority is None else job.priority,
        "payload": job.payload,
        "attempt_count": 0,
        "max_attempts": job.max_attempts,
        "run_at": job.run_at or now,
        "created_at": now,
        "updated_at": now,
        "cancel_requested": False,
    }
