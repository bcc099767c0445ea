"""Asks Redis or Valkey over a connection that is kept."""

import time
from collections.abc import Mapping
from typing import Any, ClassVar

from msgspec import Struct
from redis.asyncio import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    MaxConnectionsError,
    NoPermissionError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from quarterdeck.core.errors import ConfigError
from quarterdeck.health.addresses import Place, place_of
from quarterdeck.health.model import Outcome, Reading
from quarterdeck.health.ports import Toolbox
from quarterdeck.health.probing import Misbehaved, Stage, observed, percent, present, version_of
from quarterdeck.net.line import Line
from quarterdeck.net.reasons import reason_of
from quarterdeck.net.tls import PeerContext, client_context

PORTS = {"redis": 6379, "rediss": 6379}

Info = Mapping[str, str]


class RedisOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """What a `[[health.services.probes]]` entry of kind `redis` may say."""

    url: str
    """`redis(s)://user:password@host:6379/0`."""
    kind: str = "redis"
    verify_tls: bool = True
    ca_file: str = ""


class RedisProbe:
    """OK when it answers PING. The hit rate is that of the reads between two checks."""

    Options: ClassVar[type[Struct]] = RedisOptions

    def __init__(self, options: RedisOptions, toolbox: Toolbox) -> None:
        self._toolbox = toolbox
        self._place = place_of(options.url, PORTS)
        self.target = self._place.shown
        database = self._place.path.strip("/") or "0"
        if not database.isdigit():
            raise ConfigError("url: expected the number of a database after the last slash.")
        self._database = int(database)
        self._context = (
            client_context(options.verify_tls, options.ca_file)
            if self._place.scheme == "rediss"
            else None
        )
        self._connection: _OverLine | None = None
        self._reads = _Reads()

    async def check(self) -> Reading:
        """PING, then INFO; reconnects when the connection is gone."""
        return await observed(self._steps, self._toolbox.timeout_s, "Redis")

    async def close(self) -> None:
        """Give the connection back."""
        await self._drop()

    async def _steps(self, stage: Stage) -> Reading:
        try:
            connection = await self._connected(stage)
            return await self._read(connection, stage)
        except (ResponseError, RedisConnectionError) as error:
            await self._drop()
            raise _misbehaviour(error, stage) from error
        except RedisTimeoutError:
            await self._drop()
            raise TimeoutError from None
        except BaseException:
            # What is in the middle of an answer cannot be used for the next question.
            await self._drop()
            raise

    async def _connected(self, stage: Stage) -> "_OverLine":
        kept = self._connection
        if kept is not None and kept.is_whole:
            kept.line.renew()
            stage.line = kept.line
            return kept
        await self._drop()
        line = stage.line = Line(self._toolbox.guard)
        self._connection = _OverLine(line, self._place, self._database, self._context)
        stage.waiting_for = "answer to a login"
        await self._connection.connect()  # type: ignore[no-untyped-call]
        return self._connection

    async def _read(self, connection: "_OverLine", stage: Stage) -> Reading:
        stage.waiting_for = "answer to PING"
        begun = time.perf_counter()
        if await _ask(connection, "PING") != b"PONG":
            raise Misbehaved("it answered with something that is not Redis")
        took = (time.perf_counter() - begun) * 1000
        stage.metrics["query_latency_ms"] = took
        stage.waiting_for = "answer to INFO"
        info = _info_of(await _ask(connection, "INFO"))
        stage.metrics.update(_figures(info), hit_rate_percent=self._reads.rate(info))
        role = {"master": "primary", "slave": "replica"}.get(info.get("role", ""))
        version = version_of(info.get("valkey_version") or info.get("redis_version", ""))
        facets = {
            "connection_pool_source": "server connections",
            "version": version,
            "role": role,
        }
        return Reading(Outcome.OK, None, took, stage.metrics, present(facets))

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.line.cut()
            await connection.disconnect(nowait=True)


class _OverLine(Connection):
    """One connection of the driver, without its pool, retries and timeouts."""

    def __init__(
        self, line: Line, place: Place, database: int, context: PeerContext | None
    ) -> None:
        super().__init__(
            host=place.host,
            port=place.port,
            db=database,
            username=place.user,
            password=place.password,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,
            socket_connect_timeout=None,
        )
        self.line = line
        self._place = place
        self._tls = context

    @property
    def is_whole(self) -> bool:
        """Whether it can be used for another question."""
        reader = self._reader
        return self.is_connected and reader is not None and not reader.at_eof()

    async def _connect(self) -> None:
        self._reader, self._writer = await self.line.open_streams(
            self._place.host, self._place.port, self._tls
        )


class _Reads:
    """What the counters of reads said at the last check."""

    def __init__(self) -> None:
        self._last: tuple[str, int, int] | None = None

    def rate(self, info: Info) -> float | None:
        """Percent of the reads since then that found something; None when there were none."""
        hits, misses = _whole(info, "keyspace_hits"), _whole(info, "keyspace_misses")
        last, self._last = self._last, None
        if hits is None or misses is None:
            return None
        run = info.get("run_id", "")
        self._last = (run, hits, misses)
        if last is None or last[0] != run or hits < last[1] or misses < last[2]:
            return None  # the first look, another server, or the counters were reset
        return percent(hits - last[1], hits - last[1] + misses - last[2])


async def _ask(connection: _OverLine, command: str) -> Any:
    await connection.send_command(command)
    return await connection.read_response(disable_decoding=True)


def _info_of(answer: Any) -> Info:
    if not isinstance(answer, bytes):
        raise Misbehaved("it answered with something that is not Redis")
    lines = answer.decode(errors="replace").splitlines()
    pairs = (line.partition(":") for line in lines if not line.startswith("#"))
    return {name: value for name, colon, value in pairs if colon}


def _figures(info: Info) -> dict[str, float | None]:
    used, allowed = _whole(info, "used_memory"), _whole(info, "maxmemory")
    clients, seats = _whole(info, "connected_clients"), _whole(info, "maxclients")
    return {
        "memory_used_bytes": used,
        # Without a limit of its own it may take all there is, which is not its to tell.
        "memory_used_percent": percent(used, allowed) if used is not None and allowed else None,
        "connection_pool_usage_percent": (
            percent(clients, seats) if clients is not None and seats else None
        ),
    }


def _whole(info: Info, name: str) -> int | None:
    text = info.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


_REFUSALS: tuple[tuple[type[Exception], str], ...] = (
    (AuthenticationError, "it does not accept our user or password"),
    (AuthorizationError, "it does not accept our user or password"),
    (NoPermissionError, "our user may not ask what it is asked"),
    (BusyLoadingError, "it is loading its data into memory"),
    (MaxConnectionsError, "it has no connection left"),
)


def _misbehaviour(error: Exception, stage: Stage) -> Misbehaved:
    if stage.line is not None and stage.line.is_overrun:
        return Misbehaved("it sent more than 64 KiB")
    for kind, reason in _REFUSALS:
        if isinstance(error, kind):
            return Misbehaved(reason)
    if isinstance(error, ResponseError):
        return Misbehaved(f"it refused {stage.asked}")
    return Misbehaved(reason_of(error.__cause__ or error) or "it closed the connection")
