"""Queues and their counts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    ScalarSelect,
    and_,
    case,
    func,
    literal_column,
    or_,
    select,
    true,
)

from quarterdeck.core.pagination import TotalKind
from quarterdeck.queues.adapters.sql.names import (
    BANDS,
    COMPLETED_IN_MINUTE,
    PHASES,
    Lane,
    in_band,
    in_lane,
    in_states,
)
from quarterdeck.queues.adapters.sql.tables import JobTables
from quarterdeck.queues.model import JobState, Priority, Provenance, QueueStats

COUNT_LIMIT = 10_000
"""Where there are no counters, counting stops here."""
_SHOWN = (JobState.WAITING, JobState.ACTIVE, JobState.FAILED)


@dataclass(frozen=True, slots=True)
class _Queue:
    """A row of the queues table, with what only an index look-up per band can tell."""

    name: str
    is_active: bool
    oldest: Mapping[Priority, datetime | None]
    counts: Mapping[tuple[Priority, JobState], int]


def read_lanes(
    connection: Connection, tables: JobTables, now: datetime, names: Sequence[str] | None = None
) -> dict[Lane, QueueStats]:
    """All lanes that have ever had jobs or are paused, or all three of the named queues."""
    queues = _read_queues(connection, tables, names)
    paused = _read_pauses(connection, tables, names)
    found: dict[Lane, QueueStats] = {}
    recent = _Recent(connection, tables, now, names)
    for queue in queues:
        for priority in BANDS if tables.has_bands else (Priority.NORMAL,):
            lane = Lane(queue.name, priority)
            is_paused = not queue.is_active or lane in paused
            is_listed = (
                names is not None
                or priority is Priority.NORMAL
                or recent.knows(queue, lane)
                or is_paused
            )
            if is_listed:
                found[lane] = recent.stats(queue, lane, is_paused)
    return found
