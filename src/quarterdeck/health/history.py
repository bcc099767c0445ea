"""What a service was like over the last hours: changes, uptime, response times for a plot."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from quarterdeck.health.model import ServiceStatus


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in which one status was known without a gap; `end` is not part of it."""

    start: datetime
    end: datetime
    status: ServiceStatus


@dataclass(frozen=True, slots=True)
class StatusChange:
    """From `at` on the service was so; None: nobody knows."""

    at: datetime
    status: ServiceStatus | None


@dataclass(frozen=True, slots=True)
class SeriesPoint:
    """One step of a plot, which begins at `at`. What is unknown is None, never zero."""

    at: datetime
    avg_ms: float | None = None
    """Mean response time of the requests in the step."""
    p95_ms: float | None = None
    """The worst of the windows that end in the step: percentiles are never averaged."""
    p99_ms: float | None = None
    check_ms: float | None = None
    """Mean time that the probes' successful checks took."""
    checks: int | None = None
    """Probes' checks that came to a result; one that could not find out is none."""
    failed_checks: int | None = None
    error_rate_percent: float | None = None
    """Failed requests of all: the worst of the windows that end in the step, as the percentiles."""


@dataclass(frozen=True, slots=True)
class History:
    """A service from `since` until `until`."""

    service: str
    since: datetime
    until: datetime
    changes: Sequence[StatusChange]
    """In the order of time; the first one is at `since`, unless they are not complete."""
    uptime_percent: float | None
    """Share of the known time in which it was not down; None: nothing is known."""
    healthy_s: float
    degraded_s: float
    down_s: float
    unknown_s: float
    """Without data, such as while this monitor did not run; not part of the uptime."""
    step_s: int
    series: Sequence[SeriesPoint]
    """At most about 300 steps of `step_s`, also those in which nothing is known."""
    is_complete: bool = True
    """False: there were too many changes; the oldest are left out."""


def changes_of(spans: Sequence[Span], since: datetime, until: datetime) -> list[StatusChange]:
    """Changes, from spans in the order of time that lie between the two moments."""
    changes: list[StatusChange] = []

    def note(at: datetime, status: ServiceStatus | None) -> None:
        if not changes or changes[-1].status is not status:
            changes.append(StatusChange(at, status))

    known_until = since
    for each in spans:
        if each.start > known_until:
            note(known_until, None)
        note(each.start, each.status)
        known_until = each.end
    if known_until < until:
        note(known_until, None)
    return changes


def uptime_percent(healthy_s: float, degraded_s: float, down_s: float) -> float | None:
    """Share of the known time in which a service was not down."""
    known = healthy_s + degraded_s + down_s
    return 100.0 * (healthy_s + degraded_s) / known if known > 0 else None
