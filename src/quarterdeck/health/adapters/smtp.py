"""Speaks with a mail server, and sends nothing: banner, EHLO, STARTTLS, NOOP, QUIT."""

import contextlib
import socket
import time
from typing import Annotated, ClassVar, Literal

from aiosmtplib import SMTP, SMTPResponseException, SMTPServerDisconnected
from msgspec import Meta, Struct

from quarterdeck.health.addresses import shown_address
from quarterdeck.health.certificates import note_end, note_refused_end
from quarterdeck.health.model import Outcome, Reading
from quarterdeck.health.ports import Toolbox
from quarterdeck.health.probing import Misbehaved, Stage, observed
from quarterdeck.net.tls import client_context

_MALFORMED = -1
_TOO_LONG = "Response too long"


class SmtpOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """What a `[[health.services.probes]]` entry of kind `smtp` may say."""

    host: str
    port: Annotated[int, Meta(ge=1, le=65535)] = 25
    kind: str = "smtp"
    tls: Literal["offered", "required", "implicit", "none"] = "offered"
    """STARTTLS when it is offered, or always; `implicit` is TLS from the start (port 465)."""
    verify_tls: bool = True
    ca_file: str = ""
    ehlo_name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9.\[\]:-]+$")] = "quarterdeck.invalid"
    """What we say our name is; some servers look it up."""


class SmtpProbe:
    """OK when the server takes us through to NOOP. It never sees AUTH or MAIL."""

    Options: ClassVar[type[Struct]] = SmtpOptions

    def __init__(self, options: SmtpOptions, toolbox: Toolbox) -> None:
        self._options = options
        self._toolbox = toolbox
        self.target = shown_address(options.host, options.port)
        self._context = client_context(options.verify_tls, options.ca_file)

    async def check(self) -> Reading:
        """Hold one conversation."""
        return await observed(self._steps, self._toolbox.timeout_s, "SMTP")

    async def close(self) -> None:
        """Nothing stays open."""

    async def _steps(self, stage: Stage) -> Reading:
        options = self._options
        self._context.forget()
        begun = time.perf_counter()
        sock = await self._toolbox.guard.connect(options.host, options.port)
        client = SMTP(
            hostname=options.host,
            sock=sock,
            local_hostname=options.ehlo_name,
            use_tls=options.tls == "implicit",
            start_tls=False,
            tls_context=self._context,
            timeout=None,
        )
        try:
            await self._talk(client, stage)
            took = (time.perf_counter() - begun) * 1000
            stage.waiting_for = "answer to QUIT"
            with contextlib.suppress(SMTPResponseException, SMTPServerDisconnected):
                await client.quit()
        except SMTPResponseException as error:
            raise _misbehaviour(error, stage) from None
        except Exception as error:
            if options.tls == "implicit":
                await note_refused_end(stage, self._toolbox, error, options.host, options.port)
            raise
        finally:
            client.close()
            # A server that has gone silent would keep us waiting for its end of TLS.
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        return Reading(Outcome.OK, latency_ms=took, metrics=stage.metrics)

    async def _talk(self, client: SMTP, stage: Stage) -> None:
        wanted = self._options.tls
        stage.waiting_for = "SMTP banner"
        await client.connect()
        stage.waiting_for = "answer to EHLO"
        await client.ehlo()
        if wanted == "required" and not client.supports_extension("starttls"):
            raise Misbehaved("it does not offer STARTTLS")
        if wanted in {"offered", "required"} and client.supports_extension("starttls"):
            stage.waiting_for = "end of STARTTLS"
            await client.starttls()
            stage.waiting_for = "answer to EHLO after STARTTLS"
            await client.ehlo()
        note_end(stage, self._toolbox, self._context.certificate_ends_at())
        stage.waiting_for = "answer to NOOP"
        await client.noop()


def _misbehaviour(error: SMTPResponseException, stage: Stage) -> Misbehaved:
    if error.message.startswith(_TOO_LONG):
        return Misbehaved("it sent more than an answer of SMTP may hold")
    if error.code == _MALFORMED:
        return Misbehaved("it answered with something that is not SMTP")
    if stage.waiting_for == "SMTP banner":
        return Misbehaved(f"its SMTP banner is {error.code}, expected 220")
    return Misbehaved(f"answered {error.code} to {stage.asked}")
