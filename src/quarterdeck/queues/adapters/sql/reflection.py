"""Looks the tables up in the database, once, and says what is missing and which setting to change.

Types tell how to bind values: an id may be text, an integer or a uuid, a status an enum, a time
with or without zone.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, structs
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Date,
    DateTime,
    Enum,
    Inspector,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    inspect,
)
from sqlalchemy.types import TypeEngine

from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.queues.adapters.sql.options import (
    REQUIRED_JOB_COLUMNS,
    Columns,
    Options,
)
from quarterdeck.queues.adapters.sql.tables import JobTables, Moment
from quarterdeck.queues.model import JobState

_TIMES = frozenset(
    {
        "run_at", "created_at", "updated_at", "started_at", "completed_at", "failed_at",
        "finished_at", "lease_until", "paused_at",
    }
)  # fmt: skip
_LOG_COLUMNS = ("job_id", "status", "attempt_number", "started_at")
_COUNT_COLUMNS = ("queue_name", "band", "metric", "minute", "n")
_PAUSE_COLUMNS = ("queue_name", "band", "paused_at")
_DEFAULTS = Columns()
_DEFAULT_TABLES = structs.asdict(Options(name="", url="").tables)


def reflect(connection: Connection, options: Options) -> JobTables:
    """The tables of this source.

    Raises:
        SourceUnavailable: a table or column is missing or of a type that does not fit.
    """
    return _Reflection(connection, options).tables()


class _Reflection:
    """One look at the database."""

    def __init__(self, connection: Connection, options: Options) -> None:
        self._options = options
        self._inspector: Inspector = inspect(connection)
        self._sqlite = connection.dialect.name == "sqlite"
        self._metadata = MetaData()

    def tables(self) -> JobTables:
        """Everything that is mapped and there."""
        given = self._options.columns
        jobs = self._table("jobs", given.jobs, REQUIRED_JOB_COLUMNS, extra=("band", "phase"))
        queues = self._table("queues", given.queues, ("name",))
        if jobs is None or queues is None:
            missing = "jobs" if jobs is None else "queues"
            raise self._wrong(f"there is no {missing} table", f"tables.{missing}")
        counts = self._counts(jobs)
        return JobTables(
            queues=queues,
            jobs=jobs,
            logs=self._table("logs", given.logs, _LOG_COLUMNS),
            pauses=self._plain("pauses", _PAUSE_COLUMNS),
            counts=counts,
            statuses=self._statuses(jobs),
        )

    def _counts(self, jobs: Table) -> Table | None:
        wanted = self._options.counters
        if wanted == "none":
            return None
        counts = self._plain("counts", _COUNT_COLUMNS)
        if counts is not None and "band" in jobs.c and "phase" in jobs.c:
            return counts
        if wanted == "job_counts":
            raise self._wrong(
                "there are no counters (job_counts, jobs.band, jobs.phase)", "counters"
            )
        return None

    def _statuses(self, jobs: Table) -> Mapping[JobState, tuple[str, ...]]:
        """The mapped values; of an enum only those that it has, for others cannot be compared."""
        mapped: dict[JobState, tuple[str, ...]] = {
            state: getattr(self._options.statuses, state) for state in JobState
        }
        kind = jobs.c.status.type
        if isinstance(kind, Enum):
            mapped = {
                state: tuple(value for value in values if value in kind.enums)
                for state, values in mapped.items()
            }
        for state, values in mapped.items():
            if not values:
                raise self._wrong(f"no value of jobs.status means '{state}'", f"statuses.{state}")
        return mapped

    def _plain(self, role: str, names: tuple[str, ...]) -> Table | None:
        """One of our own tables, whose columns cannot be renamed; None unless it is all there."""
        actual = self._actual_columns(role)
        if actual is None or not set(names) <= set(actual):
            return None
        return self._build(role, {name: name for name in names}, actual)

    def _table(
        self, role: str, columns: Struct, required: tuple[str, ...], extra: tuple[str, ...] = ()
    ) -> Table | None:
        actual = self._actual_columns(role)
        if actual is None:
            return None
        names = {**structs.asdict(columns), **{name: name for name in extra}}
        defaults = structs.asdict(getattr(_DEFAULTS, role))
        for name in [name for name, column in names.items() if column not in actual]:
            column = names.pop(name)
            was_given = column and name in defaults and column != defaults[name]
            if name in required or was_given:
                table = getattr(self._options.tables, role)
                raise self._wrong(
                    f"the table '{table}' has no column '{column or name}'",
                    f"columns.{role}.{name}",
                )
        return self._build(role, names, actual)

    def _actual_columns(self, role: str) -> dict[str, TypeEngine[Any]] | None:
        name = getattr(self._options.tables, role)
        schema = self._options.schema or None
        if not name:
            return None
        if not self._inspector.has_table(name, schema=schema):
            if role in {"jobs", "queues"} or name != _DEFAULT_TABLES.get(role):
                raise self._wrong(f"there is no table '{name}'", f"tables.{role}")
            return None
        found = self._inspector.get_columns(name, schema=schema)
        return {column["name"]: column["type"] for column in found}

    def _build(
        self, role: str, names: Mapping[str, str], actual: Mapping[str, TypeEngine[Any]]
    ) -> Table:
        columns = [
            Column(column, self._fitting(role, name, actual[column]), key=name)
            for name, column in names.items()
        ]
        name = getattr(self._options.tables, role)
        return Table(name, self._metadata, *columns, schema=self._options.schema or None)

    def _fitting(self, role: str, name: str, kind: TypeEngine[Any]) -> TypeEngine[Any]:
        """The type to bind and read with, from the one that was declared."""
        if name in _TIMES:
            if isinstance(kind, DateTime) or (
                self._sqlite and not isinstance(kind, Integer | LargeBinary | Date)
            ):
                return Moment(bool(getattr(kind, "timezone", False)))
            raise self._wrong(
                f"'{name}' of {role} is of type {kind}, but times must be timestamps",
                f"columns.{role}.{name}",
            )
        if (role, name) not in {("jobs", "id"), ("logs", "job_id")}:
            return kind
        if self._sqlite and not isinstance(kind, LargeBinary):
            return BigInteger() if isinstance(kind, Integer) else Text()
        if isinstance(kind, Integer | Uuid | String):
            return kind
        raise self._wrong(
            f"'{name}' of {role} is of type {kind}, but job ids must be text, integers or uuids",
            f"columns.{role}.{name}",
        )

    def _wrong(self, what: str, setting: str) -> SourceUnavailable:
        name = self._options.name
        return SourceUnavailable(
            name, f"The {name} database: {what}. Correct `{setting}` of this source's settings."
        )
