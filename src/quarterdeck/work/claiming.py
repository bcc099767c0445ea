"""The SQL that hands jobs to workers, keeps their leases and lets go of them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import (
    Connection,
    Integer,
    Text,
    TextClause,
    bindparam,
    insert,
    literal_column,
    select,
    text,
    true,
    update,
)

from quarterdeck.state.types import UtcDateTime
from quarterdeck.work.model import (
    AttemptStatus,
    ClaimedJob,
    Heartbeat,
    JobStatus,
    Lane,
    band_of,
    lanes_by_priority,
)
from quarterdeck.work.tables import has_status, job_logs, job_queue_pauses, job_queues, jobs

CROWD = 64
"""How many locked candidates of rival workers we look past where queues share a priority."""

# Written out, not bound: only then may a partial index serve.
_QUEUED = jobs.c.status == literal_column("'queued'")

_NOW = bindparam("now", type_=UtcDateTime)

# A loose index scan: it hops from one priority to the next (a probe of `jobs_claim` each), then
# probes each for its first due job. So its cost is that of the distinct priorities, however many
# jobs wait behind each, due or not. (EXISTS would read better, but PostgreSQL turns it into a join
# that reads all due jobs.)
_LANES = """
WITH RECURSIVE lane (queue_name, priority) AS (
  SELECT q.name,
    (SELECT min(j.priority) FROM jobs j WHERE j.queue_name = q.name AND j.status = 'queued')
  FROM job_queues q WHERE q.name IN :names AND q.is_active
  UNION ALL
  SELECT lane.queue_name,
    (SELECT min(j.priority) FROM jobs j WHERE j.queue_name = lane.queue_name
       AND j.status = 'queued' AND j.priority > lane.priority)
  FROM lane WHERE lane.priority IS NOT NULL
)
SELECT lane.queue_name, lane.priority{and_lock} FROM lane
WHERE lane.priority IS NOT NULL
  AND (SELECT j.run_at FROM jobs j WHERE j.queue_name = lane.queue_name
    AND j.priority = lane.priority AND j.status = 'queued' ORDER BY j.run_at LIMIT 1) <= :now
  AND NOT EXISTS (SELECT 1 FROM job_queue_pauses p WHERE p.queue_name = lane.queue_name
    AND p.band = CASE WHEN lane.priority <= 50 THEN 0 WHEN lane.priority <= 150 THEN 1 ELSE 2 END)
