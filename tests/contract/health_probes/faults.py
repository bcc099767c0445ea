"""Servers that are not well, each in its own way, and a way in between that can be cut."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

CHUNK = b"x" * 16384
GARBAGE = b"\x00\xff\x13garbage s3cret-pw-4711\r\n\r\n\x00\x00"
FLOOD_END = 64 * 2**20
"""A flooding server gives up after so much; a probe that reads it all has no bound."""


@dataclass
class Fault:
    """A server on loopback, and what became of those who came."""

    port: int = 0
    connections: int = 0
    sent: int = 0
    open: set[asyncio.StreamWriter] = field(default_factory=set)


Behaviour = Callable[[Fault, asyncio.StreamReader, asyncio.StreamWriter], "asyncio.Future[None]"]


async def hang(fault: Fault, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Take what comes, say nothing."""
    while await reader.read(65536):
        pass


async def garbage(_: Fault, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say what belongs to no protocol, and hang up."""
    writer.write(GARBAGE)
    await writer.drain()


async def hang_up(_: Fault, __: asyncio.StreamReader, ___: asyncio.StreamWriter) -> None:
    """Accept, and close."""


async def reset(_: Fault, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept, and break the connection off."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def flood(head: bytes) -> Callable[..., "asyncio.Future[None]"]:
    """A beginning that the protocol knows, then no end."""

    async def behave(fault: Fault, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while fault.sent < FLOOD_END:
            writer.write(CHUNK)
            await writer.drain()
            fault.sent += len(CHUNK)

    return behave  # type: ignore[return-value]


@asynccontextmanager
async def serving(
    behave: Callable[..., object], context: ssl.SSLContext | None = None
) -> AsyncIterator[Fault]:
    """A server that behaves so towards all who come."""
    fault = Fault()
    tasks: set[asyncio.Task[None]] = set()

    def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Not a coroutine: asyncio complains of its own tasks when they are cancelled.
        fault.connections += 1
        fault.open.add(writer)
        task = asyncio.create_task(take(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                await behave(fault, reader, writer)  # type: ignore[misc]
        finally:
            fault.open.discard(writer)
            writer.transport.abort() if behave is not garbage else writer.close()

    server = await asyncio.start_server(welcome, "127.0.0.1", 0, ssl=context)
    fault.port = server.sockets[0].getsockname()[1]
    try:
        yield fault
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


@dataclass
class Passage:
    """A way to a server on loopback."""

    port: int
    cuts: Callable[[], None]
    """Break off all connections that go this way."""


@asynccontextmanager
async def passage(to: int) -> AsyncIterator[Passage]:
    """A way to this port, which can be cut."""
    writers: set[asyncio.StreamWriter] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()

    async def forward(_: Fault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", to)
        writers.update({writer, back})
        try:
            await asyncio.gather(pump(reader, back), pump(there, writer))
        finally:
            back.transport.abort()
            writers.difference_update({writer, back})

    def cut() -> None:
        for writer in writers:
            writer.transport.abort()

    async with serving(forward) as fault:
        yield Passage(fault.port, cut)
