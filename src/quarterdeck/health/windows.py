"""Response times of the last minutes: histograms of ten seconds each, merged when asked for.

A percentile is that of all requests in the window, whoever measured them; nothing is averaged but
the average. For the event loop only: it has no locks.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.histogram import Histogram

COARSE = 32
"""Buckets that a slice keeps when there is room for no more."""
FINE_SCALE = 3
"""A quantile of a histogram below this scale may be wrong by more than 5 %."""

_log = logging.getLogger(__name__)


class Refusal(StrEnum):
    """Why something was not taken."""

    LATE = "it is older than the window"
    CROWDED = "there is room for no more services"


@dataclass(frozen=True, slots=True)
class TelemetrySummary:
    """The window of one service."""

    count: int
    """Requests; at least one."""
    avg_ms: float
    p95_ms: float
    p99_ms: float
    error_rate_percent: float | None
    """Of those requests of which it is known; None where it is of none."""
    request_rate: float
    """Requests a second over that part of the window in which the service was known."""
    approximate: bool
    """Some percentile may be wrong by more than 5 %: fixed buckets, or a histogram too coarse."""
    last_at: datetime
    """Until when anything was measured."""


@dataclass(slots=True)
class _Slice:
    histogram: Histogram = field(default_factory=Histogram)
    errors: int = 0
    judged: int = 0
    """Requests of which it is known whether they failed."""
    since: float = float("inf")
    longest_s: float = 0.0
    """The longest time that one histogram covers: its sender's interval."""
    approximate: bool = False


@dataclass(slots=True)
class _Service:
    known_since: float
    last_at: float
    slices: dict[int, _Slice] = field(default_factory=dict)


