"""Jobs page by page, one by one, and by text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, text

from quarterdeck.core.pagination import Page, TotalKind
from quarterdeck.queues.adapters.procrastinate.lanes import Lane
from quarterdeck.queues.adapters.procrastinate.rows import (
    SELECT_JOBS,
    STATUSES,
    attempts_of,
    decode_args,
    job_of,
    utc,
)
from quarterdeck.queues.model import Failure, FailureSample, Job, JobRef, JobState
from quarterdeck.queues.ports import JobFilter

COUNT_LIMIT = 10_000
CANDIDATES = 10_000
"""A text search looks at the arguments of at most so many jobs, the newest."""
_CHUNK = 500
_INT64 = 2**63 - 1

_OF_LANE = (
    "queue_name = :queue AND sign(priority) = :band "
    "AND status = ANY (CAST(:statuses AS procrastinate_job_status[]))"
)
_JOBS = f"FROM procrastinate_jobs WHERE {_OF_LANE}"
_COUNT = text(
    f"SELECT count(*) FROM (SELECT 1 {_JOBS} LIMIT :limit) counted"  # noqa: S608 - our own text
)
# The ids are chosen first: what is looked up for each job is looked up for a page only.
_PAGE = text(
    f"{SELECT_JOBS} WHERE j.id IN (SELECT id {_JOBS} ORDER BY id DESC LIMIT :limit OFFSET :offset)"
    " ORDER BY j.id DESC"
)
_CANDIDATES = text(f"SELECT id, args::text AS args {_JOBS} ORDER BY id DESC LIMIT :limit")
_BY_ID = text(
    f"{SELECT_JOBS} WHERE j.id = ANY (CAST(:ids AS bigint[])) "
    "AND j.status = ANY (CAST(:statuses AS procrastinate_job_status[])) ORDER BY j.id DESC"
)
_EVENTS = text(
    "SELECT type::text AS type, at FROM procrastinate_events WHERE job_id = :id ORDER BY id"
)
_FAILURES = text(
    "SELECT id, (SELECT max(e.at) FROM procrastinate_events e "  # noqa: S608 - our own text
    "WHERE e.job_id = procrastinate_jobs.id AND e.type = 'failed') AS failed_at "
    f"{_JOBS} ORDER BY id DESC LIMIT :limit"
)


@dataclass(frozen=True, slots=True)
class PageAsk:
    """Which jobs are asked for. No state: all four."""

    lane: Lane
    state: JobState | None
    limit: int
    offset: int

    @property
    def params(self) -> dict[str, Any]:
        """What the conditions of a lane need."""
        return _params(self.lane, *([self.state] if self.state else STATUSES))


def native_id(job_id: str) -> int | None:
    """The id as the column wants it; None when no row can have it."""
    if not re.fullmatch(r"[1-9][0-9]{0,18}", job_id):
        return None
    return number if (number := int(job_id)) <= _INT64 else None


def read_page(connection: Connection, source: str, ask: PageAsk) -> Page[Job]:
    """One page, newest first."""
    params = ask.params
    found = connection.execute(_COUNT, {**params, "limit": COUNT_LIMIT + 1}).scalar_one()
    total, kind = found, TotalKind.EXACT
    if found > COUNT_LIMIT:
        total, kind = COUNT_LIMIT, TotalKind.CAPPED
    if (kind is TotalKind.EXACT and ask.offset >= total) or ask.offset > _INT64:
        return Page([], total, kind)
    rows = connection.execute(_PAGE, {**params, "limit": ask.limit, "offset": ask.offset})
    return Page([job_of(row, source) for row in rows], total, kind)


def read_failed_page(
    connection: Connection, source: str, ask: PageAsk, ids: Sequence[int]
) -> Page[Job]:
    """One page of a lane's failed jobs, which are known to be these: nothing is searched."""
    chosen = ids[ask.offset : ask.offset + ask.limit]
    rows = _rows_by_id(connection, chosen, JobState.FAILED)
    return Page([job_of(row, source) for row in rows], len(ids))


def search_page(connection: Connection, source: str, ask: PageAsk, needle: JobFilter) -> Page[Job]:
    """One page of what the filter accepts; `CAPPED` when there were candidates left unread."""
    rows = connection.execute(
        _CANDIDATES,
        {**ask.params, "limit": CANDIDATES + 1},
        execution_options={"yield_per": _CHUNK},
    )
    seen, matches = 0, []
    for row in rows:
        seen += 1
        if seen > CANDIDATES:
            break
        if needle.accepts(decode_args(row.args)[0], None):
            matches.append(row.id)
    rows.close()
    shown = _rows_by_id(connection, matches[ask.offset : ask.offset + ask.limit])
    kind = TotalKind.CAPPED if seen > CANDIDATES else TotalKind.EXACT
    return Page([job_of(row, source) for row in shown], len(matches), kind)


def read_job(connection: Connection, ref: JobRef) -> tuple[str, Job] | None:
    """One job with its attempts, the first one first, and the name of its queue."""
    native = native_id(ref.id)
    rows = _rows_by_id(connection, [native]) if native is not None else ()
    if not rows:
        return None
    events = connection.execute(_EVENTS, {"id": native})
    job = replace(job_of(rows[0], ref.source), history=attempts_of(events))
    return rows[0].queue_name, job


def read_failures(connection: Connection, source: str, lane: Lane, limit: int) -> FailureSample:
    """The failed jobs of a lane, those deferred last first. Nobody knows why they failed."""
    params = {**_params(lane, JobState.FAILED), "limit": limit + 1}
    rows = connection.execute(_FAILURES, params).all()
    failures = [
        Failure(JobRef(source, str(row.id)), "", utc(row.failed_at)) for row in rows[:limit]
    ]
    return FailureSample(failures, is_complete=len(rows) <= limit)


def _rows_by_id(
    connection: Connection, ids: Sequence[int], *states: JobState
) -> Sequence[Row[Any]]:
    statuses = [STATUSES[state] for state in states or STATUSES]
    return connection.execute(_BY_ID, {"ids": list(ids), "statuses": statuses}).all()


def _params(lane: Lane, *states: JobState) -> dict[str, Any]:
    return {
        "queue": lane.queue,
        "band": lane.sign,
        "statuses": [STATUSES[state] for state in states],
    }