"""


def _lanes_statement(and_lock: str) -> TextClause:
    return text(_LANES.format(and_lock=and_lock)).bindparams(
        bindparam("names", type_=Text, expanding=True), _NOW
    )


_LANES_SQLITE = _lanes_statement("")
# The lock is held to the end of the claim; a pause waits for it (see the migration). `_TAKE` is a
# later statement, hence sees every pause that committed before the lock was had.
_LANES_POSTGRES = _lanes_statement(", pg_advisory_xact_lock_shared(hashtext('job_claims'))")

_TAKE = (
    select(jobs.c.id, jobs.c.run_at)
    .where(
        jobs.c.queue_name == bindparam("queue"),
        jobs.c.priority == bindparam("lane_priority", type_=Integer),
        _QUEUED,
        jobs.c.run_at <= _NOW,
        select(job_queues.c.name)
        .where(job_queues.c.name == bindparam("queue"), job_queues.c.is_active == true())
        .exists(),
        ~select(job_queue_pauses.c.band)
        .where(
            job_queue_pauses.c.queue_name == bindparam("queue"),
            job_queue_pauses.c.band == bindparam("lane_band", type_=Integer),
        )
        .exists(),
    )
    .order_by(jobs.c.run_at, jobs.c.id)
    .limit(bindparam("most", type_=Integer))
)
_TAKE_LOCKED = _TAKE.with_for_update(skip_locked=True, of=jobs)

_LOCK = (
    select(jobs.c.id)
    .where(jobs.c.id.in_(bindparam("ids", expanding=True)), has_status(JobStatus.QUEUED))
    .order_by(jobs.c.run_at, jobs.c.id)
    .limit(bindparam("most", type_=Integer))
    .with_for_update(skip_locked=True)
)

_START = (
    update(jobs)
    .where(jobs.c.id.in_(bindparam("ids", expanding=True)))
    .values(
        status=JobStatus.RUNNING.value,
        attempt_count=jobs.c.attempt_count + 1,
        started_at=_NOW,
        updated_at=_NOW,
        locked_by=bindparam("worker"),
        lease_until=bindparam("until", type_=UtcDateTime),
        cancel_requested=False,
    )
    .returning(
        jobs.c.id,
        jobs.c.queue_name,
        jobs.c.payload,
        jobs.c.priority,
        jobs.c.attempt_count,
        jobs.c.max_attempts,
    )
)

_LOG_ATTEMPT = insert(job_logs)

_EXTEND = (
    update(jobs)
    .where(
        jobs.c.id.in_(bindparam("ids", expanding=True)),
        has_status(JobStatus.RUNNING),
        jobs.c.locked_by == bindparam("worker"),
    )
    .values(lease_until=bindparam("until", type_=UtcDateTime))
    .returning(jobs.c.id, jobs.c.cancel_requested)
)

_CANCELLED = select(jobs.c.id).where(
    jobs.c.id.in_(bindparam("ids", expanding=True)),
    has_status(JobStatus.RUNNING),
    jobs.c.cancel_requested == true(),
)


def find_lanes(connection: Connection, names: Sequence[str], now: datetime) -> list[Lane]:
    """Queue and priority of all due jobs that may be claimed: not paused, not inactive."""
    postgres = connection.dialect.name == "postgresql"
    rows = connection.execute(
        _LANES_POSTGRES if postgres else _LANES_SQLITE, {"names": list(names), "now": now}
    )
    return [Lane(row.queue_name, row.priority) for row in rows]


def claim_jobs(
    connection: Connection,
    names: Sequence[str],
    worker: str,
    now: datetime,
    lease_until: datetime,
    limit: int,
) -> list[ClaimedJob]:
    """Take up to `limit` jobs: lowest priority number first, then `run_at`, then id."""
    ids: list[str] = []
    for priority, queues in lanes_by_priority(find_lanes(connection, names, now)):
        if len(ids) == limit:
            break
        ids += _take(connection, priority, queues, now, limit - len(ids))
    if not ids:
        return []
    rows = connection.execute(
        _START, {"ids": ids, "now": now, "worker": worker, "until": lease_until}
    )
    claimed = {
        row.id: ClaimedJob(
            id=row.id,
            queue_name=row.queue_name,
            payload=row.payload,
            priority=row.priority,
            attempt=row.attempt_count,
            max_attempts=row.max_attempts,
            locked_by=worker,
            lease_until=lease_until,
            started_at=now,
        )
        for row in rows
    }
    connection.execute(_LOG_ATTEMPT, [_attempt(claimed[job_id]) for job_id in ids])
    return [claimed[job_id] for job_id in ids]


def extend_leases(
    connection: Connection, worker: str, job_ids: Sequence[str], lease_until: datetime
) -> Heartbeat:
    """Extend what is still this worker's; the rest is lost."""
    rows = connection.execute(
        _EXTEND, {"ids": list(job_ids), "worker": worker, "until": lease_until}
    ).all()
    return Heartbeat(
        lost=frozenset(job_ids) - {row.id for row in rows},
        cancelled=frozenset(row.id for row in rows if row.cancel_requested),
    )


def find_cancelled(connection: Connection, job_ids: Sequence[str]) -> frozenset[str]:
    """Which of these running jobs were asked to stop."""
    return frozenset(connection.execute(_CANCELLED, {"ids": list(job_ids)}).scalars())


def _take(
    connection: Connection, priority: int, queues: Sequence[str], now: datetime, limit: int
) -> list[str]:
    """Ids of due jobs of one priority in order; on PostgreSQL locked, those of rivals skipped."""
    postgres = connection.dialect.name == "postgresql"
    values = {"lane_priority": priority, "lane_band": int(band_of(priority)), "now": now}
    if len(queues) == 1:
        statement = _TAKE_LOCKED if postgres else _TAKE
        rows = connection.execute(statement, {**values, "queue": queues[0], "most": limit})
        return list(rows.scalars())
    # Locking `limit` rows of each queue would hide jobs from rivals that we then do not take.
    most = limit + CROWD if postgres else limit
    candidates = [
        (row.run_at, row.id)
        for queue in queues
        for row in connection.execute(_TAKE, {**values, "queue": queue, "most": most})
    ]
    ids = [job_id for _, job_id in sorted(candidates)]
    if not postgres or not ids:
        return ids[:limit]
    return list(connection.execute(_LOCK, {"ids": ids, "most": limit}).scalars())


def _attempt(job: ClaimedJob) -> dict[str, object]:
    return {
        "job_id": job.id,
        "status": AttemptStatus.ATTEMPTING.value,
        "attempt_number": job.attempt,
        "started_at": job.started_at,
    }
