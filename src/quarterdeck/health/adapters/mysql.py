"""Asks MySQL or MariaDB over a connection that is kept."""

import time
from typing import Any, ClassVar, Literal

from asyncmy import errors
from asyncmy.connection import Connection
from msgspec import Struct

from quarterdeck.health.addresses import place_of
from quarterdeck.health.model import Outcome, Reading
from quarterdeck.health.ports import Toolbox
from quarterdeck.health.probing import Misbehaved, Stage, observed, percent, present, version_of
from quarterdeck.net.line import Line
from quarterdeck.net.reasons import reason_of
from quarterdeck.net.tls import client_context

PORTS = {"mysql": 3306, "mariadb": 3306}

_ACCESS_DENIED = {1044, 1045, 1698}
_TOO_MANY = {1040, 1203, 1226}


class MysqlOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """What a `[[health.services.probes]]` entry of kind `mysql` may say."""

    url: str
    """`mysql://user:password@host:3306/database`."""
    kind: str = "mysql"
    tls: Literal["none", "required"] = "none"
    verify_tls: bool = True
    ca_file: str = ""


class MysqlProbe:
    """OK when it answers a query. Any user may ask for what is asked here."""

    Options: ClassVar[type[Struct]] = MysqlOptions

    def __init__(self, options: MysqlOptions, toolbox: Toolbox) -> None:
        self._toolbox = toolbox
        self._place = place_of(options.url, PORTS)
        self.target = self._place.shown
        self._context = (
            client_context(options.verify_tls, options.ca_file)
            if options.tls == "required"
            else None
        )
        self._kept: tuple[Any, Line] | None = None

    async def check(self) -> Reading:
        """One query for the time, two for the figures; reconnects when the connection is gone."""
        return await observed(self._steps, self._toolbox.timeout_s, "MySQL")

    async def close(self) -> None:
        """Give the connection back."""
        self._drop()

    async def _steps(self, stage: Stage) -> Reading:
        try:
            connection = await self._connected(stage)
            return await _read(connection, stage)
        except errors.MySQLError as error:
            self._drop()
            raise _misbehaviour(error, stage) from error
        except BaseException:
            # What is in the middle of an answer cannot be used for the next question.
            self._drop()
            raise

    async def _connected(self, stage: Stage) -> Any:
        connection: Any
        if self._kept is not None and not self._kept[0]._stream_broken:
            connection, stage.line = self._kept
            stage.line.renew()
            return connection
        self._drop()
        place = self._place
        connection = Connection(  # type: ignore[no-untyped-call]
            host=place.host,
            port=place.port,
            user=place.user or "",
            password=place.password or "",
            database=place.path.strip("/") or None,
            ssl=self._context,
        )
        stage.line = Line(self._toolbox.guard)
        # It has no parameter for this, and takes the running loop.
        connection._loop = stage.line
        # Ours is around all of it, and until Python 3.12 `wait_for` may swallow a cancellation.
        connection._connect_timeout = None
        self._kept = connection, stage.line
        stage.waiting_for = "answer to a login"
        await connection.connect()
        return connection

    def _drop(self) -> None:
        if self._kept is not None:
            connection, line = self._kept
            self._kept = None
            connection.close()
            line.cut()


async def _read(connection: Any, stage: Stage) -> Reading:
    stage.waiting_for = "answer to SELECT 1"
    begun = time.perf_counter()
    await _row(connection, "SELECT 1")
    took = (time.perf_counter() - begun) * 1000
    stage.metrics["query_latency_ms"] = took
    stage.waiting_for = "answer to a question on its connections"
    allowed, version = await _row(connection, "SELECT @@max_connections, VERSION()")
    _, used = await _row(connection, "SHOW GLOBAL STATUS LIKE 'Threads_connected'")
    stage.metrics["connection_pool_usage_percent"] = percent(int(used), int(allowed))
    facets = {
        "connection_pool_source": "server connections",
        "version": version_of(version),
    }
    return Reading(Outcome.OK, None, took, stage.metrics, present(facets))


async def _row(connection: Any, sql: str) -> tuple[Any, ...]:
    async with connection.cursor() as cursor:
        await cursor.execute(sql)
        row: tuple[Any, ...] = await cursor.fetchone()
        return row


def _misbehaviour(error: errors.MySQLError, stage: Stage) -> Misbehaved:
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    if stage.line is not None and stage.line.is_overrun:
        return Misbehaved("it sent more than 64 KiB")
    if number in _ACCESS_DENIED:
        return Misbehaved("it does not accept our user or password")
    if number in _TOO_MANY:
        return Misbehaved(f"it has no connection left (error {number})")
    if 2000 <= number < 3000 or number == 0:  # the driver's own: it lost the connection
        return Misbehaved(reason_of(error) or "it closed the connection")
    return Misbehaved(f"it refused {stage.asked} (error {number})")
