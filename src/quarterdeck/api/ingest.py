"""The doors that lines come in by. Each answers only when what it took is durable."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, cast

from litestar import Request, Response, Router, post, route
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from quarterdeck.access.model import Right
from quarterdeck.api.asgi import Receive, Scope
from quarterdeck.api.context import header
from quarterdeck.api.envelope import Envelope, ok
from quarterdeck.api.errors import HttpError
from quarterdeck.api.incoming import pieces, whole
from quarterdeck.core.errors import Detail, InvalidRequest, NotFound, QuarterdeckError
from quarterdeck.logs.intake import Receipt
from quarterdeck.logs.ports import Answer, Dialect, Greeter
from quarterdeck.logs.service import LogService

Incoming = Request[Any, Any, Any]
INGEST = {"right": Right.INGEST, "stream": True}

MAX_WHOLE = 32 * 1024 * 1024
"""Bytes of a request, unpacked, that must be read as a whole: JSON arrays, protobuf, bulk."""

NDJSON = (
    "application/x-ndjson", "application/ndjson", "application/jsonl", "application/json",
    "text/plain", "application/octet-stream", "application/x-www-form-urlencoded",
)  # fmt: skip
"""The last one is what curl's `--data-binary` says when nobody tells it otherwise."""


DEEPEST = 4
"""Segments of the path of what is asked before."""

BLANK = b" \t\r\n"
NAMED = 100
SHOWN = 20
"""Rejected lines that an error names."""


class RejectedLine(Struct, frozen=True):
    """A line that was not taken; `line` counts from 1."""

    line: int
    reason: str


class IngestReceipt(Struct, frozen=True):
    """How many lines are stored for good; of those not taken the first 100 are named."""

    accepted: int
    rejected: int
    rejections: list[RejectedLine]


@post("/logs", status_code=200, opt=INGEST, operation_id="IngestLogs", summary="Send log lines")
async def ingest_logs(request: Incoming, logs: LogService) -> Envelope[IngestReceipt]:
    """Take NDJSON or a JSON array, plain, gzip or zstd. Answered when all of it is durable."""
    _require_type(request, NDJSON)
    body = _body(request)
    first = await _beginning(body)
    if first.lstrip(BLANK)[:1] == b"[":
        rest = await whole(body, MAX_WHOLE)
        reading, _ = await logs.take("ndjson", first + rest, "application/json")
        receipt = Receipt(len(reading.lines), len(reading.rejections), reading.rejections)
    else:
        receipt = await _lines(logs, first, body)
    return ok(_shown(receipt))


def protocols(dialects: Mapping[str, Dialect]) -> Router:
    """What other programs speak, at the paths where they look for it."""
    handlers: list[HTTPRouteHandler] = []
    for kind, dialect in dialects.items():
        if dialect.paths:
            handlers.append(_door(kind, dialect))
        if isinstance(dialect, Greeter):
            handlers.append(_greeting(kind, dialect.home))
    return Router(path="/", include_in_schema=False, route_handlers=handlers)


def _door(kind: str, dialect: Dialect) -> HTTPRouteHandler:
    # PUT too: so do Elasticsearch's own clients.
    @route(
        list(dialect.paths),
        http_method=["POST", "PUT"],
        opt=INGEST,
        status_code=200,
        name=f"ingest {kind}",
    )
    async def ingest(request: Incoming, logs: LogService) -> Response[bytes]:
        return await _take(request, logs, kind, dialect.media_types)

    return ingest


def _greeting(kind: str, home: str) -> HTTPRouteHandler:
    # `{rest:path}` would swallow the doors further down.
    segments = [f"/{{segment_{number}:str}}" for number in range(DEEPEST)]
    paths = [home + "".join(segments[:depth]) for depth in range(DEEPEST + 1)]

    @route(
        paths,
        http_method=["GET", "HEAD", "PUT", "POST"],
        opt=INGEST,
        status_code=200,
        name=f"greet {kind}",
    )
    async def greet(request: Incoming, logs: LogService) -> Response[bytes]:
        path = str(request.scope["path"]).removeprefix(home)
        answer = logs.greet(kind, request.method, path)
        if answer is None:
            raise NotFound(f"{home} takes log lines, and answers what is asked before: not this.")
        return _told(answer)

    return greet


async def read_body(request: Incoming, types: Sequence[str], limit: int) -> tuple[bytes, str]:
    """A whole body, unpacked, and its media type; one that names none is of the first of `types`.

    Raises:
        HttpError: it is of another type, or larger than `limit`.
        InvalidRequest: it is not what its encoding says.
    """
    media = _require_type(request, types)
    return await whole(_body(request), limit), media


async def _take(
    request: Incoming, logs: LogService, kind: str, types: Sequence[str]
) -> Response[bytes]:
    body, media = await read_body(request, types, MAX_WHOLE)
    _, answer = await logs.take(kind, body, media)
    return _told(answer)


async def _lines(logs: LogService, first: bytes, body: AsyncIterator[bytes]) -> Receipt:
    intake = logs.open_ndjson()
    await intake.feed(first)
    try:
        async for piece in body:
            await intake.feed(piece)
    except QuarterdeckError:
        await intake.finish(is_torn=True)
        raise
    return await intake.finish()


def _told(answer: Answer) -> Response[bytes]:
    return Response(
        answer.body,
        status_code=answer.status,
        media_type=answer.content_type or None,
        headers=dict(answer.headers),
    )


def _body(request: Incoming) -> AsyncIterator[bytes]:
    # Litestar types its scopes more narrowly than ASGI does.
    return pieces(cast(Scope, request.scope), cast(Receive, request.receive))


async def _beginning(body: AsyncIterator[bytes]) -> bytes:
    """The first piece that is not blank."""
    async for piece in body:
        if piece.lstrip(BLANK):
            return piece
    raise InvalidRequest.of("body", "it holds no lines; send one JSON object a line", "body")


def _require_type(request: Incoming, types: Sequence[str]) -> str:
    """The media type of the body; one that names none is taken for the first of `types`."""
    given = (header(request.scope, b"content-type") or types[0]).partition(";")[0].strip().lower()
    if given not in types:
        raise HttpError(
            415, f"Content-Type '{given[:60]}' is not read here; send {' or '.join(types[:4])}."
        )
    return given


def _shown(receipt: Receipt) -> IngestReceipt:
    if not receipt.accepted and receipt.rejected:
        details: list[Detail] = [
            {"field": f"line {each.number}", "message": each.reason, "source": "body"}
            for each in receipt.rejections[:SHOWN]
        ]
        raise InvalidRequest(
            f"None of the {receipt.rejected} lines can be taken. The first: "
            f"line {receipt.rejections[0].number}: {receipt.rejections[0].reason}.",
            details,
        )
    named = [RejectedLine(each.number, each.reason) for each in receipt.rejections[:NAMED]]
    return IngestReceipt(receipt.accepted, receipt.rejected, named)
