"""Jobs page by page, one by one, and by text."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select

from quarterdeck.core.pagination import Page, TotalKind
from quarterdeck.queues.adapters.sql.counting import read_total
from quarterdeck.queues.adapters.sql.names import PHASES, Lane, in_lane, in_states
from quarterdeck.queues.adapters.sql.narrowing import narrowing
from quarterdeck.queues.adapters.sql.rows import (
    attempt_of,
    decode_payload,
    decoded,
    job_of,
    select_jobs,
    select_logs,
)
from quarterdeck.queues.adapters.sql.tables import JobTables
from quarterdeck.queues.model import Attempt, Failure, FailureSample, Job, JobRef, JobState
from quarterdeck.queues.ports import JobFilter

CANDIDATES = 10_000
"""A text search looks at the payloads of at most so many jobs, the newest."""
_CHUNK = 500
_INT64 = 2**63 - 1


@dataclass(frozen=True, slots=True)
class PageAsk:
    """Which jobs are asked for. No state: all four."""

    lane: Lane
    state: JobState | None
    limit: int
    offset: int


def read_page(connection: Connection, tables: JobTables, source: str, ask: PageAsk) -> Page[Job]:
    """One page, newest first. A deep one is reached from the end that is nearer."""
    total, kind = read_total(connection, tables, ask.lane, ask.state)
    is_exact = kind is TotalKind.EXACT
    if (is_exact and ask.offset >= total) or ask.offset > _INT64:
        return Page([], total, kind)
    statement = _jobs_of(connection, tables, ask)
    size = min(ask.limit, total - ask.offset) if is_exact else ask.limit
    behind = total - ask.offset - size
    if is_exact and behind < ask.offset:
        statement = statement.order_by(*_oldest_first(tables)).limit(size).offset(behind)
        rows = connection.execute(statement).all()[::-1]
    else:
        statement = statement.order_by(*_newest_first(tables)).limit(size).offset(ask.offset)
        rows = connection.execute(statement).all()
    return Page([job_of(row, tables, source) for row in rows], total, kind)


def search_page(
    connection: Connection, tables: JobTables, source: str, ask: PageAsk, text: JobFilter
) -> Page[Job]:
    """One page of what the filter accepts; `CAPPED` when there were candidates left unread."""
    statement = _jobs_of(connection, tables, ask)
    narrowed = narrowing(connection, tables, text.needle)
    if narrowed is not None:
        statement = statement.where(narrowed)
    statement = statement.order_by(*_newest_first(tables)).limit(CANDIDATES + 1)
    seen = matches = 0
    found: list[Job] = []
    rows = connection.execute(statement, execution_options={"yield_per": _CHUNK})
    for row in rows:
        seen += 1
        if seen > CANDIDATES:
            break
        if not text.accepts(decode_payload(row.payload)[0], decoded(row.last_error_message)):
            continue
        if ask.offset <= matches < ask.offset + ask.limit:
            found.append(job_of(row, tables, source))
        matches += 1
    rows.close()
    return Page(found, matches, TotalKind.CAPPED if seen > CANDIDATES else TotalKind.EXACT)


def read_job(connection: Connection, tables: JobTables, ref: JobRef) -> Job | None:
    """One job with its attempts, the first one first."""
    native = tables.native_id(ref.id)
    if native is None:
        return None
    statement = select_jobs(connection, tables).where(
        tables.jobs.c.id == native, in_states(tables, *PHASES)
    )
    row = connection.execute(statement).first()
    if row is None:
        return None
    return replace(job_of(row, tables, ref.source), history=_history(connection, tables, native))


def read_failures(
    connection: Connection, tables: JobTables, source: str, lane: Lane, limit: int
) -> FailureSample:
    """The failed jobs of a lane, those created last first."""
    ask = PageAsk(lane, JobState.FAILED, limit + 1, 0)
    statement = _jobs_of(connection, tables, ask).order_by(*_newest_first(tables)).limit(limit + 1)
    rows = connection.execute(statement).all()
    failures = [
        Failure(
            ref=JobRef(source, str(row.id)),
            message=decoded(row.last_error_message) or "",
            failed_at=row.failed_at or row.updated_at,
        )
        for row in rows[:limit]
    ]
    return FailureSample(failures, is_complete=len(rows) <= limit)


def _jobs_of(connection: Connection, tables: JobTables, ask: PageAsk) -> Select[Any]:
    states = (ask.state,) if ask.state else PHASES
    return select_jobs(connection, tables).where(
        in_lane(tables, ask.lane), in_states(tables, *states)
    )


def _newest_first(tables: JobTables) -> Sequence[ColumnElement[Any]]:
    return tables.jobs.c.created_at.desc(), tables.jobs.c.id.desc()


def _oldest_first(tables: JobTables) -> Sequence[ColumnElement[Any]]:
    return tables.jobs.c.created_at, tables.jobs.c.id


def _history(connection: Connection, tables: JobTables, native: object) -> list[Attempt]:
    logs = tables.logs
    if logs is None:
        return []
    statement = select_logs(connection, logs).where(logs.c.job_id == native)
    rows = connection.execute(statement.order_by(logs.c.started_at, logs.c.attempt_number))
    return [attempt_of(row) for row in rows]
