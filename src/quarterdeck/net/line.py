"""A driver's way out: what it connects goes through the guard, what it receives is counted.

Drivers hold answers in memory until they are whole, and some protocols let a server announce two
gigabytes. They all ask the event loop for connections, though. So they are given this in its place.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar, cast

from quarterdeck.net.guard import AddressRefused, Guard

LIMIT = 64 * 1024
"""Bytes that one check may receive."""

P = TypeVar("P", bound=asyncio.BaseProtocol)


class Line:
    """An event loop whose connections are checked and counted; all else is the running loop's.

    One for each connection that a probe makes.
    """

    def __init__(self, guard: Guard, limit: int = LIMIT) -> None:
        self._guard = guard
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._transports: list[asyncio.Transport] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._received = 0
        self._has_connected = False
        self.heard: bytearray | None = None
        """What comes in is kept here, too, when there is something here."""

    def __getattr__(self, name: str) -> Any:
        if name == "start_tls":
            # It would put a protocol of its own below ours. Drivers that find none begin TLS with
            # a new connection over the same socket, which comes by here.
            raise AttributeError(name)
        return getattr(self._loop, name)

    @property
    def is_overrun(self) -> bool:
        """Whether more came than was allowed; the connection is gone then."""
        return self._received > self._limit

    @property
    def is_connected(self) -> bool:
        """Whether a connection was made, even if it is gone by now."""
        return self._has_connected

    @property
    def is_silent(self) -> bool:
        """Whether nothing has come since `renew`."""
        return self._received == 0

    def renew(self) -> None:
        """Begin to count anew: another check."""
        self._received = 0

    async def create_connection(
        self,
        factory: Callable[[], P],
        host: str | None = None,
        port: int | None = None,
        **options: Any,
    ) -> tuple[asyncio.Transport, P]:
        """As the loop's; to a host and port, or over a socket that was connected before.

        Raises:
            AddressRefused: the host may not be reached.
            OSError: nobody answers there, or TLS fails.
        """
        if "sock" not in options:
            options["sock"] = await self._guard.connect(str(host), int(port or 0))
            if options.get("ssl"):
                options.setdefault("server_hostname", host)
        self._has_connected = True
        protocol = factory()
        try:
            transport, _ = await self._loop.create_connection(
                lambda: _Meter(protocol, self._take), **options
            )
        except BaseException:
            # The loop closes it; a peer that hangs in its handshake must not make it wait.
            with suppress(OSError):
                options["sock"].shutdown(socket.SHUT_RDWR)
            raise
        self._transports.append(transport)
        return transport, protocol

    async def create_unix_connection(self, *_: object, **__: object) -> None:
        """Drivers make one of a host that is a path.

        Raises:
            AddressRefused: always; it would lead past the guard and the counter.
        """
        raise AddressRefused("connections to local sockets are not allowed")

    async def open_streams(
        self, host: str, port: int, context: ssl.SSLContext | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """As `asyncio.open_connection`.

        Raises:
            AddressRefused: the host may not be reached.
            OSError: nobody answers there, or TLS fails.
        """
        reader = asyncio.StreamReader(limit=self._limit)
        transport, protocol = await self.create_connection(
            lambda: asyncio.StreamReaderProtocol(reader), host, port, ssl=context
        )
        writer = asyncio.StreamWriter(transport, protocol, reader, self._loop)
        # One that is thrown away before its transport is closed complains.
        self._writers.append(writer)
        return reader, writer

    def cut(self) -> None:
        """Give all its connections up, at once and whatever they are doing."""
        for transport in self._transports:
            transport.abort()
        self._transports.clear()
        self._writers.clear()

    def _take(self, data: bytes) -> bool:
        self._received += len(data)
        if self.is_overrun:
            self.cut()
            return False
        if self.heard is not None:
            self.heard += data
        return True


class _Meter(asyncio.Protocol):
    """Stands before a driver's protocol, and passes on what may pass."""

    def __init__(self, inner: asyncio.BaseProtocol, take: Callable[[bytes], bool]) -> None:
        # What a protocol must have depends on its kind; the drivers' are not all typed.
        self._inner = cast(Any, inner)
        self._take = take

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def eof_received(self) -> bool | None:
        found: bool | None = self._inner.eof_received()
        return found

    def data_received(self, data: bytes) -> None:
        if not self._take(data):
            return
        if not isinstance(self._inner, asyncio.BufferedProtocol):
            self._inner.data_received(data)
            return
        while data:
            room = memoryview(self._inner.get_buffer(len(data)))
            size = min(len(room), len(data))
            room[:size] = data[:size]
            self._inner.buffer_updated(size)
            data = data[size:]