class Windows:
    """Slices of `slice_s` seconds by service name; a window is the last `window_s` seconds.

    At most `max_services` names, of which one that has nothing in the window gives way to a new
    one. Beyond `max_buckets` buckets in all, a slice that is added to keeps `COARSE` of them.
    """

    def __init__(
        self,
        clock: Clock = utc_now,
        *,
        slice_s: int = 10,
        window_s: int = 300,
        max_services: int = 2000,
        max_buckets: int = 1_000_000,
    ) -> None:
        if not 1 <= slice_s <= window_s or max_services < 1:
            raise ValueError("slice_s, max_services: at least 1; window_s: at least one slice")
        self.slice_s = slice_s
        self.window_s = window_s
        self.late = 0
        """Requests that came too late, since the start."""
        self.crowded_out = 0
        """Requests of services that there was no room for, since the start."""
        self._clock = clock
        self._kept = -(-window_s // slice_s)
        self._max_services = max_services
        self._max_buckets = max_buckets
        self._buckets = 0
        self._services: dict[str, _Service] = {}
        self._trimmed_at = 0
        self._is_full = False
        """There is no idle service to give way, nor will there be before the next trimming."""

    def add(
        self,
        service: str,
        at: datetime,
        histogram: Histogram,
        *,
        errors: int | None,
        approximate: bool = False,
        since: datetime | None = None,
    ) -> Refusal | None:
        """Take what was measured in seconds from `since` (a slice before, by default) until `at`.

        `errors` of them failed; None: unknown. What lies in the future is of now: it was measured
        before it came. Late data goes where it belongs if that is still in the window. The
        histogram stays the caller's.
        """
        now = self._clock().timestamp()
        end = min(at.timestamp(), now)
        start = end - self.slice_s if since is None else min(since.timestamp(), end)
        start = max(start, end - self.window_s)
        self._trim(now)
        if self._number(end) <= self._number(now) - self._kept:
            self.late += histogram.count
            return Refusal.LATE
        known = self._known(service, start, end)
        if known is None:
            self.crowded_out += histogram.count
            return Refusal.CROWDED
        known.known_since = min(known.known_since, start)
        known.last_at = max(known.last_at, end)
        piece = known.slices.setdefault(self._number(end), _Slice())
        piece.since = min(piece.since, start)
        piece.longest_s = max(piece.longest_s, end - start)
        if errors is not None:
            piece.errors += min(errors, histogram.count)
            piece.judged += histogram.count
        piece.approximate |= approximate
        self._merge(piece, histogram)
        return None

    def summary(self, service_names: Sequence[str], now: datetime) -> TelemetrySummary | None:
        """All requests of these services in the window that ends now; None if there were none."""
        newest = self._number(now.timestamp())
        oldest = newest - self._kept + 1
        services = [self._services[name] for name in set(service_names) & self._services.keys()]
        slices = [
            piece
            for service in services
            for number, piece in service.slices.items()
            if oldest <= number <= newest
        ]
        whole = Histogram()
        for piece in slices:
            whole.merge(piece.histogram)
        if not whole.count:
            return None
        last_at = max(service.last_at for service in services)
        # Senders report at intervals: until the next report is due, its silence is no idleness.
        end = max(last_at, now.timestamp() - max(piece.longest_s for piece in slices))
        first = min(oldest * self.slice_s, *(piece.since for piece in slices))
        start = max(first, min(service.known_since for service in services))
        judged = sum(piece.judged for piece in slices)
        failed = sum(piece.errors for piece in slices)
        return TelemetrySummary(
            count=whole.count,
            avg_ms=_milliseconds(whole.average),
            p95_ms=_milliseconds(whole.quantile(0.95)),
            p99_ms=_milliseconds(whole.quantile(0.99)),
            error_rate_percent=100.0 * failed / judged if judged else None,
            request_rate=whole.count / max(end - start, self.slice_s),
            approximate=whole.scale < FINE_SCALE or any(piece.approximate for piece in slices),
            last_at=datetime.fromtimestamp(last_at, UTC),
        )

    def names(self) -> list[str]:
        """Services of which something is in the window, sorted."""
        self._trim(self._clock().timestamp())
        return sorted(name for name, service in self._services.items() if service.slices)

    @property
    def window(self) -> timedelta:
        """How far back a summary looks."""
        return timedelta(seconds=self.window_s)

    def _number(self, moment: float) -> int:
        return int(moment // self.slice_s)

    def _known(self, name: str, start: float, end: float) -> _Service | None:
        known = self._services.get(name)
        if known is not None:
            return known
        if len(self._services) >= self._max_services and not self._make_room():
            if not self.crowded_out:
                _log.warning(
                    "telemetry of more than %d services: that of further ones is not taken",
                    self._max_services,
                )
            return None
        self._services[name] = _Service(start, end)
        return self._services[name]

    def _make_room(self) -> bool:
        if self._is_full:
            return False
        idle = [name for name, service in self._services.items() if not service.slices]
        if not idle:
            self._is_full = True
            return False
        del self._services[min(idle, key=lambda name: self._services[name].last_at)]
        return True

    def _merge(self, piece: _Slice, histogram: Histogram) -> None:
        before = len(piece.histogram.buckets)
        piece.histogram.merge(histogram)
        self._buckets += len(piece.histogram.buckets) - before
        if self._buckets > self._max_buckets and len(piece.histogram.buckets) > COARSE:
            before = len(piece.histogram.buckets)
            piece.histogram.limit(COARSE)
            self._buckets -= before - len(piece.histogram.buckets)

    def _trim(self, now: float) -> None:
        """Forget what has left the window; once a slice, as nothing leaves it meanwhile."""
        newest = self._number(now)
        if newest == self._trimmed_at:
            return
        self._trimmed_at, self._is_full = newest, False
        for piece in self._expired(newest - self._kept):
            self._buckets -= len(piece.histogram.buckets)

    def _expired(self, last: int) -> Iterator[_Slice]:
        for service in self._services.values():
            for number in [number for number in service.slices if number <= last]:
                yield service.slices.pop(number)


def _milliseconds(seconds: float | None) -> float:
    return 1000.0 * (seconds or 0.0)
