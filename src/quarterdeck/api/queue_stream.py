"""Following queues by server-sent events (HTML standard, 9.2)."""

from collections.abc import AsyncIterator
from typing import Any

from litestar import Request, Router, get
from litestar.response import Stream
from msgspec import Struct

from quarterdeck.api.envelope import encode
from quarterdeck.api.queue_schemas import Queue, Source, queue_item, source_item
from quarterdeck.api.streams import ALIVE, Events, event_stream
from quarterdeck.queues.stream import QueueChanges, QueueStream
from quarterdeck.queues.watching import QueueWatch


class QueueName(Struct, frozen=True):
    """Which queue is meant."""

    name: str
    source: str


class QueueEvent(Struct, frozen=True):
    """Queues that changed, each whole, those that are gone, and sources that are otherwise."""

    queues: list[Queue]
    removed: list[QueueName]
    sources: list[Source]


@get(
    "/queues/stream",
    operation_id="StreamQueues",
    summary="Follow queues",
    media_type="text/event-stream",
)
async def stream_queues(
    request: Request[Any, Any, Any], queue_stream: QueueStream, queue_watch: QueueWatch
) -> Stream:
    """All queues first, then those that changed, at most once a second.

    There is nothing to go on from after an interruption: the first event has everything.
    """
    return event_stream(request, _events(queue_stream.follow(), queue_watch))


def router() -> Router:
    """The route."""
    return Router(path="/", tags=["Queues"], route_handlers=[stream_queues])


async def _events(changes: AsyncIterator[QueueChanges], watch: QueueWatch) -> Events:
    is_first = True
    async for found in changes:
        if is_first or not found.is_empty:
            yield b"event: queues\ndata: " + encode(_event(found, watch)) + b"\n\n"
        else:
            yield ALIVE
        is_first = False


def _event(found: QueueChanges, watch: QueueWatch) -> QueueEvent:
    return QueueEvent(
        queues=[queue_item(ref, stats, watch) for ref, stats in found.changed],
        removed=[QueueName(ref.name, ref.source) for ref in found.removed],
        sources=[source_item(state) for state in found.sources],
    )
