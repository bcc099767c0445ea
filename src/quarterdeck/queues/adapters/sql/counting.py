"""Queues with their counts, pauses and oldest waiting jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, literal_column, select

from quarterdeck.core.pagination import TotalKind
from quarterdeck.queues.adapters.sql.counters import NO_JOBS, Counts, read_counters
from quarterdeck.queues.adapters.sql.limited import COUNT_LIMIT, count_up, no_jobs, of_each_queue
from quarterdeck.queues.adapters.sql.names import BANDS, PHASES, Lane, in_lane, in_states
from quarterdeck.queues.adapters.sql.tables import JobTables
from quarterdeck.queues.model import JobState, Priority, QueueStats


@dataclass(frozen=True, slots=True)
class _Queue:
    """A row of the queues table, and since when jobs of its bands wait."""

    name: str
    is_active: bool
    oldest: Mapping[Priority, datetime | None]


def read_lanes(
    connection: Connection, tables: JobTables, now: datetime, names: Sequence[str] | None = None
) -> dict[Lane, QueueStats]:
    """All lanes that have had jobs or are paused, or every lane of the queues that are named."""
    if tables.counts is not None:
        counts, none = read_counters(connection, tables.counts, now, names), NO_JOBS
    else:
        counts, none = count_up(connection, tables, now, names), no_jobs(tables)
    pauses = _read_pauses(connection, tables, names)
    found: dict[Lane, QueueStats] = {}
    for queue in _read_queues(connection, tables, names):
        for priority in BANDS if tables.has_bands else (Priority.NORMAL,):
            lane = Lane(queue.name, priority)
            paused = not queue.is_active or lane in pauses
            if names or paused or lane in counts or priority is Priority.NORMAL:
                oldest = queue.oldest[priority]
                due = oldest if oldest and oldest <= now else None
                found[lane] = _stats(counts.get(lane, none), paused, due)
    return found


def read_total(
    connection: Connection, tables: JobTables, lane: Lane, state: JobState | None
) -> tuple[int, TotalKind]:
    """How many jobs of a state, or of all four, a lane has."""
    counts = tables.counts
    states = (state,) if state else PHASES
    if counts is not None:
        statement = select(func.coalesce(func.sum(counts.c.n), 0)).where(
            counts.c.queue_name == lane.queue,
            counts.c.band == lane.band,
            counts.c.metric.in_([PHASES.index(each) for each in states]),
            counts.c.minute == 0,
        )
        return int(connection.execute(statement).scalar_one()), TotalKind.EXACT
    some: Select[Any] = (
        select(literal_column("1").label("one"))
        .where(in_lane(tables, lane), in_states(tables, *states))
        .limit(COUNT_LIMIT + 1)
    )
    found = connection.execute(select(func.count()).select_from(some.subquery())).scalar_one()
    if found > COUNT_LIMIT:
        return COUNT_LIMIT, TotalKind.CAPPED
    return found, TotalKind.EXACT


def _stats(counts: Counts, paused: bool, oldest: datetime | None) -> QueueStats:
    return QueueStats(
        active=counts.now[JobState.ACTIVE],
        waiting=counts.now[JobState.WAITING],
        failed=counts.now[JobState.FAILED],
        completed_last_hour=counts.completed_last_hour,
        completed_last_hour_source=counts.provenance,
        paused=paused,
        oldest_waiting_at=oldest,
        completed=counts.now.get(JobState.COMPLETED),
        completed_last_minute=counts.completed_last_minute,
        failed_last_minute=counts.failed_last_minute,
        warnings=counts.warnings,
    )


def _read_queues(
    connection: Connection, tables: JobTables, names: Sequence[str] | None
) -> list[_Queue]:
    queues = tables.queues
    columns: list[ColumnElement[Any]] = [
        queues.c.name.label("name"),
        queues.c.get("is_active", literal_column("1")).label("is_active"),
        *(_oldest(tables, priority).label(priority.value) for priority in BANDS),
    ]
    statement = select(*columns).order_by(queues.c.name)
    if names is not None:
        statement = statement.where(queues.c.name.in_(names))
    return [
        _Queue(
            row.name,
            # A queue whose flag is NULL was never switched off.
            row.is_active is None or bool(row.is_active),
            {priority: row._mapping[priority.value] for priority in BANDS},
        )
        for row in connection.execute(statement)
    ]


def _oldest(tables: JobTables, priority: Priority) -> ColumnElement[Any]:
    """Since when the longest waiting job of a queue's band could have run."""
    since = tables.jobs.c.get("run_at", tables.jobs.c.created_at)
    oldest = of_each_queue(select(func.min(since)), tables, priority, JobState.WAITING)
    return oldest.scalar_subquery()


def _read_pauses(
    connection: Connection, tables: JobTables, names: Sequence[str] | None
) -> set[Lane]:
    pauses = tables.pauses
    if pauses is None:
        return set()
    statement = select(pauses.c.queue_name, pauses.c.band)
    if names is not None:
        statement = statement.where(pauses.c.queue_name.in_(names))
    return {Lane(row.queue_name, BANDS[row.band]) for row in connection.execute(statement)}
