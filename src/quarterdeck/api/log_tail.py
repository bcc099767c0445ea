"""Following the log by server-sent events (HTML standard, 9.2)."""

from collections.abc import AsyncIterator
from typing import Any

from litestar import Request, Router, get
from litestar.response import Stream

from quarterdeck.api.context import context_of, header
from quarterdeck.api.envelope import ErrorBody, encode
from quarterdeck.api.log_filter import WANTED
from quarterdeck.api.logs import log_item
from quarterdeck.api.streams import ALIVE, Events, event_stream
from quarterdeck.core.errors import InvalidRequest, NotFound, QuarterdeckError
from quarterdeck.logs.ids import decode_id, encode_id
from quarterdeck.logs.model import Filter, LogEntry, Place
from quarterdeck.logs.service import LogService


@get(
    "/logs/tail",
    operation_id="TailLogs",
    summary="Follow the log",
    media_type="text/event-stream",
)
async def tail_logs(request: Request[Any, Any, Any], logs: LogService, wanted: Filter) -> Stream:
    """Lines as they are stored, as server-sent events; any search.

    Send `Last-Event-ID` to go on after a line: none is missed or sent twice.
    """
    last = header(request.scope, b"last-event-id")
    # Known before the answer begins: what is stored from now on will be in it.
    start = _place(last) if last else await logs.here()
    lines = logs.follow(wanted, start)
    request_id = context_of(request.scope).request_id
    return event_stream(request, _events(encode_id(start), lines, request_id))


def router() -> Router:
    """The route."""
    return Router(path="/", tags=["Logs"], dependencies=WANTED, route_handlers=[tail_logs])


def _place(last: str) -> Place:
    try:
        return decode_id(last)
    except NotFound:
        raise InvalidRequest.of(
            "Last-Event-ID", "give the id of an event of this stream as it is", "header"
        ) from None


async def _events(start: str, lines: AsyncIterator[list[LogEntry]], request_id: str) -> Events:
    # An id of its own: who loses the connection before the first line comes back to here.
    yield b"id: %b\n: alive\n\n" % start.encode()
    try:
        async for found in lines:
            yield b"".join(map(_event, found)) or ALIVE
    except QuarterdeckError as error:
        body = ErrorBody(error.code, error.message, error.details, request_id)
        yield b"event: error\ndata: " + encode(body) + b"\n\n"


def _event(entry: LogEntry) -> bytes:
    item = log_item(entry)
    # One line of data: metadata is as it came, and may have line feeds between its values.
    data = encode(item).replace(b"\n", b" ").replace(b"\r", b" ")
    return b"id: %b\nevent: log\ndata: %b\n\n" % (item.id.encode(), data)
