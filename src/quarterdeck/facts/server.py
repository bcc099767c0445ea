"""Facts on a ClickHouse server, through clickhouse-connect over HTTP."""

import asyncio
import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from aiohttp import ClientError

from quarterdeck.core.errors import ConfigError, SourceUnavailable
from quarterdeck.facts.binding import driver_params
from quarterdeck.facts.failure import closed, insert_failure, query_failure, unreachable
from quarterdeck.facts.ports import NO_PARAMS, USUAL, Insert, Limits, Param
from quarterdeck.facts.rows import decode_rows
from quarterdeck.facts.statements import LINES, inserting, name, parted, quoted, reading

T = TypeVar("T")

CONNECT_TIMEOUT_S = 5
SILENCE_S = 120
"""A server that sends nothing for so long is gone."""
GRACE_S = 10
"""How much longer than its limit we wait for a query: the server's own answer is better."""
CONNECTIONS = 32
KILL_TRIES = 20
KILL_AGAIN_S = 0.05
TAIL_BYTES = 16_384

_EXCEPTION = re.compile(
    rb"\r\n__exception__\r\n(\w{16})\r\n(.*)\r\n\d+ \1\r\n__exception__\r\n\Z", re.DOTALL
)
"""How a server ends an answer that failed after its beginning was sent."""


class ServerFacts:
    """A ClickHouse server. See `Facts` for what the methods do.

    The URL is `http(s)://user:password@host:port/database`. Nothing is connected before the
    first call; a server that went away is found again by the next one.

    Raises:
        ConfigError: the URL is of another form, or the driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self._parts = _checked(url)
        self._driver = _driver()
        self._client: Any = None
        self._opening = asyncio.Lock()
        self._inserting = asyncio.Lock()
        self._kills: set[asyncio.Task[None]] = set()
        self._closed = False

    async def fetch(
        self,
        sql: str,
        row: type[T],
        params: Mapping[str, Param] = NO_PARAMS,
        limits: Limits = USUAL,
    ) -> list[T]:
        """See `Facts.fetch`."""
        values, settings = driver_params(params), _settings(reading(limits))
        async with self._query(settings["log_comment"], limits) as client:
            async with asyncio.timeout(limits.seconds + GRACE_S):
                lines = await client.raw_query(sql, values, settings, fmt="JSONEachRow")
        return decode_rows(lines, row)

    async def execute(self, sql: str, params: Mapping[str, Param] = NO_PARAMS) -> None:
        """See `Facts.execute`."""
        settings = _settings({"session_timezone": "UTC"})
        async with self._query(settings["log_comment"], None) as client:
            await client.command(sql, driver_params(params), settings=settings)

    async def stream(
        self,
        sql: str,
        form: str,
        params: Mapping[str, Param] = NO_PARAMS,
        limits: Limits = USUAL,
    ) -> AsyncGenerator[bytes]:
        """See `Facts.stream`."""
        parted(form)
        values, settings = driver_params(params), _settings(reading(limits))
        tail = b""
        async with self._query(settings["log_comment"], limits) as client:
            try:
                async with await client.raw_stream(sql, values, settings, form) as pieces:
                    async for piece in pieces:
                        tail = (tail + piece)[-TAIL_BYTES:]
                        yield piece
            except ClientError as error:
                raise _broken(tail, limits) or unreachable() from error
        if failure := _broken(tail, limits):
            raise failure

    async def insert(self, insert: Insert) -> None:
        """See `Facts.insert`."""

        async def pieces() -> AsyncIterator[bytes]:
            for piece in insert.rows:
                yield piece

        if not insert.count:
            return  # a server calls this an error
        async with self._inserting:
            client = await self._connected()
            try:
                await client.raw_insert(
                    name(insert.table),
                    list(insert.columns),
                    pieces(),
                    inserting(insert),
                    LINES,
                )
            except self._driver.Error as error:
                raise _insert_failure(error, insert) from error

    async def close(self) -> None:
        """See `Facts.close`."""
        self._closed = True
        await asyncio.gather(*self._kills)
        if self._client is not None:
            await self._client.close()

    @asynccontextmanager
    async def _query(self, query_id: str, limits: Limits | None) -> AsyncIterator[Any]:
        """A client for one query, which is killed when nobody waits for it any more."""
        client = await self._connected()
        try:
            yield client
        except (asyncio.CancelledError, GeneratorExit):
            self._kill(query_id)
            raise
        except TimeoutError as error:
            self._kill(query_id)
            raise unreachable() from error
        except self._driver.Error as error:
            raise _query_failure(error, limits) from error

    def _kill(self, query_id: str) -> None:
        if not self._closed:
            task = asyncio.create_task(self._kill_until_found(query_id))
            self._kills.add(task)
            task.add_done_callback(self._kills.discard)

    async def _kill_until_found(self, query_id: str) -> None:
        """Kill it; again when the server did not know it yet. It may also have ended."""
        sql = f"KILL QUERY WHERE Settings['log_comment'] = {quoted(query_id)} ASYNC"
        for _ in range(KILL_TRIES):
            try:
                if await self._client.raw_query(sql, fmt="JSONEachRow"):
                    return
            except self._driver.Error:
                return  # the query's own time limit still holds
            await asyncio.sleep(KILL_AGAIN_S)

    async def _connected(self) -> Any:
        if self._closed:
            raise closed()
        async with self._opening:
            if self._client is None:
                try:
                    self._client = await _connect(self._parts)
                except self._driver.Error as error:
                    raise _query_failure(error, None) from error
        return self._client


def _settings(settings: Mapping[str, str | int | float]) -> dict[str, Any]:
    """Settings of one query, with the id by which it can be killed."""
    return {**settings, "log_comment": secrets.token_hex(8)}


def _checked(url: str) -> SplitResult:
    parts = urlsplit(url)
    try:
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(
            "facts.url: expected http(s)://user:password@host:port/database, the HTTP interface "
            "of a ClickHouse server."
        )
    return parts


def _driver() -> Any:
    try:
        from clickhouse_connect.driver import exceptions  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise ConfigError(
            "facts.url names a ClickHouse server, which needs a driver. "
            "Run: pip install 'quarterdeck[clickhouse]'"
        ) from error
    return exceptions


async def _connect(parts: SplitResult) -> Any:
    from clickhouse_connect import get_async_client  # noqa: PLC0415 - an optional extra

    return await get_async_client(
        interface=parts.scheme,
        host=parts.hostname,
        port=parts.port,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password or ""),
        database=unquote(parts.path.strip("/")) or None,
        compress=False,  # streams are handed on as they come
        connect_timeout=CONNECT_TIMEOUT_S,
        send_receive_timeout=SILENCE_S,
        connector_limit=CONNECTIONS,
        connector_limit_per_host=CONNECTIONS,
        show_clickhouse_errors=True,
    )


def _broken(tail: bytes, limits: Limits) -> SourceUnavailable | None:
    found = _EXCEPTION.search(tail)
    return query_failure(found.group(2).decode(errors="replace"), limits) if found else None


def _text(error: Any) -> str | None:
    """What the server said; None when it said nothing."""
    return f"Code: {error.code}. {error}" if error.code else None


def _query_failure(error: Any, limits: Limits | None) -> SourceUnavailable:
    text = _text(error)
    return query_failure(text, limits) if text else unreachable()


def _insert_failure(error: Any, insert: Insert) -> SourceUnavailable:
    text = _text(error)
    return insert_failure(text, insert) if text else unreachable()
