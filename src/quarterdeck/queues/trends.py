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


@dataclass(frozen=True, slots=True)
class Completions:
    """Jobs completed in the time that one sample stands for."""

    at: datetime
    count: float
    seen_s: float


@dataclass(slots=True)
class Track:
    """The samples of one queue: depths of the last ten minutes, completions of the last hour.

    Every answer about a queue asks for its outlook, so what the samples tell is worked out when
    they change: 240 of them, each time anew, took longer than counting the jobs.
    """

    depths: deque[tuple[datetime, int]] = field(default_factory=deque)
    completions: deque[Completions] = field(default_factory=deque)
    _count: float = 0.0
    _covered_s: float = 0.0
    _trend: Trend | None = None
    _is_judged: bool = False

    def add(self, at: datetime, waiting: int | None, completed_last_minute: int | None) -> None:
        """Take a sample; what is unknown leaves a gap."""
        if waiting is not None:
            self.depths.append((at, waiting))
            self._is_judged = False
        if completed_last_minute is not None:
            self._add_completions(at, completed_last_minute)
        self._expire(at)

    def outlook(self, waiting: int | None, paused: bool | None, now: datetime) -> Outlook:
        """What they tell of the queue as it is now."""
        self._expire(now)
        if not self._is_judged:
            self._trend, self._is_judged = trend_of(self.depths), True
        return Outlook(self._trend, eta_s(self._trend, waiting, paused), self._last_hour())

    def _add_completions(self, at: datetime, per_minute: int) -> None:
        """A sample stands for the time since the one before it, which it has seen."""
        before = self.completions[-1].at if self.completions else None
        since_s = LONGEST_GAP_S if before is None else (at - before).total_seconds()
        seen_s = min(since_s, LONGEST_GAP_S)
        self.completions.append(Completions(at, per_minute * seen_s / 60, seen_s))
        self._count += self.completions[-1].count
        self._covered_s += seen_s

    def _expire(self, now: datetime) -> None:
        while self.depths and now - self.depths[0][0] > WINDOW:
            self.depths.popleft()
            self._is_judged = False
        while self.completions and now - self.completions[0].at > HOUR:
            old = self.completions.popleft()
            self._count -= old.count
            self._covered_s -= old.seen_s

    def _last_hour(self) -> int | None:
        if self._covered_s < COVERED.total_seconds():
            return None
        return round(self._count * HOUR.total_seconds() / self._covered_s)


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
