"""When a status falls and when it rises. Pure: nothing here knows a clock, a probe or a table.

Two limits keep a value from flapping between them, and counting keeps a single reading from
deciding anything: `fall` bad readings in a row latch, `rise` good ones in a row let go. What is
unknown is not counted at all: it neither heals nor harms, and the next known reading goes on
where the last one stopped.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from quarterdeck.health.model import Outcome, ServiceStatus, Threshold

SILENT_INTERVALS = 3
"""After so many intervals without data nothing is healthy."""

DEFAULT_THRESHOLDS: Mapping[str, Threshold] = MappingProxyType(
    {
        "response_time_ms.p95": Threshold(degraded=1000, recovered=800),
        "error_rate_percent": Threshold(degraded=5, recovered=2),
        "connection_pool_usage_percent": Threshold(degraded=90, recovered=80),
        "query_latency_ms": Threshold(degraded=1000, recovered=500),
        "memory_used_percent": Threshold(degraded=95, recovered=85),
        "tls_expires_in_days": Threshold(degraded=14, recovered=21, down=0),
        "unassigned_shards": Threshold(degraded=0, recovered=0),
        "indexing_lag_s": Threshold(degraded=60, recovered=30),
    }
)
"""For metrics that the settings say nothing of. A backlog has none: what is much differs."""

RANK: Mapping[ServiceStatus, int] = MappingProxyType(
    {ServiceStatus.HEALTHY: 0, ServiceStatus.DEGRADED: 1, ServiceStatus.DOWN: 2}
)
"""Larger is worse."""


def worst(*statuses: ServiceStatus) -> ServiceStatus:
    """The worst of them; without any, healthy."""
    return max(statuses, key=RANK.__getitem__, default=ServiceStatus.HEALTHY)


def with_defaults(configured: Mapping[str, Threshold | None]) -> dict[str, Threshold]:
    """The thresholds that apply; None under a metric's name turns its default off."""
    merged = {**DEFAULT_THRESHOLDS, **configured}
    return {metric: threshold for metric, threshold in merged.items() if threshold is not None}


class Side(Enum):
    """Where a known value lies."""

    GOOD = "good"
    BETWEEN = "between"
    """No longer bad enough to fall, not yet good enough to rise."""
    BAD = "bad"


def side_of(value: float, limit: float, recovered: float, is_less_worse: bool) -> Side:
    """On which side of two limits a value lies. A limit itself is not past it; `recovered` is."""
    if is_less_worse:
        value, limit, recovered = -value, -limit, -recovered
    if value > limit:
        return Side.BAD
    return Side.GOOD if value <= recovered else Side.BETWEEN


def side_of_outcome(outcome: Outcome) -> Side | None:
    """Which side an outcome is on; None: unknown, it is on none."""
    if outcome is Outcome.UNKNOWN:
        return None
    return Side.BAD if outcome is Outcome.FAIL else Side.GOOD


@dataclass(slots=True)
class Latch:
    """Holds one verdict: set by `fall` bad readings in a row, let go by `rise` good ones."""

    is_set: bool | None = None
    """None: undecided, nothing good has been seen yet and not enough that is bad."""
    streak: int = 0
    """Readings in a row that speak against what it holds."""

    def see(self, side: Side, fall: int, rise: int) -> None:
        """Take one known reading."""
        speaks_against = Side.GOOD if self.is_set else Side.BAD
        if side is not speaks_against:
            self.streak = 0
            # Whatever is not bad decides a latch that has seen nothing yet.
            self.is_set = self.is_set or False
            return
        self.streak += 1
        if self.streak >= (rise if self.is_set else fall):
            self.is_set, self.streak = not self.is_set, 0

    def forget_streak(self) -> None:
        """Take back readings that turned out to say nothing; what it holds, it holds."""
        self.streak = 0


@dataclass(slots=True)
class MetricLatches:
    """What one metric makes of the service: a latch for `degraded`, one for `down`.

    The limit `down` has the same gap below it as `degraded` has: at 1000, 800 and a `down` of
    5000, a service that is down rises to degraded at 4800.
    """

    degraded: Latch = field(default_factory=Latch)
    down: Latch = field(default_factory=Latch)
    last: float | None = None
    """The last value that was known."""
    is_known: bool = False
    """Whether it still is."""

    def see(self, value: float | None, threshold: Threshold, fall: int, rise: int) -> None:
        """Take a value; an unknown one leaves the latches as they were."""
        self.is_known = value is not None
        if value is None:
            return
        self.last = value
        less = threshold.is_less_worse
        side = side_of(value, threshold.degraded, threshold.recovered, less)
        self.degraded.see(side, fall, rise)
        if threshold.down is not None:
            side = side_of(value, threshold.down, down_recovered(threshold), less)
            self.down.see(side, fall, rise)

    @property
    def is_decided(self) -> bool:
        """Whether anything can be said: a first value that is bad must come again."""
        return self.degraded.is_set is not None or bool(self.down.is_set)

    def forget_streaks(self) -> None:
        """See `Latch.forget_streak`."""
        self.degraded.forget_streak()
        self.down.forget_streak()

    @property
    def status(self) -> ServiceStatus:
        """What it makes of the service."""
        if self.down.is_set:
            return ServiceStatus.DOWN
        return ServiceStatus.DEGRADED if self.degraded.is_set else ServiceStatus.HEALTHY


def down_recovered(threshold: Threshold) -> float:
    """Past this a metric no longer makes its service down.

    Raises:
        ValueError: the threshold has no `down`.
    """
    if threshold.down is None:
        raise ValueError("this threshold has no down")
    return threshold.down - (threshold.degraded - threshold.recovered)
