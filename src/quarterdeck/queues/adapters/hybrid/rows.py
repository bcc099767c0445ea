"""The few questions and changes that the SQL engine has no verb for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    MetaData,
    Table,
    and_,
    case,
    delete,
    func,
    inspect,
    literal,
    literal_column,
    select,
)
from sqlalchemy.exc import IntegrityError, NoSuchTableError, ProgrammingError

from quarterdeck.core.errors import Conflict, SourceUnavailable
from quarterdeck.queues.adapters.hybrid.keys import Band
from quarterdeck.queues.adapters.hybrid.options import Options
from quarterdeck.queues.model import Priority
from quarterdeck.queues.ports import SqlDatabase

T = TypeVar("T")
BULK_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class WaitingRows:
    """Rows of a band that wait, by where."""

    queued: int
    migrated: int


class JobRows:
    """The jobs table of a source. Every method raises `SourceUnavailable`."""

    def __init__(self, database: SqlDatabase, options: Options) -> None:
        self._database = database
        self._options = options
        self._columns = options.columns.get("jobs", {})
        self._tables: tuple[Table, Table | None] | None = None
        self._looking = asyncio.Lock()

    async def count_waiting(self, band: Band | None = None) -> dict[Band, WaitingRows]:
        """How many rows wait in either store, by band; of one band, or of all.

        Both numbers are of one moment: the difference of two reads would be off by the jobs that
        started in between. The price is that of all waiting rows, however many have finished,
        where the table has the `phase` of our migration or an index on its status.
        """

        def count(connection: Connection, jobs: Table) -> dict[Band, WaitingRows]:
            queue, priority = self._column(jobs, "queue_name"), self._priority(jobs)
            in_redis = self._column(jobs, "status") == self._options.migrated_status
            migrated = func.count().filter(in_redis)
            statement = (
                select(queue, priority, func.count(), migrated)
                .where(self._is_waiting(jobs))
                .group_by(queue, priority)
            )
            if band is not None:
                statement = statement.where(queue == band.name, priority == band.priority.value)
            rows = connection.execute(statement)
            return {
                Band(name, Priority(of)): WaitingRows(total - moved, moved)
                for name, of, total, moved in rows
            }

        return await self._read(count)

    async def list_failed(self, band: Band) -> list[str]:
        """Ids of all failed jobs of a band; 100 bytes of memory each."""
        failed = self._options.statuses.get("failed", ["failed"])

        def ids(connection: Connection, jobs: Table) -> list[str]:
            statement = select(self._column(jobs, "id")).where(
                self._column(jobs, "queue_name") == band.name,
                self._priority(jobs) == band.priority.value,
                self._column(jobs, "status").in_(failed),
            )
            return [str(job_id) for job_id in connection.execute(statement).scalars()]

        return await self._read(ids, BULK_TIMEOUT_S)

    async def find_known(self, job_ids: Collection[str], *, migrated: bool = False) -> set[str]:
        """Which of these jobs have a row, or one that says it waits in Redis."""

        def known(connection: Connection, jobs: Table) -> set[str]:
            column = self._column(jobs, "id")
            statement = select(column).where(column.in_(_native_ids(column, job_ids)))
            if migrated:
                statement = statement.where(
                    self._column(jobs, "status") == self._options.migrated_status
                )
            return {str(job_id) for job_id in connection.execute(statement).scalars()}

        return await self._read(known)

    async def remove(self, job_id: str, status: str) -> bool:
        """Delete a job and its logs if it still has this status; False: it has not."""

        def change(connection: Connection, jobs: Table, logs: Table | None) -> bool:
            column = self._column(jobs, "id")
            is_it = column.in_(_native_ids(column, [job_id]))
            still = and_(is_it, self._column(jobs, "status") == status)
            found = connection.execute(select(column).where(still).with_for_update()).scalar()
            if found is None:
                return False
            if logs is not None:
                name = self._options.columns.get("logs", {}).get("job_id", "job_id")
                connection.execute(delete(logs).where(logs.c[name] == found))
            connection.execute(delete(jobs).where(is_it))
            return True

        async with self._explained():
            jobs, logs = await self._known_tables()
            return await self._database.write(lambda connection: change(connection, jobs, logs))

    async def close(self) -> None:
        """Give the connections back."""
        await self._database.close()

    async def _read(self, query: Callable[[Connection, Table], T], timeout_s: float = 10.0) -> T:
        async with self._explained():
            jobs, _ = await self._known_tables()
            return await self._database.read(lambda connection: query(connection, jobs), timeout_s)

    @asynccontextmanager
    async def _explained(self) -> AsyncIterator[None]:
        name = self._options.name
        try:
            yield
        except IntegrityError as error:
            raise Conflict(f"The {name} database refuses this change: {_reason(error)}.") from error
        except (ProgrammingError, NoSuchTableError, KeyError) as error:
            self._tables = None
            raise SourceUnavailable(
                name,
                f"The {name} database: {_reason(error)}. Check `tables` and `columns` of this "
                "source's settings, and what its account may do.",
            ) from error

    async def _known_tables(self) -> tuple[Table, Table | None]:
        """The tables as they are: an id may be text, a number or a uuid, a status an enum."""
        # A look takes a dozen queries: a crowd of first callers must not take it all at once.
        async with self._looking:
            if self._tables is None:
                self._tables = await self._database.read(self._look)
            return self._tables

    def _look(self, connection: Connection) -> tuple[Table, Table | None]:
        names, schema = self._options.tables, self._options.schema
        jobs = _find_table(connection, names.get("jobs", "jobs"), schema)
        if jobs is None:
            raise NoSuchTableError(names.get("jobs", "jobs"))
        return jobs, _find_table(connection, names.get("logs", "job_logs"), schema)

    def _column(self, jobs: Table, name: str) -> ColumnElement[Any]:
        return jobs.c[self._columns.get(name, name)]

    def _priority(self, jobs: Table) -> ColumnElement[str]:
        number = jobs.c.get(self._columns.get("priority", "priority") or "priority")
        if number is None:
            return literal(Priority.NORMAL.value)
        return case(
            (number <= literal_column("50"), literal_column("'high'")),
            (number > literal_column("150"), literal_column("'low'")),
            else_=literal_column("'normal'"),
        )

    def _is_waiting(self, jobs: Table) -> ColumnElement[bool]:
        if "phase" in jobs.c and self._options.counters != "none":
            # Written out, not bound: only then may the index over waiting rows serve.
            return jobs.c.phase == literal_column("0")
        migrated = self._options.migrated_status
        waiting = self._options.statuses.get("waiting", ["queued", migrated])
        return self._column(jobs, "status").in_(waiting)


def _find_table(connection: Connection, name: str, schema: str) -> Table | None:
    if not name or not inspect(connection).has_table(name, schema=schema or None):
        return None
    return Table(
        name, MetaData(), schema=schema or None, autoload_with=connection, resolve_fks=False
    )


def _native_ids(column: ColumnElement[Any], job_ids: Iterable[str]) -> list[Any]:
    """The ids as the column wants them, without those that it cannot hold."""
    to_native = column.type.python_type
    found = []
    for job_id in job_ids:
        with suppress(ValueError):
            found.append(to_native(job_id))
    return found


def _reason(error: Exception) -> str:
    if isinstance(error, NoSuchTableError | KeyError):
        return f"there is no table or column {error}"
    return str(getattr(error, "orig", error)).splitlines()[0].rsplit(">: ", 1)[-1]
