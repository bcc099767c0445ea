"""Following the log: every line that is stored, once, in the order of storing.

The numbers of inserts grow with each, so "what was stored after this line" is a question that the
table itself can answer, whatever was restarted in between. The writer's signal only tells when to
ask; servers that share one ClickHouse hear of the others' inserts by asking now and then.
"""

import asyncio
from collections.abc import AsyncIterator

from quarterdeck.logs.conditions import Condition
from quarterdeck.logs.model import LogEntry, Place
from quarterdeck.logs.store import LogStore
from quarterdeck.logs.writer import LogWriter

AT_ONCE = 500
POLL_S = 2.0
"""How often to ask without a signal."""

NOT_SOONER_S = 0.1
"""Followers ask at most so often: a busy log brings hundreds of inserts a second."""

WHOLE_BLOCK = 2**32 - 1
"""An offset behind every line of an insert."""


async def here(store: LogStore) -> Place:
    """The place behind everything that is stored by now."""
    return Place(0, await store.newest_block(), WHOLE_BLOCK)


async def follow(
    store: LogStore,
    writer: LogWriter,
    condition: Condition,
    after: Place,
    stopping: asyncio.Event,
) -> AsyncIterator[list[LogEntry]]:
    """Lines stored after a place, until `stopping` is set.

    An empty list is given when nothing came for `POLL_S`, so that a caller can say it is alive.
    """
    block, offset = after.block, after.offset
    signal = asyncio.Event()
    forget = writer.on_commit(signal.set)
    try:
        while not stopping.is_set():
            signal.clear()
            found = await store.since(condition, block, offset, AT_ONCE)
            if found:
                block, offset = found[-1].place.block, found[-1].place.offset
            yield found
            if len(found) < AT_ONCE:
                await asyncio.sleep(NOT_SOONER_S)
                await _wait(signal)
    finally:
        forget()


async def _wait(signal: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(POLL_S):
            await signal.wait()
    except TimeoutError:
        return
