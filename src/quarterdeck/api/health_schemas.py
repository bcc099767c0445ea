"""What the health routes answer: the spec's fields first, our additions after them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from quarterdeck.health.history import History, SeriesPoint
from quarterdeck.health.model import (
    Outcome,
    ResponseTimes,
    ServiceHealth,
    ServiceStatus,
    Snapshot,
)


class ResponseTime(Struct, frozen=True):
    """Milliseconds over the last five minutes, from a histogram, never from other percentiles."""

    avg: float
    p95: float
    p99: float
    approximate: bool
    """Interpolated between fixed bucket bounds."""


class ProbeItem(Struct, frozen=True):
    """What one probe of a service last saw."""

    kind: str
    target: str
    outcome: Outcome
    reason: str | None
    latency_ms: float | None
    checked_at: datetime | None


class ServiceItem(Struct, frozen=True, omit_defaults=False):
    """A service. Fields that do not apply to it are left out; null is unknown, zero is zero."""

    name: str
    status: ServiceStatus
    response_time_ms: ResponseTime | UnsetType | None = UNSET
    error_rate_percent: float | UnsetType | None = UNSET
    queue_backlog: int | UnsetType | None = UNSET
    connection_pool_usage_percent: float | UnsetType | None = UNSET
    query_latency_ms: float | UnsetType | None = UNSET
    reason: str | UnsetType = UNSET
    reason_source: str | UnsetType = UNSET
    since: datetime | None = None
    checked_at: datetime | None = None
    stale: bool = False
    depends_on: Sequence[str] = ()
    runbook_url: str | None = None
    metrics: Mapping[str, float | None] = {}
    facets: Mapping[str, str] = {}
    probes: Sequence[ProbeItem] = ()


class Monitor(Struct, frozen=True):
    """Whether this monitor itself can see. Offline, it says so, and claims nothing of services."""

    online: bool
    reason: str | None


class InfrastructureHealth(Struct, frozen=True):
    """All services, in the order of the settings."""

    services: list[ServiceItem]
    monitor: Monitor


class StatusChangeItem(Struct, frozen=True):
    """From `at` on the service was so; null: nobody knows."""

    at: datetime
    status: ServiceStatus | None


class HistoryPoint(Struct, frozen=True):
    """One step of a plot. What is unknown is null, never zero."""

    at: datetime
    avg_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    check_ms: float | None
    """Mean time of the probes' successful checks."""
    checks: int | None
    """Checks of the probes that came to a result."""
    failed_checks: int | None
    error_rate_percent: float | None
    """Failed requests of all, 0 to 100: the worst of the windows that end in the step."""


class ServiceHistory(Struct, frozen=True):
    """A service over some hours. Time of which nothing is known is not part of the uptime."""

    service: str
    since: datetime
    until: datetime
    uptime_percent: float | None
    healthy_s: float
    degraded_s: float
    down_s: float
    unknown_s: float
    changes: list[StatusChangeItem]
    changes_complete: bool
    step_s: int
    series: list[HistoryPoint]


class NewNote(Struct, frozen=True, forbid_unknown_fields=True):
    """A sentence for whoever looks next; it is shown instead of the generated reason."""

    note: Annotated[str, Meta(min_length=1, max_length=500)]
    expires_at: datetime | None = None


class NoteState(Struct, frozen=True):
    """What stands there now."""

    service: str
    note: str | None
    expires_at: datetime | None


class HeartbeatReceipt(Struct, frozen=True):
    """The call was noted, durably."""

    heartbeat: str
    received_at: datetime


_SPECIFIC = ("error_rate_percent", "connection_pool_usage_percent", "query_latency_ms")
_TOLD = {*_SPECIFIC, "queue_backlog"}


def history_answer(history: History) -> ServiceHistory:
    """A history as the API shows it."""
    uptime = history.uptime_percent
    return ServiceHistory(
        service=history.service,
        since=history.since,
        until=history.until,
        uptime_percent=None if uptime is None else round(uptime, 4),
        healthy_s=round(history.healthy_s, 3),
        degraded_s=round(history.degraded_s, 3),
        down_s=round(history.down_s, 3),
        unknown_s=round(history.unknown_s, 3),
        changes=[StatusChangeItem(each.at, each.status) for each in history.changes],
        changes_complete=history.is_complete,
        step_s=history.step_s,
        series=[_point(each) for each in history.series],
    )


def _point(point: SeriesPoint) -> HistoryPoint:
    return HistoryPoint(
        point.at,
        _number(point.avg_ms),
        _number(point.p95_ms),
        _number(point.p99_ms),
        _number(point.check_ms),
        point.checks,
        point.failed_checks,
        _number(point.error_rate_percent),
    )


def health_answer(snapshot: Snapshot) -> InfrastructureHealth:
    """A snapshot as the API shows it."""
    return InfrastructureHealth(
        services=[service_item(each) for each in snapshot.services],
        monitor=Monitor(snapshot.monitor_online, snapshot.monitor_reason),
    )


def service_item(service: ServiceHealth) -> ServiceItem:
    """One service as the API shows it."""
    metrics = service.metrics
    backlog = metrics.get("queue_backlog", UNSET)
    return ServiceItem(
        name=service.name,
        status=service.status,
        response_time_ms=_times(service.response_time),
        error_rate_percent=_rounded(metrics.get("error_rate_percent", UNSET)),
        queue_backlog=int(backlog) if isinstance(backlog, float | int) else backlog,
        connection_pool_usage_percent=_rounded(metrics.get("connection_pool_usage_percent", UNSET)),
        query_latency_ms=_rounded(metrics.get("query_latency_ms", UNSET)),
        reason=service.reason or UNSET,
        reason_source=service.reason_source or UNSET,
        since=service.since,
        checked_at=service.checked_at,
        stale=service.stale,
        depends_on=service.depends_on,
        runbook_url=service.runbook_url,
        metrics={
            name: value if value is None else round(value, 3)
            for name, value in metrics.items()
            if name not in _TOLD and not name.startswith("response_time_ms.")
        },
        facets=service.facets,
        probes=[
            ProbeItem(p.kind, p.target, p.outcome, p.reason, _number(p.latency_ms), p.checked_at)
            for p in service.probes
        ],
    )


def _times(times: ResponseTimes | None) -> ResponseTime | UnsetType:
    if times is None:
        return UNSET
    return ResponseTime(
        round(times.avg, 1), round(times.p95, 1), round(times.p99, 1), times.approximate
    )


def _rounded(value: float | UnsetType | None) -> float | UnsetType | None:
    return round(value, 3) if isinstance(value, float | int) else value


def _number(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
