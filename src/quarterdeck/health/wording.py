"""Why a status is what it is, in sentences that name metric, value and limit."""

from collections.abc import Mapping
from math import isfinite

from quarterdeck.health.model import Threshold
from quarterdeck.health.rules import MetricLatches, Side, down_recovered, side_of

NAMES: Mapping[str, str] = {
    "queue_backlog": "backlog",
    "connection_pool_usage_percent": "connection pool usage",
    "query_latency_ms": "query latency",
    "response_time_ms.avg": "average response time",
    "response_time_ms.p95": "p95 response time",
    "response_time_ms.p99": "p99 response time",
    "error_rate_percent": "error rate",
    "memory_used_percent": "memory used",
    "memory_used_bytes": "memory used",
    "hit_rate_percent": "hit rate",
    "tls_expires_in_days": "certificate expires in",
    "heartbeat_age_s": "last heartbeat",
    "unassigned_shards": "unassigned shards",
    "indexing_lag_s": "indexing lag",
}
_UNITS = (
    ("_ms", " ms"), ("_percent", " %"), ("_bytes", " bytes"), ("_days", " days"), ("_s", " s"),
)  # fmt: skip
_LONG = ((86_400, "d"), (3600, "h"), (60, "min"))


def metric_reason(metric: str, latches: MetricLatches, threshold: Threshold) -> str:
    """Such as `p95 response time 1,240 ms, above 1,000 ms`, of a metric that is past a limit."""
    if latches.last is None:
        return f"{name_of(metric)} unknown"
    limit, recovered = threshold.degraded, threshold.recovered
    if latches.down.is_set and threshold.down is not None:
        limit, recovered = threshold.down, down_recovered(threshold)
    less = threshold.is_less_worse
    worse, better = ("below", "above") if less else ("above", "below")
    text = f"{name_of(metric)} {quantity(metric, latches.last)}"
    side = side_of(latches.last, limit, recovered, less)
    if side is Side.BAD:
        just = "just " if quantity(metric, latches.last) == quantity(metric, limit) else ""
        text = f"{text}, {just}{worse} {quantity(metric, limit)}"
    elif side is Side.BETWEEN:
        text = f"{text}, not yet {better} {quantity(metric, recovered)}"
    else:
        text = f"{text}, good again but not yet for long"
    return text if latches.is_known else f"{text} when last known"


def no_data(age_s: float, of: str = "") -> str:
    """Such as `no data for 45 s`; `of` names the check where a service has several."""
    text = f"no data for {span(age_s)}"
    return f"{text} from the {of}" if of else text


def check_name(kind: str, target: str) -> str:
    """How a sentence calls a probe."""
    return f"{kind} check of {target}"


def name_of(metric: str) -> str:
    """A metric for people."""
    known = NAMES.get(metric)
    if known is not None:
        return known
    for suffix, _ in _UNITS:
        metric = metric.removesuffix(suffix)
    return metric.replace("_", " ")


def quantity(metric: str, value: float) -> str:
    """A value with its unit, as precise as anybody reads: `1,240 ms`, `0.5 %`, `12 days`."""
    return f"{_number(value)}{_unit(metric)}"


def span(seconds: float) -> str:
    """A length of time: `45 s`, `12 min`, `3 h`, `2 d`; never rounded up."""
    seconds = max(0.0, seconds)
    for size, unit in _LONG:
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def _number(value: float) -> str:
    if not isfinite(value):
        return str(value)
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _unit(metric: str) -> str:
    stem = metric.partition(".")[0]
    for suffix, unit in _UNITS:
        if stem.endswith(suffix):
            return unit
    return ""
