"""Counts of every lane from `job_counts`: exact, at a cost free of the number of jobs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    func,
    literal_column,
    or_,
    select,
    union_all,
)

from quarterdeck.queues.adapters.sql.names import BANDS, COMPLETED_IN_MINUTE, PHASES, Lane
from quarterdeck.queues.model import JobState, Provenance

_Sums = dict[Lane, dict[int, int]]
"""Of each lane the sum of each metric that it has ever had."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What is known of one lane. A state that is not in `now` was not counted."""

    now: Mapping[JobState, int]
    completed_last_hour: int | None
    provenance: Provenance
    warnings: Sequence[str] = ()


NO_JOBS = Counts(dict.fromkeys(PHASES, 0), 0, Provenance.EXACT)


def read_counters(
    connection: Connection,
    queues: Table,
    counts: Table,
    now: datetime,
    names: Sequence[str] | None,
) -> dict[Lane, Counts]:
    """Every lane that has ever had a job; `names` narrows down to some queues."""
    # The sixty minutes up to and with this one.
    since = int(now.timestamp()) // 60 - 59
    if connection.dialect.name == "sqlite":
        sums = _seek(connection, queues, counts, since, names)
    else:
        sums = _sum_up(connection, counts, since, names)
    return {
        lane: Counts(
            {state: numbers.get(phase, 0) for phase, state in enumerate(PHASES)},
            numbers.get(COMPLETED_IN_MINUTE, 0),
            Provenance.EXACT,
        )
        for lane, numbers in sums.items()
    }


def _sum_up(
    connection: Connection, counts: Table, since: int, names: Sequence[str] | None
) -> _Sums:
    """One pass over all counters: on PostgreSQL they are a view, which is best read as a whole."""
    statement = (
        select(counts.c.queue_name, counts.c.band, counts.c.metric, func.sum(counts.c.n).label("n"))
        .where(
            or_(
                and_(counts.c.metric < COMPLETED_IN_MINUTE, counts.c.minute == 0),
                and_(counts.c.metric == COMPLETED_IN_MINUTE, counts.c.minute >= since),
            )
        )
        .group_by(counts.c.queue_name, counts.c.band, counts.c.metric)
    )
    if names is not None:
        statement = statement.where(counts.c.queue_name.in_(names))
    found: _Sums = {}
    for row in connection.execute(statement):
        found.setdefault(Lane(row.queue_name, BANDS[row.band]), {})[row.metric] = int(row.n)
    return found


def _seek(
    connection: Connection,
    queues: Table,
    counts: Table,
    since: int,
    names: Sequence[str] | None,
) -> _Sums:
    """A probe of the primary key for each number: on SQLite a third of the cost of a pass."""
    bands = union_all(*(_band(number) for number in range(len(BANDS)))).subquery("bands")

    def total(metric: int, *more: ColumnElement[bool]) -> ColumnElement[Any]:
        probe = select(func.sum(counts.c.n)).where(
            counts.c.queue_name == queues.c.name,
            counts.c.band == bands.c.band,
            counts.c.metric == literal_column(str(metric)),
            *more,
        )
        return probe.correlate(queues, bands).scalar_subquery().label(str(metric))

    metrics = range(len(PHASES))
    statement = select(
        queues.c.name.label("name"),
        bands.c.band.label("band"),
        *(total(metric, counts.c.minute == literal_column("0")) for metric in metrics),
        total(COMPLETED_IN_MINUTE, counts.c.minute >= since),
    )
    # Every queue with every band: a product is what is meant.
    statement = statement.join_from(queues, bands, literal_column("1") == literal_column("1"))
    if names is not None:
        statement = statement.where(queues.c.name.in_(names))
    return {
        Lane(name, BANDS[band]): sums
        for name, band, *numbers in connection.execute(statement)
        if (sums := _known(numbers))
    }


def _band(number: int) -> Select[tuple[int]]:
    return select(literal_column(str(number)).label("band"))


def _known(numbers: Iterable[int | None]) -> dict[int, int]:
    return {metric: number for metric, number in enumerate(numbers) if number is not None}
