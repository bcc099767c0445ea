"""The SQL of housekeeping: what is old goes, and the counters stay small."""

from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Connection, bindparam, delete, literal_column, select, text

from quarterdeck.state.types import UtcDateTime
from quarterdeck.work.tables import job_counts, jobs

REMOVE_BATCH = 500
MINUTES_KEPT = timedelta(hours=2)

_BEFORE = bindparam("before", type_=UtcDateTime)

_OLD = tuple(
    select(jobs.c.id)
    .where(jobs.c.status == literal_column(f"'{status}'"), column < _BEFORE)
    .order_by(column)
    .limit(REMOVE_BATCH)
    for status, column in (("completed", jobs.c.completed_at), ("failed", jobs.c.failed_at))
)
_DELETE = delete(jobs).where(jobs.c.id.in_(bindparam("ids", expanding=True)))

_OLD_MINUTES = (job_counts.c.minute > 0) & (
    job_counts.c.minute < bindparam("before_minute", type_=BigInteger)
)


def has_old(connection: Connection, before: datetime) -> bool:
    """Whether there is anything to remove; a read."""
    return any(
        connection.execute(statement.limit(1), {"before": before}).first() for statement in _OLD
    )


def remove_batch(connection: Connection, before: datetime) -> int:
    """Delete up to `REMOVE_BATCH` completed and as many failed jobs that ended before."""
    postgres = connection.dialect.name == "postgresql"
    ids: list[str] = []
    for statement in _OLD:
        # A job that is being retried right now is left alone.
        chosen = statement.with_for_update(skip_locked=True) if postgres else statement
        ids += connection.execute(chosen, {"before": before}).scalars()
    if ids:
        connection.execute(_DELETE, {"ids": ids})
    return len(ids)


def needs_fold(connection: Connection, now: datetime) -> bool:
    """Whether `fold_counts` has anything to do; a read."""
    if connection.dialect.name == "postgresql":
        query = text("SELECT EXISTS (SELECT 1 FROM job_count_deltas)")
        return bool(connection.execute(query).scalar_one())
    old = select(job_counts.c.minute).where(_OLD_MINUTES).limit(1)
    return connection.execute(old, {"before_minute": _oldest_kept(now)}).first() is not None


def fold_counts(connection: Connection, now: datetime) -> None:
    """Merge PostgreSQL's deltas into the counters; drop minutes older than two hours."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT fold_job_counts()"))
    else:
        connection.execute(
            delete(job_counts).where(_OLD_MINUTES), {"before_minute": _oldest_kept(now)}
        )


def _oldest_kept(now: datetime) -> int:
    return int((now - MINUTES_KEPT).timestamp()) // 60
