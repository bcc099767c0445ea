"""Server-sent events (HTML standard, 9.2) that end when their reader's right to read them does."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from litestar import Request
from litestar.response import Stream

from quarterdeck.api.context import RequestContext, context_of
from quarterdeck.core.errors import SourceUnavailable, Unauthenticated

ALIVE = b": alive\n\n"
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}

LOOK_S = 5.0
"""A revoked token or an ended session reads no longer than this."""

Events = AsyncGenerator[bytes, None]


def event_stream(request: Request[Any, Any, Any], events: Events) -> Stream:
    """The answer that sends these events, each whole, as long as the token or session is good.

    `events` must give something every few seconds, if only `ALIVE`.
    """
    admitted = _while_admitted(events, context_of(request.scope))
    return Stream(admitted, media_type="text/event-stream", headers=HEADERS)


async def _while_admitted(events: Events, context: RequestContext) -> Events:
    looked_at = time.monotonic()
    async with aclosing(events):
        async for event in events:
            if time.monotonic() - looked_at >= LOOK_S:
                if not await _is_admitted(context):
                    # The reader connects again, and is told why not.
                    return
                looked_at = time.monotonic()
            yield event


async def _is_admitted(context: RequestContext) -> bool:
    if context.identify is None:
        return True
    try:
        await context.identify()
    except Unauthenticated:
        return False
    except SourceUnavailable:
        # Nobody can say now who it is: what was known still holds.
        return True
    return True
