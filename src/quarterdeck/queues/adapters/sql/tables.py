"""The tables as an engine uses them: under our own column names, with types that fit."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, SmallInteger, Table, Text, Uuid
from sqlalchemy.types import TypeDecorator, TypeEngine

from quarterdeck.core.text import is_storable
from quarterdeck.queues.model import JobState


class Moment(TypeDecorator[datetime]):
    """An aware UTC datetime in whatever the column is; without a zone it is UTC.

    SQLite keeps text. What is no time there reads as None: one odd row never breaks a page.
    """

    impl = DateTime
    cache_ok = True

    def __init__(self, aware: bool) -> None:
        super().__init__()
        self.aware = aware

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Text on SQLite, a timestamp with or without zone on PostgreSQL."""
        kind = Text() if dialect.name == "sqlite" else DateTime(timezone=self.aware)
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """UTC, in the column's own form."""
        if value is None:
            return None
        naive = value.astimezone(UTC).replace(tzinfo=None)
        if dialect.name == "sqlite":
            return naive.isoformat(sep=" ", timespec="microseconds")
        return value.astimezone(UTC) if self.aware else naive

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Aware UTC, or None for what is no time."""
        try:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        except (TypeError, ValueError):
            return None
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class JobTables:
    """The tables of one source. Columns that do not exist are not in `.c`."""

    queues: Table
    jobs: Table
    logs: Table | None
    pauses: Table | None
    counts: Table | None
    """Only with the generated columns `band` and `phase` in `jobs`, which carry its indexes."""
    statuses: Mapping[JobState, tuple[str, ...]]

    @property
    def has_bands(self) -> bool:
        """Whether jobs have priorities; without, there is only the normal band."""
        return "priority" in self.jobs.c

    def state_of(self, status: object) -> JobState | None:
        """The state that a status means; None: one that was not mapped."""
        for state, values in self.statuses.items():
            if status in values:
                return state
        return None

    def native_id(self, job_id: str) -> Any | None:
        """The id as the column wants it; None when no row can have it."""
        kind = self.jobs.c.id.type
        if isinstance(kind, Uuid):
            try:
                return UUID(job_id)
            except ValueError:
                return None
        if isinstance(kind, Integer):
            return _integer(job_id, kind)
        return job_id if is_storable(job_id) else None


def _integer(text: str, kind: Integer) -> int | None:
    if not re.fullmatch(r"0|-?[1-9][0-9]{0,18}", text):
        return None
    bits = 63 if isinstance(kind, BigInteger) else 15 if isinstance(kind, SmallInteger) else 31
    number = int(text)
    return number if -(2**bits) <= number < 2**bits else None
