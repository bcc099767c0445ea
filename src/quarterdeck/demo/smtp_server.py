"""The sample platform's mail server: takes every message, and throws it away (RFC 5321).

In bad weather it is really away: the port is closed, and nobody listens.
"""

import asyncio
from collections.abc import Awaitable, Callable

NAME = "mail.quarterdeck.example"
LONGEST_LINE = 64 * 1024
DEAF_S = 60.0
"""A client that says nothing for so long is let go."""

READY = b"220 " + NAME.encode() + b" ESMTP sample server: nothing is delivered\r\n"
REPLIES = {
    b"EHLO": b"250-" + NAME.encode() + b"\r\n250-8BITMIME\r\n250 SIZE 10485760\r\n",
    b"HELO": b"250 " + NAME.encode() + b"\r\n",
    b"MAIL": b"250 2.1.0 OK\r\n",
    b"RCPT": b"250 2.1.5 OK\r\n",
    b"RSET": b"250 2.0.0 OK\r\n",
    b"NOOP": b"250 2.0.0 OK\r\n",
    b"DATA": b"354 End with a line that is a dot\r\n",
    b"QUIT": b"221 2.0.0 Bye\r\n",
}
TAKEN = b"250 2.0.0 Taken, and thrown away\r\n"
UNKNOWN = b"502 5.5.2 Not here\r\n"


class SmtpServer:
    """Listens on a port of this machine while it is `up`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()

    async def up(self) -> None:
        """Begin to listen, unless it does."""
        if self._server is None:
            self._server = await asyncio.start_server(
                self._serve, "127.0.0.1", self._port, limit=LONGEST_LINE
            )

    async def down(self) -> None:
        """Stop listening, and hang up on everybody."""
        if self._server is not None:
            self._server.close()
            self._server = None
            for client in list(self._clients):
                client.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            await _session(lambda: asyncio.wait_for(reader.readline(), DEAF_S), writer)
        except (OSError, ValueError):
            return  # it has hung up, says nothing, or says too much
        finally:
            self._clients.discard(writer)
            writer.close()


async def _session(line: Callable[[], Awaitable[bytes]], writer: asyncio.StreamWriter) -> None:
    writer.write(READY)
    while said := await line():
        verb = said[:4].upper().strip()
        writer.write(REPLIES.get(verb, UNKNOWN))
        await writer.drain()
        if verb == b"QUIT":
            return
        if verb == b"DATA":
            while (said := await line()) not in {b".\r\n", b".\n", b""}:
                pass
            writer.write(TAKEN)
            await writer.drain()
