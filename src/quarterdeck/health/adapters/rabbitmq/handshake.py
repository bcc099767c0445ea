"""The way into RabbitMQ as a client goes it (AMQP 0-9-1), as far as the open virtual host.

pamqp reads and writes the frames. The clients above it keep tasks, retries and heartbeats of their
own, which a connection of some milliseconds has no use for.
"""

import asyncio
import struct
import time
from typing import Protocol, TypeVar, cast
from urllib.parse import unquote

from pamqp import commands, frame, header
from pamqp.common import FieldValue
from pamqp.exceptions import PAMQPException

from quarterdeck.health.addresses import place_of
from quarterdeck.health.certificates import note_end, note_refused_end
from quarterdeck.health.ports import Toolbox
from quarterdeck.health.probing import Misbehaved, Stage, version_of
from quarterdeck.net.line import Line
from quarterdeck.net.tls import client_context

PORTS = {"amqp": 5672, "amqps": 5671}

_HEAD = struct.Struct("!BHI")
_CAPABILITIES = {"authentication_failure_close": True}
"""So that a refused login is said to be one."""

F = TypeVar("F")


class AmqpSettings(Protocol):
    """What of the probe's options is needed here."""

    @property
    def url(self) -> str: ...  # noqa: D102 - as in the options
    @property
    def verify_tls(self) -> bool: ...  # noqa: D102
    @property
    def ca_file(self) -> str: ...  # noqa: D102


class AmqpDoor:
    """Logs in and out, over a connection of its own each time."""

    def __init__(self, options: AmqpSettings, toolbox: Toolbox) -> None:
        self._toolbox = toolbox
        self._place = place_of(options.url, PORTS)
        self.shown = self._place.shown
        path = unquote(self._place.path.removeprefix("/"))
        self._vhost = path or "/"
        self._context = (
            client_context(options.verify_tls, options.ca_file)
            if self._place.scheme == "amqps"
            else None
        )

    async def enter(self, stage: Stage) -> tuple[float, str | None]:
        """Milliseconds until the virtual host was open, and the server's version.

        Raises:
            Misbehaved: it lets us not in, or does not speak AMQP.
            OSError, EOFError: the connection.
        """
        line = stage.line = Line(self._toolbox.guard)
        place = self._place
        begun = time.perf_counter()
        try:
            reader, writer = await line.open_streams(place.host, place.port, self._context)
            if self._context is not None:
                note_end(stage, self._toolbox, self._context.certificate_ends_at())
            version = await self._login(reader, writer, stage)
            took = (time.perf_counter() - begun) * 1000
            stage.waiting_for = "answer to a goodbye"
            _send(writer, commands.Connection.Close(200, "bye", 0, 0))
            await _expect(reader, commands.Connection.CloseOk)
        except Exception as error:
            await note_refused_end(stage, self._toolbox, error, place.host, place.port)
            raise
        finally:
            line.cut()
        return took, version

    async def _login(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stage: Stage
    ) -> str | None:
        stage.waiting_for = "AMQP greeting"
        writer.write(header.ProtocolHeader(0, 9, 1).marshal())
        start = await _expect(reader, commands.Connection.Start)
        stage.waiting_for = "answer to a login"
        secret = f"\0{self._place.user or 'guest'}\0{self._place.password or 'guest'}"
        properties: dict[str, FieldValue] = {
            "product": "quarterdeck",
            "capabilities": dict(_CAPABILITIES),
        }
        _send(writer, commands.Connection.StartOk(properties, "PLAIN", secret))
        tune = await _expect(reader, commands.Connection.Tune)
        _send(writer, commands.Connection.TuneOk(tune.channel_max, tune.frame_max, 0))
        stage.waiting_for = "access to the virtual host"
        _send(writer, commands.Connection.Open(self._vhost))
        await _expect(reader, commands.Connection.OpenOk)
        return version_of((start.server_properties or {}).get("version", ""))


def _send(writer: asyncio.StreamWriter, method: frame.FrameTypes) -> None:
    # Some hundred bytes in all: they need no drain.
    writer.write(frame.marshal(method, 0))


async def _expect(reader: asyncio.StreamReader, kind: type[F]) -> F:
    """The next frame, if it is the one that must come next."""
    while True:
        method = await _next(reader)
        if isinstance(method, kind):
            return method
        if isinstance(method, commands.Connection.Close):
            raise _refusal(method)


async def _next(reader: asyncio.StreamReader) -> object:
    head = await reader.readexactly(_HEAD.size)
    if head.startswith(b"AMQP"):
        raise Misbehaved("it speaks another version of AMQP than 0-9-1")
    kind, channel, size = _HEAD.unpack(head)
    if kind not in {1, 2, 3, 8} or channel != 0:
        raise Misbehaved("it answered with something that is not RabbitMQ")
    rest = await reader.readexactly(size + 1)
    try:
        return cast(object, frame.unmarshal(head + rest)[2])
    except (PAMQPException, struct.error, ValueError, LookupError):
        raise Misbehaved("it answered with something that is not RabbitMQ") from None


def _refusal(method: commands.Connection.Close) -> Misbehaved:
    code = method.reply_code
    if code == 403:
        return Misbehaved("it does not accept our user or password")
    if code == 530:
        return Misbehaved("its virtual host does not let us in (530)")
    if code == 320:
        return Misbehaved("an operator closes its connections (320)")
    return Misbehaved(f"it closed the connection with its error {code}")
