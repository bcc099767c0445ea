"""The doors that mail events come in by. Each answers only when what it took is durable."""

from typing import Annotated, Any

from litestar import Request, Router, post
from litestar.params import Parameter
from msgspec import Struct

from quarterdeck.access.model import Right
from quarterdeck.api.envelope import Envelope, ok
from quarterdeck.api.ingest import NDJSON, RejectedLine, read_body
from quarterdeck.reputation.mail_intake import MailIntake, headers_of

LINES = (*NDJSON, "text/csv")
MAX_LINES = 32 * 1024 * 1024
MAX_HOOK = 4 * 1024 * 1024
"""Bytes of a request, unpacked."""

Format = Annotated[
    str, Parameter(description="neutral, postfix, exim, kumomta or powermta: whose lines they are.")
]
Source = Annotated[
    str,
    Parameter(
        max_length=200,
        description="What the lines come from, such as a host: those of a message belong together.",
    ),
]


class MailEventReceipt(Struct, frozen=True):
    """How many events are stored for good. Lines about other things are passed over."""

    accepted: int
    passed_over: int
    rejected: int
    rejections: list[RejectedLine]


class HookReceipt(Struct, frozen=True):
    """How many events the request held; they are stored for good."""

    accepted: int


@post(
    "/mail-events",
    status_code=200,
    opt={"right": Right.INGEST, "stream": True},
    operation_id="SendMailEvents",
    summary="Send mail events",
)
async def send_mail_events(
    request: Request[Any, Any, Any],
    mail_intake: MailIntake,
    format: Format = "neutral",  # noqa: A002 - the parameter's name
    source: Source = "",
) -> Envelope[MailEventReceipt]:
    """Take an event a line, an array of events, or a mail server's log; plain, gzip or zstd."""
    body, _ = await read_body(request, LINES, MAX_LINES)
    # Logs repeat what others' servers say, in any encoding; one such byte must not stop the rest.
    text = body.decode(errors="replace")
    receipt = await mail_intake.take_lines(format, text, source)
    return ok(
        MailEventReceipt(
            receipt.accepted,
            receipt.passed_over,
            receipt.rejected,
            [RejectedLine(line, reason) for line, reason in receipt.rejections],
        )
    )


@post(
    "/mail-events/hooks/{provider:str}",
    status_code=200,
    opt={"tokenless": True, "stream": True},
    operation_id="TakeMailHook",
    summary="Take a provider's events",
)
async def take_mail_hook(
    request: Request[Any, Any, Any], mail_intake: MailIntake, provider: str
) -> Envelope[HookReceipt]:
    """For `ses`, `sendgrid` and `mailgun` to post to. No token: their signature is verified."""
    body, _ = await read_body(request, LINES, MAX_HOOK)
    headers = headers_of(request.scope["headers"])
    receipt = await mail_intake.take_hook(provider, headers, body)
    return ok(HookReceipt(receipt.accepted))


def router() -> Router:
    """The routes."""
    return Router(path="/", tags=["Mail events"], route_handlers=[send_mail_events, take_mail_hook])
