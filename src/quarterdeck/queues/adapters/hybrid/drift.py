"""Whether the two stores agree. They are read one after the other while jobs move."""

from collections import deque
from datetime import datetime, timedelta

from quarterdeck.core.clock import Clock
from quarterdeck.queues.adapters.hybrid.keys import Band

SETTLE = timedelta(seconds=5)
"""Longer than a job is on its way between the stores, or in the hands of a worker that has popped
it and not yet marked it as running."""


class DriftWatch:
    """Tells a lasting difference from jobs that are just on their way.

    A single look at a busy queue nearly always finds a few jobs in neither store or in both. What
    is missing at every look for `SETTLE` is missing.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._looks: dict[Band, deque[tuple[datetime, int]]] = {}

    def observe(self, band: Band, missing: int) -> int:
        """Note what one look found; give what has been so all along (negative: too many)."""
        now = self._clock()
        looks = self._looks.setdefault(band, deque())
        looks.append((now, missing))
        while len(looks) > 1 and looks[1][0] <= now - SETTLE:
            looks.popleft()
        if looks[0][0] > now - SETTLE:
            return 0
        least = min(number for _, number in looks)
        most = max(number for _, number in looks)
        return max(least, 0) + min(most, 0)
