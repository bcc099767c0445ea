"""Reading one source's counts so that it never holds up the answer about the others.

A source that was quick the last time is waited for, half a second at most. One that was not is
asked in the background: its last counts are shown while they are young, and said to be old.
"""

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.queues.model import (
    EngineHealth,
    Provenance,
    QueueRef,
    QueueStats,
    SourceState,
)
from quarterdeck.queues.ports import QueueReader

log = logging.getLogger("quarterdeck.queues")

Counts = Mapping[QueueRef, QueueStats]

PATIENCE_S = 0.5
"""How long an answer waits for a source that was quick before."""

TIMEOUT_S = 8.0
"""After this a source is taken to be away."""

YOUNG = timedelta(seconds=30)
"""Counts that are older are not shown: of a queue that fills up they would tell nothing."""

UNKNOWN_STATS = QueueStats(
    active=None,
    waiting=None,
    failed=None,
    completed_last_hour=None,
    completed_last_hour_source=Provenance.NONE,
    paused=None,
)


class SourceReader:
    """The counts of one source, and how it is."""

    def __init__(self, name: str, engine: QueueReader, clock: Clock) -> None:
        self._name = name
        self._engine = engine
        self._clock = clock
        self._is_slow = False
        self._running: set[asyncio.Task[Counts | None]] = set()
        self._error: str | None = None
        self._last: Counts = {}
        self._answered_at: datetime | None = None

    @property
    def queues(self) -> list[QueueRef]:
        """Those of the last answer."""
        return list(self._last)

    def is_waited_for(self, name: str) -> bool:
        """Whether a question about a queue needs this source's answer, however long it takes.

        One that is slow or away and never had such a queue is not waited for.
        """
        is_quick = not self._is_slow and self._error is None
        return is_quick or any(ref.name == name for ref in self._last)

    async def read(self) -> tuple[Counts, SourceState]:
        """Present counts, or the last ones if they are to be had sooner."""
        if self._is_slow and self._running:
            return self._known()
        asking = asyncio.create_task(self._ask())
        self._running.add(asking)
        asking.add_done_callback(self._running.discard)
        # It is not cancelled when the caller is, or has waited enough: the next one profits.
        done, _ = await asyncio.wait({asking}, timeout=0 if self._is_slow else PATIENCE_S)
        if not done:
            self._is_slow = True
            return self._known()
        found = asking.result()
        if found is None:
            return self._unknown()
        return found, self._state(EngineHealth.OK)

    async def close(self) -> None:
        """Give up what is under way."""
        for asking in list(self._running):
            asking.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _ask(self) -> Counts | None:
        """The counts; None: it does not answer, and `_error` says why."""
        clock = asyncio.get_running_loop().time
        begun, error = clock(), None
        try:
            async with asyncio.timeout(TIMEOUT_S):
                found = await self._engine.snapshot()
        except TimeoutError:
            error = f"The source '{self._name}' did not answer within {TIMEOUT_S:.0f} s."
        except SourceUnavailable as unavailable:
            error = unavailable.message
        except Exception:  # its adapter is at fault: the others are shown all the same
            log.exception("source %s cannot be read", self._name)
            error = f"The source '{self._name}' cannot be read; the server's log says why."
        self._is_slow = clock() - begun > PATIENCE_S
        if error is not None:
            if self._error is None:
                log.warning("source %s does not answer: %s", self._name, error)
            self._error = error
            return None
        self._last, self._answered_at, self._error = found, self._clock(), None
        return found

    def _known(self) -> tuple[Counts, SourceState]:
        """What is known without waiting."""
        if self._error is not None:
            return self._unknown()
        at = self._answered_at
        if at is not None and self._clock() - at <= YOUNG:
            return self._last, self._state(EngineHealth.SLOW)
        return dict.fromkeys(self._last, UNKNOWN_STATS), self._state(
            EngineHealth.SLOW, f"The source '{self._name}' has not answered yet."
        )

    def _unknown(self) -> tuple[Counts, SourceState]:
        unknown = dict.fromkeys(self._last, UNKNOWN_STATS)
        return unknown, self._state(EngineHealth.UNAVAILABLE, self._error)

    def _state(self, health: EngineHealth, error: str | None = None) -> SourceState:
        return SourceState(
            self._name, self._engine.kind, health, error, answered_at=self._answered_at
        )
