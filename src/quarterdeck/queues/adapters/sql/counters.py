"""Counts of every lane from `job_counts`: exact, at a cost free of the number of jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Table, and_, func, or_, select

from quarterdeck.queues.adapters.sql.names import BANDS, COMPLETED_IN_MINUTE, PHASES, Lane
from quarterdeck.queues.model import JobState, Provenance


@dataclass(frozen=True, slots=True)
class Counts:
    """What is known of one lane. A state that is not in `now` was not counted."""

    now: Mapping[JobState, int]
    completed_last_hour: int | None
    provenance: Provenance
    warnings: Sequence[str] = ()


NO_JOBS = Counts(dict.fromkeys(PHASES, 0), 0, Provenance.EXACT)


def read_counters(
    connection: Connection, counts: Table, now: datetime, names: Sequence[str] | None
) -> dict[Lane, Counts]:
    """Every lane that has ever had a job; `names` narrows down to some queues."""
    # The sixty minutes up to and with this one.
    since = int(now.timestamp()) // 60 - 59
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
    found: dict[Lane, dict[int, int]] = {}
    for row in connection.execute(statement):
        found.setdefault(Lane(row.queue_name, BANDS[row.band]), {})[row.metric] = int(row.n)
    return {
        lane: Counts(
            {state: numbers.get(phase, 0) for phase, state in enumerate(PHASES)},
            numbers.get(COMPLETED_IN_MINUTE, 0),
            Provenance.EXACT,
        )
        for lane, numbers in found.items()
    }
