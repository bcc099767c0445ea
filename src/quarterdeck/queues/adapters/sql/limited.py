"""Counts of tables that have no counters: each count stops at a limit, and says so."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    case,
    func,
    literal,
    literal_column,
    select,
)

from quarterdeck.queues.adapters.sql.counters import Counts
from quarterdeck.queues.adapters.sql.names import BANDS, Lane, in_band, in_states
from quarterdeck.queues.adapters.sql.tables import JobTables
from quarterdeck.queues.model import JobState, Priority, Provenance

COUNT_LIMIT = 10_000
_COUNTED = (JobState.WAITING, JobState.ACTIVE, JobState.FAILED)
"""Not the completed ones: they are the many, and nobody waits for them."""


def count_up(
    connection: Connection, tables: JobTables, now: datetime, names: Sequence[str] | None
) -> dict[Lane, Counts]:
    """Every lane that has jobs, or had some complete in the last hour, in two statements."""
    columns = [
        _limited(tables, priority, state).label(f"{priority}_{state}")
        for priority in BANDS
        for state in _COUNTED
    ]
    statement = select(tables.queues.c.name.label("name"), *columns)
    if names is not None:
        statement = statement.where(tables.queues.c.name.in_(names))
    completed = _completed_since(connection, tables, now - timedelta(hours=1), names)
    found: dict[Lane, Counts] = {}
    for row in connection.execute(statement):
        for priority in BANDS:
            lane = Lane(row.name, priority)
            numbers = {state: row._mapping[f"{priority}_{state}"] for state in _COUNTED}
            if any(numbers.values()) or lane in completed:
                found[lane] = _counts(tables, numbers, completed.get(lane, 0))
    return found


def no_jobs(tables: JobTables) -> Counts:
    """The counts of a lane without any."""
    return _counts(tables, dict.fromkeys(_COUNTED, 0), 0)


def last_hour(tables: JobTables) -> Provenance:
    """How the jobs completed in the last hour are counted: those that are still kept, if at all."""
    return Provenance.RETAINED if "completed_at" in tables.jobs.c else Provenance.NONE


def of_each_queue(
    statement: Select[Any], tables: JobTables, priority: Priority, state: JobState
) -> Select[Any]:
    """The statement for the jobs of one band and state of the queue of an enclosing statement."""
    return statement.where(
        tables.jobs.c.queue_name == tables.queues.c.name,
        in_band(tables, priority),
        in_states(tables, state),
    ).correlate(tables.queues)


def utc_text(connection: Connection, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A time to compare with: people's SQLite tables hold any ISO 8601 form, `T` and `Z` too."""
    if connection.dialect.name != "sqlite":
        return column
    return func.strftime("%Y-%m-%d %H:%M:%f", column)


def _limited(tables: JobTables, priority: Priority, state: JobState) -> ColumnElement[Any]:
    some = of_each_queue(select(literal_column("1").label("one")), tables, priority, state)
    counted = select(func.count()).select_from(some.limit(COUNT_LIMIT + 1).subquery())
    return counted.scalar_subquery()


def _counts(tables: JobTables, numbers: Mapping[JobState, int], completed: int) -> Counts:
    provenance = last_hour(tables)
    return Counts(
        {state: min(number, COUNT_LIMIT) for state, number in numbers.items()},
        None if provenance is Provenance.NONE else completed,
        provenance,
        warnings=[
            f"There are more than {COUNT_LIMIT} {state.value} jobs; counting stopped there."
            for state, number in numbers.items()
            if number > COUNT_LIMIT
        ],
    )


def _completed_since(
    connection: Connection, tables: JobTables, since: datetime, names: Sequence[str] | None
) -> dict[Lane, int]:
    """One pass over the last hour's completed jobs: its cost is that of an hour."""
    jobs = tables.jobs
    if "completed_at" not in jobs.c:
        return {}
    at = jobs.c.completed_at
    bound = literal(since, at.type)
    statement = (
        select(jobs.c.queue_name, _band(tables).label("lane_band"), func.count().label("n"))
        .where(
            in_states(tables, JobState.COMPLETED),
            # The first may use an index and lets some too many through, the second is exact.
            at >= bound,
            utc_text(connection, at) >= utc_text(connection, bound),
        )
        .group_by(jobs.c.queue_name, "lane_band")
    )
    if names is not None:
        statement = statement.where(jobs.c.queue_name.in_(names))
    rows = connection.execute(statement)
    return {Lane(row.queue_name, BANDS[row.lane_band]): row.n for row in rows}


def _band(tables: JobTables) -> ColumnElement[int]:
    normal: ColumnElement[int] = literal_column(str(BANDS.index(Priority.NORMAL)))
    if not tables.has_bands:
        return normal
    whens: list[tuple[ColumnElement[bool], ColumnElement[int]]] = [
        (in_band(tables, priority), literal_column(str(BANDS.index(priority))))
        for priority in (Priority.HIGH, Priority.LOW)
    ]
    return case(*whens, else_=normal)
