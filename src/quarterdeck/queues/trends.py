"""Where a queue is going, from its samples. Pure.

A trend needs three minutes of samples, and is steady unless the line through them moves the queue
by more than five per cent, and ten jobs, within ten minutes. An end is foretold only for a queue
that falls and is not paused. The completions of the last hour are added up only when samples cover
nearly all of it: half an hour times two is not a count.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from quarterdeck.queues.history import Direction, Outlook, Trend

WINDOW = timedelta(minutes=10)
SHORTEST = timedelta(minutes=3)
FEWEST_JOBS = 10.0
LEAST_SHARE = 0.05
HOUR = timedelta(hours=1)
COVERED = timedelta(minutes=57)
LONGEST_GAP_S = 60.0
"""A count of the last minute says nothing of what was before it."""


@dataclass(slots=True)
class Track:
    """The samples of one queue: depths of the last ten minutes, completions of the last hour."""

    depths: deque[tuple[datetime, int]] = field(default_factory=deque)
    completions: deque[tuple[datetime, int]] = field(default_factory=deque)

    def add(self, at: datetime, waiting: int | None, completed_last_minute: int | None) -> None:
        """Take a sample; what is unknown leaves a gap."""
        if waiting is not None:
            self.depths.append((at, waiting))
        if completed_last_minute is not None:
            self.completions.append((at, completed_last_minute))
        while self.depths and at - self.depths[0][0] > WINDOW:
            self.depths.popleft()
        while self.completions and at - self.completions[0][0] > HOUR:
            self.completions.popleft()

    def outlook(self, waiting: int | None, paused: bool | None, now: datetime) -> Outlook:
        """What they tell of the queue as it is now."""
        fresh = [sample for sample in self.depths if now - sample[0] <= WINDOW]
        trend = trend_of(fresh)
        return Outlook(trend, eta_s(trend, waiting, paused), self._last_hour(now))

    def _last_hour(self, now: datetime) -> int | None:
        counted = covered_s = 0.0
        before: datetime | None = None
        for at, per_minute in self.completions:
            if now - at > HOUR:
                continue
            # A sample stands for the time since the one before it, which it has seen.
            since_s = LONGEST_GAP_S if before is None else (at - before).total_seconds()
            seen_s = min(since_s, LONGEST_GAP_S)
            counted += per_minute * seen_s / 60
            covered_s += seen_s
            before = at
        if covered_s < COVERED.total_seconds():
            return None
        return round(counted * HOUR.total_seconds() / covered_s)


def trend_of(samples: Sequence[tuple[datetime, int]]) -> Trend | None:
    """The straight line of least squares through depths; None: too few to say."""
    if len(samples) < 3 or samples[-1][0] - samples[0][0] < SHORTEST:
        return None
    start = samples[0][0]
    minutes = [(at - start).total_seconds() / 60 for at, _ in samples]
    depths = [float(depth) for _, depth in samples]
    mean_x, mean_y = sum(minutes) / len(minutes), sum(depths) / len(depths)
    spread = sum((x - mean_x) ** 2 for x in minutes)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(minutes, depths, strict=True)) / spread
    moved = abs(slope) * WINDOW.total_seconds() / 60
    if moved <= max(FEWEST_JOBS, LEAST_SHARE * mean_y):
        return Trend(Direction.STEADY, slope)
    return Trend(Direction.RISING if slope > 0 else Direction.FALLING, slope)


def eta_s(trend: Trend | None, waiting: int | None, paused: bool | None) -> float | None:
    """Seconds until nothing waits, if it goes on so; None: it does not fall, or nobody knows."""
    if trend is None or not waiting or paused is not False:
        return None
    if trend.direction is not Direction.FALLING:
        return None
    return 60 * waiting / -trend.waiting_per_minute
