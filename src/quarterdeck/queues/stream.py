"""What followers of queues see: those that changed, at most once a second."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

from quarterdeck.queues.model import QueueRef, QueueStats, SourceState
from quarterdeck.queues.service import QueueListing, QueueService

EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class QueueChanges:
    """What is new since the last one; nothing at all says that the server is alive."""

    changed: list[tuple[QueueRef, QueueStats]]
    removed: list[QueueRef]
    sources: list[SourceState]
    """Those that are otherwise than before."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is new."""
        return not (self.changed or self.removed or self.sources)


class QueueStream:
    """Looks once a second for all followers together, and not at all when there are none."""

    def __init__(self, queues: QueueService, every_s: float = EVERY_S) -> None:
        self._queues = queues
        self._every_s = every_s
        self._stop = asyncio.Event()
        self._look: asyncio.Task[QueueListing] | None = None
        self._looked_at = 0.0

    async def follow(self) -> AsyncIterator[QueueChanges]:
        """All queues first, then changes, until `end`. Each look is one round trip a source."""
        known = QueueListing([], [])
        while not self._stop.is_set():
            listing = await self._shared_look()
            yield changes(known, listing)
            known = listing
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await self._stop.wait()

    def end(self) -> None:
        """End every `follow`."""
        self._stop.set()

    async def _shared_look(self) -> QueueListing:
        """One look for all who want one within half the time between two.

        It is shielded: one of them who goes away takes nothing from the others.
        """
        now = asyncio.get_running_loop().time()
        if self._look is None or (self._look.done() and now - self._looked_at > self._every_s / 2):
            self._looked_at = now
            self._look = asyncio.create_task(self._queues.list_queues())
        return await asyncio.shield(self._look)


def changes(before: QueueListing, after: QueueListing) -> QueueChanges:
    """What of `after` is not in `before`. When a source was asked last is no change."""
    old, new = dict(before.queues), dict(after.queues)
    sources = {state.name: _lasting(state) for state in before.sources}
    return QueueChanges(
        changed=[(ref, stats) for ref, stats in after.queues if old.get(ref) != stats],
        removed=[ref for ref in old if ref not in new],
        sources=[each for each in after.sources if sources.get(each.name) != _lasting(each)],
    )


def _lasting(state: SourceState) -> tuple[object, ...]:
    return state.health, state.error, tuple(state.warnings)
