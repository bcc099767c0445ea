"""What others are told of a watched service."""

from quarterdeck.core.signals import Signal, Value
from quarterdeck.health.checks import CheckState
from quarterdeck.health.model import ProbeHealth, ResponseTimes, ServiceHealth
from quarterdeck.health.watch import ServiceWatch

TIMES = ("response_time_ms.avg", "response_time_ms.p95", "response_time_ms.p99")


def health_of(watch: ServiceWatch) -> ServiceHealth:
    """A service as it was judged last."""
    verdict, note, metrics = watch.verdict, watch.note, metrics_of(watch)
    source = "operator" if note else "generated"
    reason = note.text if note else verdict.reason
    return ServiceHealth(
        name=watch.spec.name,
        status=verdict.status,
        since=verdict.since,
        checked_at=watch.checked_at,
        stale=verdict.stale,
        reason=reason,
        reason_source=source if reason else None,
        depends_on=watch.spec.depends_on,
        runbook_url=watch.spec.runbook_url,
        response_time=watch.response_time or _probed_times(metrics),
        metrics=metrics,
        facets={name: text for check in watch.probes for name, text in check.facets.items()},
        probes=[_probe_health(check) for check in watch.probes],
    )


def signal_of(watch: ServiceWatch, health: ServiceHealth) -> Signal:
    """For the alert rules. What is stale is unknown; `stale` says that data has been missing."""
    verdict = watch.verdict
    values: dict[str, Value] = dict(health.metrics)
    if verdict.stale:
        values = dict.fromkeys(values)
    values["status"] = verdict.status.value if verdict.is_judged else None
    values["stale"] = verdict.is_blind
    return Signal(
        source="service",
        subject=watch.spec.name,
        at=watch.judged_at,
        values=values,
        depends_on=watch.spec.depends_on,
        runbook_url=watch.spec.runbook_url,
        details={"reason": health.reason} if health.reason else {},
    )


def metrics_of(watch: ServiceWatch) -> dict[str, float | None]:
    """All metrics of all its checks. Where several know one, the first has it."""
    merged: dict[str, float | None] = {}
    for check in watch.checks:
        is_silent = check.silent_since(watch.judged_at) is not None
        for name, value in check.values.items():
            if merged.get(name) is None:
                merged[name] = None if is_silent else value
    return merged


def _probed_times(metrics: dict[str, float | None]) -> ResponseTimes | None:
    """Of a probe that asks another monitor; how that one counted, nobody can tell."""
    avg, p95, p99 = (metrics.get(name) for name in TIMES)
    if avg is None or p95 is None or p99 is None:
        return None
    return ResponseTimes(avg, p95, p99, approximate=True)


def _probe_health(check: CheckState) -> ProbeHealth:
    last = check.last
    return ProbeHealth(
        check.kind, check.target, last.outcome, last.reason, last.latency_ms, check.checked_at
    )
