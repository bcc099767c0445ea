"""Counts of every lane from `job_counts`: exact, at a cost free of the number of jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Table, and_, case, func, or_, select

from quarterdeck.queues.adapters.sql.names import (
    BANDS,
    COMPLETED_IN_MINUTE,
    FAILED_IN_MINUTE,
    PHASES,
    Lane,
)
from quarterdeck.queues.model import JobState, Provenance


@dataclass(frozen=True, slots=True)
class Counts:
    """What is known of one lane. A state that is not in `now` was not counted."""

    now: Mapping[JobState, int]
    completed_last_hour: int | None
    provenance: Provenance
    completed_last_minute: int | None = None
    failed_last_minute: int | None = None
    warnings: Sequence[str] = ()


NO_JOBS = Counts(dict.fromkeys(PHASES, 0), 0, Provenance.EXACT, 0, 0)


def read_counters(
    connection: Connection, counts: Table, now: datetime, names: Sequence[str] | None
) -> dict[Lane, Counts]:
    """Every lane that has ever had a job; `names` narrows down to some queues."""
    # The sixty minutes up to and with this one; the last of them that is full.
    this = int(now.timestamp()) // 60
    in_last_minute = case((counts.c.minute == this - 1, counts.c.n), else_=0)
    statement = (
        select(
            counts.c.queue_name,
            counts.c.band,
            counts.c.metric,
            func.sum(counts.c.n).label("n"),
            func.sum(in_last_minute).label("last"),
        )
        .where(
            or_(
                and_(counts.c.metric < COMPLETED_IN_MINUTE, counts.c.minute == 0),
                and_(counts.c.metric == COMPLETED_IN_MINUTE, counts.c.minute >= this - 59),
                and_(counts.c.metric == FAILED_IN_MINUTE, counts.c.minute == this - 1),
            )
        )
        .group_by(counts.c.queue_name, counts.c.band, counts.c.metric)
    )
    if names is not None:
        statement = statement.where(counts.c.queue_name.in_(names))
    found: dict[Lane, dict[int, tuple[int, int]]] = {}
    for row in connection.execute(statement):
        lane = Lane(row.queue_name, BANDS[row.band])
        found.setdefault(lane, {})[row.metric] = int(row.n), int(row.last)
    return {lane: _counts(numbers) for lane, numbers in found.items()}


def _counts(numbers: Mapping[int, tuple[int, int]]) -> Counts:
    """`numbers` has the sum of each metric, and what of it is of the last full minute."""
    none = (0, 0)
    hour, minute = numbers.get(COMPLETED_IN_MINUTE, none)
    return Counts(
        {state: numbers.get(phase, none)[0] for phase, state in enumerate(PHASES)},
        hour,
        Provenance.EXACT,
        minute,
        numbers.get(FAILED_IN_MINUTE, none)[1],
    )
