"""Asks PostgreSQL, or the console of PgBouncer, over a connection that is kept."""

import time
from typing import Any, ClassVar

import asyncpg
from msgspec import Struct

from quarterdeck.health.adapters.postgres.pooler import fullest_pool, show
from quarterdeck.health.addresses import place_of
from quarterdeck.health.model import Outcome, Reading
from quarterdeck.health.ports import Toolbox
from quarterdeck.health.probing import Misbehaved, Stage, observed, percent, present, version_of
from quarterdeck.net.line import Line

PORTS = {"postgres": 5432, "postgresql": 5432}

# An ordinary role sees of others' sessions only whose they are, not of what kind.
_USAGE = """
    SELECT count(*) FILTER (
             WHERE datid IS NOT NULL AND usesysid IS NOT NULL
               AND coalesce(backend_type, 'client backend') = 'client backend') AS used,
           current_setting('max_connections')::int AS allowed,
           current_setting('server_version') AS version,
           pg_is_in_recovery() AS is_standby
      FROM pg_stat_activity
"""


class PostgresOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """What a `[[health.services.probes]]` entry of kind `postgres` may say."""

    url: str
    """`postgresql://user:password@host:5432/database?sslmode=verify-full`."""
    kind: str = "postgres"
    pgbouncer: bool = False
    """The URL is of PgBouncer's console: database `pgbouncer`, a user of `stats_users`."""


class PostgresProbe:
    """OK when it answers a query. Connections used are the server's, or a pooler's of its pool."""

    Options: ClassVar[type[Struct]] = PostgresOptions

    def __init__(self, options: PostgresOptions, toolbox: Toolbox) -> None:
        self._options = options
        self._toolbox = toolbox
        self.target = place_of(options.url, PORTS).shown
        self._kept: tuple[Any, Line] | None = None

    async def check(self) -> Reading:
        """One query for the time, one for the figures; reconnects when the connection is gone."""
        speaks = "PgBouncer" if self._options.pgbouncer else "PostgreSQL"
        return await observed(self._steps, self._toolbox.timeout_s, speaks)

    async def close(self) -> None:
        """Give the connection back."""
        self._drop()

    async def _steps(self, stage: Stage) -> Reading:
        try:
            connection, line = await self._connected(stage)
            if self._options.pgbouncer:
                return await _read_pooler(connection, line, stage)
            return await _read_server(connection, stage)
        except asyncpg.PostgresError as error:
            self._drop()
            raise _misbehaviour(error, stage) from None
        except BaseException:
            # What is in the middle of an answer cannot be used for the next question.
            self._drop()
            raise

    async def _connected(self, stage: Stage) -> tuple[Any, Line]:
        if self._kept is not None and not self._kept[0].is_closed():
            stage.line = self._kept[1]
            stage.line.renew()
            return self._kept
        self._drop()
        stage.waiting_for = "answer to a login"
        line = stage.line = Line(self._toolbox.guard)
        try:
            connection = await asyncpg.connect(
                self._options.url, loop=line, timeout=None, statement_cache_size=0
            )
        except asyncpg.ClientConfigurationError:
            raise Misbehaved("its URL has parameters that cannot be used") from None
        except BaseException:
            line.cut()
            raise
        self._kept = connection, line
        return self._kept

    def _drop(self) -> None:
        if self._kept is not None:
            connection, line = self._kept
            self._kept = None
            connection.terminate()
            line.cut()


async def _read_server(connection: Any, stage: Stage) -> Reading:
    stage.waiting_for = "answer to SELECT 1"
    begun = time.perf_counter()
    await connection.execute("SELECT 1")
    took = (time.perf_counter() - begun) * 1000
    stage.metrics["query_latency_ms"] = took
    stage.waiting_for = "answer to a question on its connections"
    row = await connection.fetchrow(_USAGE)
    stage.metrics["connection_pool_usage_percent"] = percent(row["used"], row["allowed"])
    facets = {
        "connection_pool_source": "server connections",
        "version": version_of(row["version"]),
        "role": "standby" if row["is_standby"] else "primary",
    }
    return Reading(Outcome.OK, None, took, stage.metrics, present(facets))


async def _read_pooler(connection: Any, line: Line, stage: Stage) -> Reading:
    stage.waiting_for = "answer to SHOW POOLS"
    begun = time.perf_counter()
    pools = await show(connection, line, "SHOW POOLS")
    took = (time.perf_counter() - begun) * 1000
    stage.metrics["query_latency_ms"] = took
    stage.waiting_for = "answer to SHOW DATABASES"
    databases = await show(connection, line, "SHOW DATABASES")
    usage, waiting = fullest_pool(pools, databases)
    stage.metrics["connection_pool_usage_percent"] = usage
    stage.metrics["clients_waiting"] = waiting
    facets = {"connection_pool_source": "PgBouncer, its fullest pool"}
    return Reading(Outcome.OK, None, took, stage.metrics, facets)


def _misbehaviour(error: asyncpg.PostgresError, stage: Stage) -> Misbehaved:
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        return Misbehaved("it does not accept our user or password")
    if isinstance(error, asyncpg.TooManyConnectionsError):
        return Misbehaved("it has no connection left (SQLSTATE 53300)")
    if isinstance(error, asyncpg.CannotConnectNowError):
        return Misbehaved("it is starting up or shutting down (SQLSTATE 57P03)")
    state = error.sqlstate if isinstance(error.sqlstate, str) and error.sqlstate.isalnum() else ""
    number = f" (SQLSTATE {state[:5]})" if state else ""
    return Misbehaved(f"it refused {stage.asked}{number}")
