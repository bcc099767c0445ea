"""Jobs page by page, one by one, and by text.

No index of BullMQ holds the jobs of a state by their creation. Each of its partial indexes is an
order of its own, gone through from its newest end; a page merges these orders by the time of
creation, as far as the page reaches. So a job is on one page only, and what is read grows with
the offset, not with the queue.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, TextClause, text

from quarterdeck.core.pagination import Page, TotalKind
from quarterdeck.queues.adapters.bullmq_postgres.counting import COUNT_LIMIT, moment
from quarterdeck.queues.adapters.bullmq_postgres.rows import COLUMNS, decoded, job_of
from quarterdeck.queues.model import Failure, FailureSample, Job, JobRef, JobState, QueueRef
from quarterdeck.queues.ports import JobFilter

CANDIDATES = 10_000
"""A text search looks at so many jobs, the newest."""
_CHUNK = 500
_FARTHEST = 2**62

# Where the jobs of a state lie, and the order in which its index gives them, the newest first.
_PLACES: dict[JobState, tuple[tuple[str, str], ...]] = {
    JobState.ACTIVE: (("state = 'active'", "seq DESC"),),
    JobState.WAITING: (
        ("state = 'waiting' AND priority = 0", "seq DESC"),
        ("state = 'waiting' AND priority > 0", "priority DESC, seq DESC"),
        ("state = 'delayed'", "process_at_ms DESC, seq DESC"),
        ("state = 'waiting-children'", "seq DESC"),
    ),
    JobState.FAILED: (("state = 'failed'", "finished_at_ms DESC, seq DESC"),),
    JobState.COMPLETED: (("state = 'completed'", "finished_at_ms DESC, seq DESC"),),
}
_ALL = tuple(place for places in _PLACES.values() for place in places)


def _placed(number: int, where: str, order: str) -> str:
    # A job is as new as the newest that its place gives from there on: so places stay in order.
    return (
        f"(SELECT id, {number} AS place, row_number() OVER run AS at, "  # noqa: S608 - our own text
        "min(added_at_ms) OVER run AS newest FROM ("
        f"SELECT * FROM job WHERE queue = :queue AND {where} ORDER BY {order} LIMIT :upto"
        f") head WINDOW run AS (ORDER BY {order} ROWS UNBOUNDED PRECEDING))"
    )


def _page(state: JobState | None) -> TextClause:
    places = _ALL if state is None else _PLACES[state]
    merged = " UNION ALL ".join(_placed(number, *place) for number, place in enumerate(places))
    order = "newest DESC, place, at"
    return text(
        f"SELECT {COLUMNS} FROM ("  # noqa: S608 - our own text
        f"SELECT * FROM ({merged}) merged ORDER BY {order} LIMIT :limit OFFSET :offset"
        f") page JOIN job ON job.queue = :queue AND job.id = page.id ORDER BY {order}"
    )


def _total(state: JobState | None) -> TextClause:
    places = _ALL if state is None else _PLACES[state]
    counts = [
        f"(SELECT count(*) FROM (SELECT FROM job WHERE queue = :queue AND {where} LIMIT :most) few)"  # noqa: S608 - our own text
        for where, _ in places
    ]
    return text(f"SELECT {' + '.join(counts)}")


_WANTED = (None, *JobState)
PAGES = {state: _page(state) for state in _WANTED}
_TOTALS = {state: _total(state) for state in _WANTED}
_ONE = text(f"SELECT {COLUMNS} FROM job WHERE queue = :queue AND id = :id")  # noqa: S608 - our own text
_FAILURES = text(
    "SELECT id, failed_reason, finished_at_ms FROM job WHERE queue = :queue AND state = 'failed' "
    "ORDER BY finished_at_ms DESC, seq DESC LIMIT :limit"
)


@dataclass(frozen=True, slots=True)
class PageAsk:
    """Which jobs are asked for. No state: all four. `native` is BullMQ's name of the queue."""

    queue: QueueRef
    native: str
    state: JobState | None
    limit: int
    offset: int


def read_page(connection: Connection, ask: PageAsk) -> Page[Job]:
    """One page; finished jobs by their end, the others as they were queued."""
    params = {"queue": ask.native, "most": COUNT_LIMIT + 1}
    found = connection.execute(_TOTALS[ask.state], params).scalar_one()
    total, kind = found, TotalKind.EXACT
    if found > COUNT_LIMIT:
        total, kind = COUNT_LIMIT, TotalKind.CAPPED
    if (kind is TotalKind.EXACT and ask.offset >= total) or ask.offset > _FARTHEST:
        return Page([], total, kind)
    rows = connection.execute(PAGES[ask.state], _window(ask, ask.limit, ask.offset))
    return Page([_job(ask, row) for row in rows], total, kind)


def search_page(connection: Connection, ask: PageAsk, needle: JobFilter) -> Page[Job]:
    """One page of what the filter accepts; `CAPPED` when there were candidates left unread."""
    rows = connection.execute(
        PAGES[ask.state],
        _window(ask, CANDIDATES + 1, 0),
        execution_options={"yield_per": _CHUNK},
    )
    seen, found, matches = 0, 0, []
    for row in rows:
        seen += 1
        if seen > CANDIDATES:
            break
        if needle.accepts(decoded(row.data)[0], row.failed_reason):
            if ask.offset <= found < ask.offset + ask.limit:
                matches.append(_job(ask, row))
            found += 1
    rows.close()
    kind = TotalKind.CAPPED if seen > CANDIDATES else TotalKind.EXACT
    return Page(matches, found, kind)


def read_job(connection: Connection, ref: JobRef, public: str) -> Job | None:
    """One job."""
    row = connection.execute(_ONE, {"queue": ref.queue, "id": ref.id}).first()
    return None if row is None else job_of(ref, public, row)


def read_failures(connection: Connection, source: str, native: str, limit: int) -> FailureSample:
    """The newest failures."""
    rows = connection.execute(_FAILURES, {"queue": native, "limit": limit + 1}).all()
    failures = [
        Failure(JobRef(source, row.id, native), row.failed_reason or "", moment(row.finished_at_ms))
        for row in rows[:limit]
    ]
    return FailureSample(failures, is_complete=len(rows) <= limit)


def _window(ask: PageAsk, limit: int, offset: int) -> dict[str, Any]:
    return {"queue": ask.native, "limit": limit, "offset": offset, "upto": offset + limit}


def _job(ask: PageAsk, row: Row[Any]) -> Job:
    return job_of(JobRef(ask.queue.source, row.id, ask.native), ask.queue.name, row)
