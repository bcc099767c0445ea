"""The rules that hold unless the settings say otherwise. Each can be changed by its name."""

from quarterdeck.alerts.model import Operator, Rule, Severity

DEFAULTS: tuple[Rule, ...] = (
    Rule(
        "queue_depth", "queue", "waiting", Operator.ABOVE, 10_000, Severity.ERROR,
        "Queue size exceeded {threshold} threshold: {value} jobs wait in {subject}",
    ),
    Rule(
        "queue_failure_rate", "queue", "failure_rate_percent", Operator.ABOVE, 5, Severity.ERROR,
        "{value} % of the jobs of {subject} failed in the last hour; up to {threshold} % is normal",
    ),
    Rule(
        "queue_critical", "queue", "status", Operator.IS, "critical", Severity.ERROR,
        "Queue {subject} is critical: {waiting} waiting, {failed} failed",
        group="queue_status",
    ),
    Rule(
        "queue_warning", "queue", "status", Operator.IS, "warning", Severity.WARNING,
        "Queue {subject} is filling: {waiting} waiting, {failed} failed",
        group="queue_status",
    ),
    Rule(
        "service_down", "service", "status", Operator.IS, "down", Severity.ERROR,
        "{subject} is down: {reason}",
        group="service_status",
    ),
    Rule(
        "service_degraded", "service", "status", Operator.IS, "degraded", Severity.WARNING,
        "{subject} is degraded: {reason}",
        group="service_status",
    ),
    Rule(
        "response_time", "service", "response_time_ms.p95", Operator.ABOVE, 1000, Severity.WARNING,
        "95 % of the answers of {subject} take up to {value} ms; {threshold} ms is the limit",
        for_s=300,
    ),
    Rule(
        "connection_pool", "service", "connection_pool_usage_percent", Operator.AT_LEAST, 80,
        Severity.INFO,
        "{value} % of the connections of {subject} are in use",
    ),
    Rule(
        "ip_blacklisted", "ip", "listed_on_major", Operator.IS, True, Severity.ERROR,
        "{subject} is listed on a major blacklist: {reason}",
        group="ip_listing",
    ),
    Rule(
        "ip_listed", "ip", "listed_on_other", Operator.IS, True, Severity.WARNING,
        "{subject} is listed: {reason}",
        group="ip_listing",
    ),
    Rule(
        "ip_reputation", "ip", "reputation_score", Operator.BELOW, 70, Severity.WARNING,
        "The reputation of {subject} fell to {value}; below {threshold} mail is held back",
    ),
)  # fmt: skip
