"""What a service, a probe's reading and a service's health are. Pure data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class ServiceStatus(StrEnum):
    """The spec's three."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    DOWN = "down"


class Outcome(StrEnum):
    """What a probe can say."""

    OK = "ok"
    FAIL = "fail"
    """The service did not do what it must."""
    UNKNOWN = "unknown"
    """We could not find out, for a reason that lies with us or with a third party."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one probe saw at one moment. `reason` is a sentence without secrets or foreign text."""

    outcome: Outcome
    reason: str | None = None
    latency_ms: float | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    """By the names of `METRICS`; None is unknown."""
    facets: Mapping[str, str] = field(default_factory=dict)
    """What is no number: `cluster_status`, `connection_pool_source`, `version`."""


METRICS: Mapping[str, str] = {
    "queue_backlog": "jobs or messages that wait",
    "connection_pool_usage_percent": "connections used of those allowed, or of a pooler's",
    "query_latency_ms": "one trivial query on an open connection",
    "response_time_ms.avg": "mean over the window",
    "response_time_ms.p95": "95th percentile over the window",
    "response_time_ms.p99": "99th percentile over the window",
    "error_rate_percent": "failed requests of all, 0 to 100",
    "request_rate": "requests a second",
    "memory_used_percent": "of what the service may take",
    "memory_used_bytes": "taken by the service",
    "hit_rate_percent": "reads answered by the cache",
    "tls_expires_in_days": "days until the certificate ends; negative: it has",
    "heartbeat_age_s": "since the service last called us",
    "unassigned_shards": "of a search cluster",
    "indexing_lag_s": "between a write and its being found",
}
"""Metric to what it is. A probe may give others in the same style; thresholds may name any."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """Two limits for a metric: past `degraded` it is bad, and again good only past `recovered`.

    A metric of which less is worse (`hit_rate_percent`, `tls_expires_in_days`) has
    `recovered > degraded`. `down` is optional and works as `degraded` does.
    """

    degraded: float
    recovered: float
    down: float | None = None

    @property
    def is_less_worse(self) -> bool:
        """Whether small values are the bad ones."""
        return self.recovered > self.degraded


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """A service as the settings declare it."""

    name: str
    interval_s: float = 15.0
    timeout_s: float = 5.0
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)
    depends_on: Sequence[str] = ()
    runbook_url: str | None = None
    fall: int = 3
    """Bad readings in a row until the status falls."""
    rise: int = 2
    """Good ones in a row until it rises."""
    telemetry_names: Sequence[str] = ()
    """`service.name` of pushed telemetry that belongs to this service, besides its own name."""


@dataclass(frozen=True, slots=True)
class ResponseTimes:
    """Milliseconds over the window, from a histogram; `approximate` when from fixed buckets."""

    avg: float
    p95: float
    p99: float
    approximate: bool = False


@dataclass(frozen=True, slots=True)
class ProbeHealth:
    """The last reading of one probe of a service."""

    kind: str
    target: str
    """What it looks at, without secrets."""
    outcome: Outcome
    reason: str | None
    latency_ms: float | None
    checked_at: datetime | None


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """One service in a snapshot. Whatever is unknown is None."""

    name: str
    status: ServiceStatus
    since: datetime
    checked_at: datetime | None
    stale: bool
    """No data for three intervals."""
    reason: str | None
    reason_source: str | None
    """`generated` or `operator`; None where there is no reason."""
    depends_on: Sequence[str]
    runbook_url: str | None
    response_time: ResponseTimes | None
    metrics: Mapping[str, float | None]
    facets: Mapping[str, str]
    probes: Sequence[ProbeHealth]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All services at one moment; built after each reading, served as it is."""

    at: datetime
    services: Sequence[ServiceHealth]
    monitor_online: bool
    """False: this monitor has lost the network; what it last knew is shown, marked stale."""
    monitor_reason: str | None = None
