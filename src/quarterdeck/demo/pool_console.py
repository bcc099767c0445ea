"""The console of the sample platform's connection pooler.

It speaks as much of PostgreSQL's protocol 3 as a client needs that asks a PgBouncer console for its
pools: start-up without a password, and the simple query.
"""

import asyncio
import struct
from collections.abc import Callable, Mapping, Sequence

from quarterdeck.demo.weather import POOL_SIZE, Weather

SSL_REQUEST = 80877103
LONGEST = 64 * 1024
DATABASE = "platform"

Row = Mapping[str, object]


class PoolConsole:
    """Listens on a port of this machine, and answers from the weather."""

    def __init__(self, port: int, weather: Callable[[], Weather]) -> None:
        self._port = port
        self._weather = weather

    async def open(self) -> asyncio.Server:
        """Begin to listen."""
        return await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._talk(reader, writer)
        except (OSError, EOFError, ValueError, struct.error):
            return  # it has hung up, or does not speak the protocol
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while _number(await _message(reader)) == SSL_REQUEST:
            writer.write(b"N")
        writer.write(_frame(b"R", struct.pack("!i", 0)))
        writer.write(_frame(b"S", b"server_version\x001.24.0/sample\x00"))
        writer.write(_READY)
        while True:
            kind = await reader.readexactly(1)
            body = await _message(reader)
            if kind == b"X":
                return
            if kind == b"Q":
                writer.write(self._answer(body.rstrip(b"\x00").decode().strip(" ;").upper()))
                await writer.drain()

    def _answer(self, sql: str) -> bytes:
        weather = self._weather()
        rows: Sequence[Row]
        if sql == "SHOW POOLS":
            rows = [
                {
                    "database": DATABASE,
                    "user": "platform",
                    "cl_active": weather.connections_used,
                    "cl_waiting": weather.clients_waiting,
                    "sv_active": weather.connections_used,
                    "sv_idle": POOL_SIZE - weather.connections_used,
                }
            ]
        elif sql == "SHOW DATABASES":
            rows = [{"name": DATABASE, "database": DATABASE, "pool_size": POOL_SIZE}]
        else:
            return _UNKNOWN + _READY
        parts = [_frame(b"T", _described(rows[0]))]
        parts += [_frame(b"D", _values(row)) for row in rows]
        return b"".join([*parts, _frame(b"C", b"SHOW\x00"), _READY])


async def _message(reader: asyncio.StreamReader) -> bytes:
    """What follows a length, which counts itself."""
    (length,) = struct.unpack("!i", await reader.readexactly(4))
    if not 4 <= length <= LONGEST:
        raise ValueError(length)
    return await reader.readexactly(length - 4)


def _number(body: bytes) -> int:
    (number,) = struct.unpack_from("!i", body)
    return int(number)


def _frame(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def _described(row: Row) -> bytes:
    text = 25  # the type's number
    columns = [
        name.encode() + b"\x00" + struct.pack("!ihihih", 0, 0, text, -1, -1, 0) for name in row
    ]
    return struct.pack("!h", len(columns)) + b"".join(columns)


def _values(row: Row) -> bytes:
    texts = [str(value).encode() for value in row.values()]
    return struct.pack("!h", len(texts)) + b"".join(
        struct.pack("!i", len(text)) + text for text in texts
    )


_READY = _frame(b"Z", b"I")
_UNKNOWN = _frame(b"E", b"SERROR\x00C42601\x00MThis console knows SHOW POOLS.\x00\x00")
