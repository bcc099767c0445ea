"""What a service was like over the last hours: changes, uptime, response times for a plot."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from quarterdeck.health.model import ServiceStatus

POINTS = 300
"""A plot has about as many pixels; more points say no more."""
STEPS_S = (
    15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 28_800, 43_200, 86_400,
)  # fmt: skip
"""Widths of a plot's steps that people can read."""


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


def step_for(hours: float) -> int:
    """Seconds of a step, such that a plot of these hours has at most about `POINTS`."""
    wanted = hours * 3600 / POINTS
    return next((step for step in STEPS_S if step >= wanted), STEPS_S[-1])


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


def steps_between(since: datetime, until: datetime, step_s: int) -> Iterator[datetime]:
    """Where the steps of a plot begin: at multiples of `step_s` since 1970."""
    first = int(since.timestamp()) // step_s * step_s
    at = datetime.fromtimestamp(first, since.tzinfo)
    while at < until:
        yield at
        at += timedelta(seconds=step_s)
