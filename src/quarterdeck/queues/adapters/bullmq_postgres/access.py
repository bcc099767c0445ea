"""Transactions in BullMQ's schema, and what their errors mean to the operator."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, TextClause, text
from sqlalchemy.exc import ProgrammingError

from quarterdeck.core.errors import ConfigError, SourceUnavailable
from quarterdeck.queues.adapters.bullmq_postgres.options import Options
from quarterdeck.queues.ports import Toolbox

T = TypeVar("T")

READ_TIMEOUT_S = 7.0
"""A statement is stopped a little before its caller gives up."""

# BullMQ's functions set their path themselves; its tables are named without a schema here.
_ENTER = text("SELECT set_config('search_path', :path, true)")
# The planner goes by the average queue. For one of few jobs beside many it would read the table.
_ENTER_TO_READ = text(
    "SELECT set_config('search_path', :path, true), set_config('enable_seqscan', 'off', true), "
    "set_config('transaction_read_only', 'on', true)"
)
_MEANINGS = {
    "42P01": "has no tables of BullMQ that this account can see in its schema '{schema}'. Set "
    "`schema` of this source to that of BullMQ's connection, let BullMQ create it "
    "(`migrate: true`), or grant this account USAGE on it",
    "42883": "lacks functions of BullMQ 6. Let BullMQ migrate its schema '{schema}'",
    "42703": "has tables of another version of BullMQ in its schema '{schema}'",
    "42501": "refuses this account: {reason}. docs/engines.md lists what to grant it",
}
"""By SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html"""


class Access:
    """The schema of one source."""

    def __init__(self, source: str, options: Options, toolbox: Toolbox) -> None:
        if not options.url.startswith(("postgresql:", "postgres:")):
            raise ConfigError(
                f"{source}: BullMQ on PostgreSQL needs a `postgresql://` url. For BullMQ on Redis "
                "set `kind` to 'bullmq'."
            )
        self._source = source
        self._schema = options.schema
        self._database = toolbox.open_sql(options.url, source)
        quoted = options.schema.replace('"', '""')
        self._path = f'"{quoted}"'

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run a transaction that can change nothing.

        Raises:
            SourceUnavailable: it cannot be had in time, or has no such tables.
        """
        try:
            return await self._database.read(self._entered(_ENTER_TO_READ, query), READ_TIMEOUT_S)
        except ProgrammingError as error:
            raise self._explained(error) from error

    async def write(self, change: Callable[[Connection], T]) -> T:
        """Run a transaction; it is durable on return, or `SourceUnavailable` and undone."""
        try:
            return await self._database.write(self._entered(_ENTER, change))
        except ProgrammingError as error:
            raise self._explained(error) from error

    async def close(self) -> None:
        """Give connections back."""
        await self._database.close()

    def _entered(
        self, enter: TextClause, work: Callable[[Connection], T]
    ) -> Callable[[Connection], T]:
        def entered(connection: Connection) -> T:
            connection.execute(enter, {"path": self._path})
            return work(connection)

        return entered

    def _explained(self, error: ProgrammingError) -> SourceUnavailable:
        reason = str(error.orig).splitlines()[0].rsplit(">: ", 1)[-1]
        state = getattr(error.orig, "sqlstate", None) or ""
        meaning = _MEANINGS.get(state, "cannot do that: {reason}")
        message = meaning.format(schema=self._schema, reason=reason)
        return SourceUnavailable(self._source, f"The {self._source} database {message}.")
