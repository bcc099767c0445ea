"""Following alerts by server-sent events (HTML standard, 9.2)."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from litestar import Request, Router, get
from litestar.response import Stream

from quarterdeck.alerts.model import Alert
from quarterdeck.alerts.service import AlertService
from quarterdeck.api.alert_schemas import alert_item
from quarterdeck.api.context import context_of, header
from quarterdeck.api.envelope import ErrorBody, encode
from quarterdeck.api.streams import ALIVE, Events, event_stream
from quarterdeck.core.errors import InvalidRequest, QuarterdeckError


@get(
    "/infrastructure/alerts/stream",
    operation_id="StreamAlerts",
    summary="Follow alerts",
    media_type="text/event-stream",
)
async def stream_alerts(request: Request[Any, Any, Any], alerts: AlertService) -> Stream:
    """Alerts as they change, as server-sent events, each whole.

    Send `Last-Event-ID` to go on after an event: none is missed, also across a restart.
    """
    last = header(request.scope, b"last-event-id")
    start = _number(last) if last else await alerts.last_event_id()
    request_id = context_of(request.scope).request_id
    return event_stream(request, _events(start, alerts.follow(start), request_id))


def router() -> Router:
    """The route."""
    return Router(path="/", tags=["Infrastructure"], route_handlers=[stream_alerts])


def _number(last: str) -> int:
    if not last.isascii() or not last.isdigit() or len(last) > 18:
        raise InvalidRequest.of(
            "Last-Event-ID", "give the id of an event of this stream as it is", "header"
        )
    return int(last)


async def _events(
    start: int, changes: AsyncIterator[Sequence[tuple[int, Alert]]], request_id: str
) -> Events:
    # An id of its own: who loses the connection before the first alert comes back to here.
    yield b"id: %d\n: alive\n\n" % start
    try:
        async for found in changes:
            yield b"".join(_event(number, alert) for number, alert in found) or ALIVE
    except QuarterdeckError as error:
        body = ErrorBody(error.code, error.message, error.details, request_id)
        yield b"event: error\ndata: " + encode(body) + b"\n\n"


def _event(number: int, alert: Alert) -> bytes:
    return b"id: %d\nevent: alert\ndata: %b\n\n" % (number, encode(alert_item(alert)))
