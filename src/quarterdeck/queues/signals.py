"""What the queues tell the alert rules: depth, status, and how much of the work fails."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.core.signals import Signal, Value
from quarterdeck.queues.model import QueueRef, QueueStats, QueueStatus
from quarterdeck.queues.rules import status_of
from quarterdeck.queues.service import QueueService

WINDOW = timedelta(hours=1)
STEP = timedelta(minutes=1)
"""Failures are added up in steps: sixty numbers a queue, however often it is looked at."""

FEWEST = 20
"""Jobs that must have ended before a rate means something: one failure of one job is not 100 %."""


@dataclass(slots=True)
class _Failures:
    """Jobs of one queue that failed in the window, seen as rises of the number of failed ones."""

    last: int | None = None
    steps: deque[tuple[datetime, int]] = field(default_factory=deque)

    def see(self, failed: int | None, now: datetime) -> int:
        """Note the number of failed jobs; gives how many are new within the window.

        Fewer than before were retried or deleted: that is no success, and counts nothing.
        """
        if failed is not None:
            new = max(0, failed - self.last) if self.last is not None else 0
            self.last = failed
            if new and self.steps and now - self.steps[-1][0] < STEP:
                self.steps[-1] = (self.steps[-1][0], self.steps[-1][1] + new)
            elif new:
                self.steps.append((now, new))
        while self.steps and now - self.steps[0][0] > WINDOW:
            self.steps.popleft()
        return sum(count for _, count in self.steps)


class QueueSignals:
    """Looks at all queues when it is called; see `core.signals.Signals`."""

    def __init__(self, queues: QueueService, clock: Clock = utc_now) -> None:
        self._queues = queues
        self._clock = clock
        self._failures: dict[QueueRef, _Failures] = {}

    async def __call__(self) -> Sequence[Signal]:
        """One signal for each queue. Queues of a source that is away are unknown, not gone.

        `failure_rate_percent` is of the last hour, and at first of the time since the start: too
        low rather than too high. None until `FEWEST` jobs have ended.

        Raises:
            SourceUnavailable: no source answers.
        """
        listing = await self._queues.list_queues()
        away = [source for source in listing.sources if source.error is not None]
        if away and len(away) == len(listing.sources):
            raise SourceUnavailable(away[0].name, "No source of queues answers.")
        now = self._clock()
        present = {ref for ref, _ in listing.queues}
        self._failures = {ref: kept for ref, kept in self._failures.items() if ref in present}
        return [self._signal(ref, stats, now) for ref, stats in listing.queues]

    def _signal(self, ref: QueueRef, stats: QueueStats, now: datetime) -> Signal:
        failed = self._failures.setdefault(ref, _Failures()).see(stats.failed, now)
        status = status_of(stats)
        oldest = stats.oldest_waiting_at
        values: dict[str, Value] = {
            "status": None if status is QueueStatus.UNKNOWN else status.value,
            "waiting": stats.waiting,
            "active": stats.active,
            "failed": stats.failed,
            "paused": stats.paused,
            "failure_rate_percent": _rate(failed, stats.completed_last_hour),
            "oldest_waiting_age_s": max(0.0, (now - oldest).total_seconds()) if oldest else None,
        }
        labels = {"source": ref.source, "priority": ref.priority.value}
        return Signal("queue", ref.name, now, values, labels, details=_details(stats))


def _rate(failed: int, completed: int | None) -> float | None:
    if completed is None or failed + completed < FEWEST:
        return None
    return 100 * failed / (failed + completed)


def _details(stats: QueueStats) -> dict[str, str]:
    def shown(count: int | None) -> str:
        return "unknown" if count is None else f"{count:,}"

    return {"waiting": shown(stats.waiting), "failed": shown(stats.failed)}
