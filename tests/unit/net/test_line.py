"""What goes through a line is counted, whatever kind of protocol a driver has."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from quarterdeck.net.guard import AddressRefused, Guard
from quarterdeck.net.line import Line


class Echo(asyncio.Protocol):
    """Gives back what it gets."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Collected(asyncio.BufferedProtocol):
    """A driver with a small buffer of its own."""

    def __init__(self) -> None:
        self.got = b""
        self.lost = asyncio.get_running_loop().create_future()
        self._room = bytearray(7)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        self.got += self._room[:nbytes]

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


async def test_streams_are_counted_and_cut_beyond_the_limit(port: int) -> None:
    line = Line(Guard(), limit=1000)
    reader, writer = await line.open_streams("127.0.0.1", port)
    assert (line.is_connected, line.is_silent) == (True, True)
    writer.write(b"x" * 600)
    assert await reader.readexactly(600) == b"x" * 600
    line.renew()
    writer.write(b"y" * 600)
    assert await reader.readexactly(600) == b"y" * 600
    assert not line.is_overrun
    writer.write(b"z" * 600)
    assert len(await reader.read()) <= 400
    assert line.is_overrun


async def test_buffered_protocol_gets_every_byte_in_order(port: int) -> None:
    line = Line(Guard())
    line.heard = bytearray()
    transport, protocol = await line.create_connection(Collected, "127.0.0.1", port)
    text = bytes(range(256)) * 4
    transport.write(text)
    async with asyncio.timeout(10):
        while len(protocol.got) < len(text):
            await asyncio.sleep(0)
    assert protocol.got == text == bytes(line.heard)
    line.cut()
    assert await protocol.lost is None


async def test_refused_host_is_not_connected_to(port: int) -> None:
    line = Line(Guard.of(["127.0.0.0/8"]))
    with pytest.raises(AddressRefused):
        await line.open_streams("127.0.0.1", port)
    assert not line.is_connected


async def test_local_socket_is_refused() -> None:
    with pytest.raises(AddressRefused):
        await Line(Guard()).create_unix_connection(Echo, "/run/server")


async def test_all_else_is_the_running_loops() -> None:
    line = Line(Guard())
    assert line.time() == pytest.approx(asyncio.get_running_loop().time(), abs=60)
    assert not hasattr(line, "start_tls")
