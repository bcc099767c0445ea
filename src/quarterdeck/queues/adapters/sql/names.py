"""Public names of queues and the bands of priorities behind them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, literal_column, or_, true

from quarterdeck.core.text import is_storable
from quarterdeck.queues.adapters.sql.tables import JobTables
from quarterdeck.queues.model import JobState, Priority, QueueRef

PREFIX = "queue:"
BANDS = (Priority.HIGH, Priority.NORMAL, Priority.LOW)
"""A band's place here is its number in `jobs.band`."""
SUFFIXES = {Priority.HIGH: ":high", Priority.NORMAL: "", Priority.LOW: ":low"}
PHASES = (JobState.WAITING, JobState.ACTIVE, JobState.COMPLETED, JobState.FAILED)
"""A state's place here is its number in `jobs.phase` and `job_counts.metric`."""
COMPLETED_IN_MINUTE = 4
FAILED_IN_MINUTE = 5


@dataclass(frozen=True, slots=True)
class Lane:
    """One band of one queue: what the API calls a queue."""

    queue: str
    priority: Priority

    @property
    def band(self) -> int:
        """Its number in the tables."""
        return BANDS.index(self.priority)

    def ref(self, source: str) -> QueueRef:
        """Its public form."""
        return QueueRef(source, f"{PREFIX}{self.queue}{SUFFIXES[self.priority]}", self.priority)


def lane_of(ref: QueueRef) -> Lane:
    """The inverse of `Lane.ref`."""
    name = ref.name.removeprefix(PREFIX).removesuffix(SUFFIXES[ref.priority])
    return Lane(name, ref.priority)


def lanes_named(name: str) -> Sequence[Lane]:
    """What a public name can mean, the likelier first; empty: it is no name of ours."""
    if not name.startswith(PREFIX) or not is_storable(name):
        return ()
    bare = name.removeprefix(PREFIX)
    bands = [
        Lane(bare.removesuffix(suffix), priority)
        for priority, suffix in SUFFIXES.items()
        if suffix and bare.endswith(suffix)
    ]
    return [*bands, Lane(bare, Priority.NORMAL)]


def in_lane(tables: JobTables, lane: Lane) -> ColumnElement[bool]:
    """Whether a job is in this lane."""
    return and_(tables.jobs.c.queue_name == lane.queue, in_band(tables, lane.priority))


def in_band(tables: JobTables, priority: Priority) -> ColumnElement[bool]:
    """Whether a job is in this band, whatever its queue."""
    jobs = tables.jobs
    if tables.counts is not None:
        return jobs.c.band == literal_column(str(BANDS.index(priority)))
    if not tables.has_bands:
        return true() if priority is Priority.NORMAL else literal_column("1") == 0
    number = jobs.c.priority
    if priority is Priority.HIGH:
        return number <= literal_column("50")
    if priority is Priority.LOW:
        return number > literal_column("150")
    middle = number.between(literal_column("51"), literal_column("150"))
    return or_(middle, number.is_(None))


def in_states(tables: JobTables, *states: JobState) -> ColumnElement[bool]:
    """Whether a job is in one of these states."""
    if tables.counts is not None and len(states) == len(PHASES):
        return true()
    if tables.counts is not None and len(states) == 1:
        # Written out, not bound: only then may an index that covers one phase serve.
        return tables.jobs.c.phase == literal_column(str(PHASES.index(states[0])))
    values = [value for state in states for value in tables.statuses[state]]
    return tables.jobs.c.status.in_(values)
