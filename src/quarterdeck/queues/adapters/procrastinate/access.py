"""Transactions in Procrastinate's schema, and what their errors mean to the operator."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from quarterdeck.core.errors import ConfigError, Conflict, SourceUnavailable
from quarterdeck.queues.adapters.procrastinate.options import Options
from quarterdeck.queues.ports import Toolbox

T = TypeVar("T")

READ_TIMEOUT_S = 7.0
"""A statement is stopped a little before its caller gives up."""

_MEANINGS = {
    "42P01": "has no tables of Procrastinate. Create them with `procrastinate schema --apply`, or "
    "set `schema` of this source to the one that holds them",
    "42883": "lacks functions of Procrastinate 3.4. Apply its newer migrations",
    "42703": "has tables of another version of Procrastinate. Version 3.4 or later is needed",
    "42501": "does not let this account use Procrastinate's tables. Grant it SELECT, UPDATE and "
    "DELETE on procrastinate_jobs, and SELECT and INSERT on procrastinate_events",
}
"""By SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html"""


class Access:
    """The database of one source."""

    def __init__(self, source: str, options: Options, toolbox: Toolbox) -> None:
        self._source = source
        self._database = toolbox.open_sql(options.url, source)
        if self._database.dialect != "postgresql":
            raise ConfigError(f"{source}: Procrastinate needs a `postgresql://` url.")
        quoted = options.schema.replace('"', '""')
        # Procrastinate's functions name its tables without a schema, so the path must lead there.
        self._path = f'"{quoted}"' if options.schema else None

    async def read(self, query: Callable[[Connection], T], timeout_s: float = READ_TIMEOUT_S) -> T:
        """Run a read transaction.

        Raises:
            SourceUnavailable: it cannot be had in time, or has no such tables.
        """
        try:
            return await self._database.read(self._in_schema(query), timeout_s)
        except ProgrammingError as error:
            raise self._explained(error) from error

    async def write(self, change: Callable[[Connection], T]) -> T:
        """Run a write transaction; it is durable on return.

        Raises:
            SourceUnavailable: as above.
            Conflict: a constraint forbids it; nothing was changed.
        """
        try:
            return await self._database.write(self._in_schema(change))
        except IntegrityError as error:
            reason = str(error.orig).splitlines()[0].rsplit(">: ", 1)[-1]
            raise Conflict(f"The {self._source} database refuses this change: {reason}.") from error
        except ProgrammingError as error:
            raise self._explained(error) from error

    async def close(self) -> None:
        """Give connections back."""
        await self._database.close()

    def _in_schema(self, work: Callable[[Connection], T]) -> Callable[[Connection], T]:
        if self._path is None:
            return work

        def placed(connection: Connection) -> T:
            statement = text("SELECT set_config('search_path', :path, true)")
            connection.execute(statement, {"path": self._path})
            return work(connection)

        return placed

    def _explained(self, error: ProgrammingError) -> SourceUnavailable:
        meaning = _MEANINGS.get(getattr(error.orig, "sqlstate", None) or "")
        if meaning is None:
            meaning = "cannot be read: " + str(error.orig).splitlines()[0].rsplit(">: ", 1)[-1]
        return SourceUnavailable(self._source, f"The {self._source} database {meaning}.")
