"""What is known of one check of a service: of a probe, or of the telemetry that is pushed."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from math import isfinite

from quarterdeck.health.kept import Memory
from quarterdeck.health.model import Outcome, Reading, ServiceSpec, ServiceStatus
from quarterdeck.health.rules import (
    SILENT_INTERVALS,
    Latch,
    MetricLatches,
    side_of_outcome,
    worst,
)
from quarterdeck.health.wording import check_name, metric_reason

FAILED = "the check failed"


class CheckState:
    """Takes the readings of one check and says what they make of the service."""

    def __init__(
        self, kind: str, target: str, spec: ServiceSpec, started_at: datetime, *, is_optional: bool
    ) -> None:
        self.kind = kind
        self.target = target
        self.is_optional = is_optional
        """Its silence says nothing: requests that nobody makes cannot be measured."""
        self.memory = Memory()
        self.checked_at: datetime | None = None
        self.last = Reading(Outcome.UNKNOWN)
        self.values: dict[str, float | None] = {}
        """Every metric that it ever gave; None is unknown now."""
        self.facets: dict[str, str] = {}
        self._spec = spec
        self._started_at = started_at

    def take(self, reading: Reading, at: datetime, *, is_new: bool = True) -> None:
        """Take a reading; one that is not new shows values, but is no further evidence."""
        self.checked_at, self.last = at, reading
        known = {name: _finite(value) for name, value in reading.metrics.items()}
        self.values = {**dict.fromkeys(self.values), **known}
        self.facets.update(reading.facets)
        side = side_of_outcome(reading.outcome)
        if side is not None:
            self.memory.seen_at = at
            if reading.outcome is Outcome.FAIL:
                self.memory.trouble = reading.reason or FAILED
            if is_new:
                self.memory.outcome.see(side, self._spec.fall, self._spec.rise)
        for metric, threshold in self._spec.thresholds.items():
            if metric not in self.values:
                continue
            value = self.values[metric]
            latches = self.memory.metrics.setdefault(metric, MetricLatches())
            if is_new or value is None:
                latches.see(value, threshold, self._spec.fall, self._spec.rise)

    def restore(self, memory: Memory) -> None:
        """Go on from what an earlier process remembered, as far as it still applies."""
        metrics = {}
        for metric, latches in memory.metrics.items():
            threshold = self._spec.thresholds.get(metric)
            if threshold is not None:
                down = latches.down if threshold.down is not None else Latch()
                metrics[metric] = replace(latches, down=down, is_known=False)
                self.values[metric] = None
        self.memory = replace(memory, metrics=metrics)

    def forget_streaks(self) -> None:
        """Take back bad readings that have decided nothing yet."""
        self.memory.outcome.forget_streak()
        for latches in self.memory.metrics.values():
            latches.forget_streaks()

    @property
    def status(self) -> ServiceStatus:
        """What it makes of the service, known or last known."""
        if self.memory.outcome.is_set:
            return ServiceStatus.DOWN
        return worst(*(latches.status for latches in self.memory.metrics.values()))

    @property
    def is_decided(self) -> bool:
        """Whether it has seen enough to say that all is well."""
        known = [latches for latches in self.memory.metrics.values() if latches.last is not None]
        return self.memory.outcome.is_set is not None and all(each.is_decided for each in known)

    def silent_since(self, now: datetime) -> datetime | None:
        """The moment from which on nothing has been known for too long; None: it is not silent."""
        seen_at = self.memory.seen_at
        if seen_at is not None and seen_at > now:
            # The system's clock was set back.
            seen_at = self.memory.seen_at = now
        silent = (seen_at or self._started_at) + self._patience
        return silent if now >= silent else None

    def age_s(self, now: datetime) -> float:
        """Seconds since anything was known."""
        return (now - (self.memory.seen_at or self._started_at)).total_seconds()

    @property
    def name(self) -> str:
        """How sentences call it."""
        return check_name(self.kind, self.target) if self.target else self.kind

    def problems(self) -> Iterator[tuple[ServiceStatus, str]]:
        """What holds the service down or degraded, each with a sentence."""
        if self.memory.outcome.is_set:
            yield ServiceStatus.DOWN, self.memory.trouble or FAILED
        for metric, latches in self.memory.metrics.items():
            if latches.status is not ServiceStatus.HEALTHY:
                threshold = self._spec.thresholds[metric]
                yield latches.status, metric_reason(metric, latches, threshold)

    @property
    def pending(self) -> str | None:
        """What is not well but has not been so for long enough."""
        if self.last.outcome is Outcome.FAIL:
            return self.last.reason or FAILED
        for metric, latches in self.memory.metrics.items():
            if latches.degraded.streak or latches.down.streak:
                return metric_reason(metric, latches, self._spec.thresholds[metric])
        return None

    @property
    def _patience(self) -> timedelta:
        return timedelta(seconds=SILENT_INTERVALS * self._spec.interval_s)


def _finite(value: float | None) -> float | None:
    """NaN and infinity are no measurements."""
    return value if value is not None and isfinite(value) else None
