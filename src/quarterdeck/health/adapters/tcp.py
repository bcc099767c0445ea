"""Connects to a port; sends and expects a text when asked to."""

import time
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from quarterdeck.health.addresses import shown_address
from quarterdeck.health.certificates import note_end, note_refused_end
from quarterdeck.health.model import Outcome, Reading
from quarterdeck.health.ports import Toolbox
from quarterdeck.health.probing import Misbehaved, Stage, observed
from quarterdeck.net.line import Line
from quarterdeck.net.tls import client_context


class TcpOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """What a `[[health.services.probes]]` entry of kind `tcp` may say."""

    host: str
    port: Annotated[int, Meta(ge=1, le=65535)]
    kind: str = "tcp"
    body: str = ""
    """Sent first, as UTF-8."""
    expect: str = ""
    """Must be among the first 64 KiB that come, as UTF-8."""
    tls: bool = False
    verify_tls: bool = True
    ca_file: str = ""


class TcpProbe:
    """OK when the port accepts, and what is expected comes."""

    Options: ClassVar[type[Struct]] = TcpOptions

    def __init__(self, options: TcpOptions, toolbox: Toolbox) -> None:
        self._options = options
        self._toolbox = toolbox
        self.target = shown_address(options.host, options.port)
        self._context = client_context(options.verify_tls, options.ca_file) if options.tls else None

    async def check(self) -> Reading:
        """Connect, talk if there is something to say, hang up."""
        return await observed(self._steps, self._toolbox.timeout_s, "what was expected")

    async def close(self) -> None:
        """Nothing stays open."""

    async def _steps(self, stage: Stage) -> Reading:
        line = Line(self._toolbox.guard)
        begun = time.perf_counter()
        try:
            await self._talk(line, stage)
        except Exception as error:
            options = self._options
            await note_refused_end(stage, self._toolbox, error, options.host, options.port)
            raise
        finally:
            line.cut()
        took = (time.perf_counter() - begun) * 1000
        return Reading(Outcome.OK, latency_ms=took, metrics=stage.metrics)

    async def _talk(self, line: Line, stage: Stage) -> None:
        options = self._options
        reader, writer = await line.open_streams(options.host, options.port, self._context)
        if self._context is not None:
            note_end(stage, self._toolbox, self._context.certificate_ends_at())
        if options.body:
            writer.write(options.body.encode())
            stage.waiting_for = "readiness to take what is sent"
            await writer.drain()
        stage.waiting_for = "expected text"
        expected, heard = options.expect.encode(), b""
        while expected not in heard:
            data = await reader.read(4096)
            heard += data
            if line.is_overrun:
                raise Misbehaved("the expected text is not in the first 64 KiB that it sent")
            if not data:
                raise Misbehaved("it closed the connection without the expected text")
