"""Syslog over TCP and TLS: while lines wait to be delivered nothing is read; so senders wait."""

import asyncio
import logging
import ssl
from typing import Any

from quarterdeck.logs.adapters.syslog.delivery import Delivery
from quarterdeck.logs.adapters.syslog.framing import Splitter
from quarterdeck.logs.adapters.syslog.options import SyslogOptions

log = logging.getLogger("quarterdeck.logs")

READ_AHEAD = 256 * 1024
"""Bytes of one connection that may wait; asyncio adds one read of at most as many."""

HANDSHAKE_S = 10.0


class Streams:
    """Serves connections."""

    def __init__(self, delivery: Delivery, options: SyslogOptions) -> None:
        self.delivery = delivery
        self.options = options
        self.connections: set[Connection] = set()
        self._servers: list[asyncio.Server] = []

    async def listen(self, host: str, port: int, context: ssl.SSLContext | None = None) -> int:
        """Listen, with TLS if there is a context; the port, also where 0 asked for any."""
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self),
            host,
            port,
            ssl=context,
            ssl_handshake_timeout=HANDSHAKE_S if context else None,
        )
        self._servers.append(server)
        bound: int = server.sockets[0].getsockname()[1]
        return bound

    async def close(self, grace_s: float) -> None:
        """Accept and read nothing more, deliver what was read."""
        for server in self._servers:
            server.close()
        tasks = [connection.stop() for connection in self.connections]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        for server in self._servers:
            await server.wait_closed()


class Connection(asyncio.Protocol):
    """One connection. (A `StreamReader` would throw away what it has when the peer resets.)"""

    _transport: asyncio.Transport
    _task: asyncio.Task[None]

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._delivery = streams.delivery
        self._chunks = bytearray()
        self._ended = False
        self._refused = False
        self._changed = asyncio.Event()
        self._peer = ""

    def connection_made(self, transport: Any) -> None:
        """Serve it, unless there are too many."""
        self._transport = transport
        if len(self._streams.connections) >= self._streams.options.max_connections:
            self._refused = True
            self._delivery.stats.refused += 1
            transport.abort()
            return
        self._peer = str((transport.get_extra_info("peername") or ("",))[0])
        self._streams.connections.add(self)
        self._delivery.stats.connections += 1
        self._task = asyncio.get_running_loop().create_task(self._run(), name="syslog-connection")

    def data_received(self, data: bytes) -> None:
        """Keep it until there is time; then a little more, then no more."""
        if self._refused:
            return
        self._chunks += data
        if len(self._chunks) >= READ_AHEAD:
            self._transport.pause_reading()
        self._changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come; what came is still delivered."""
        if exc is not None:
            log.info("syslog connection of %s broke: %s", self._peer, exc)
        self._ended = True
        self._changed.set()

    def stop(self) -> asyncio.Task[None]:
        """Read nothing more; the task ends when all is delivered."""
        self._transport.abort()
        return self._task

    async def _run(self) -> None:
        try:
            await self._read()
        except Exception:
            log.exception("syslog connection of %s failed", self._peer)
        finally:
            self._transport.abort()
            self._streams.connections.discard(self)
            self._delivery.stats.connections -= 1

    async def _read(self) -> None:
        splitter = Splitter()
        while await self._has_more():
            data = bytes(self._chunks)
            self._chunks.clear()
            await self._delivery.take(splitter.feed(data), self._peer)
            if not self._ended:
                self._transport.resume_reading()
        await self._delivery.take(splitter.end(), self._peer)

    async def _has_more(self) -> bool:
        while not self._chunks and not self._ended:
            self._changed.clear()
            try:
                async with asyncio.timeout(self._streams.options.idle_s):
                    await self._changed.wait()
            except TimeoutError:
                log.info("syslog connection of %s was silent too long and is closed", self._peer)
                return False
        return bool(self._chunks)
