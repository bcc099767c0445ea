"""Alerts that somebody else found, as observations: they live the same life as ours. Pure."""

from collections.abc import Sequence
from datetime import datetime

from quarterdeck.alerts.external import ExternalAlert
from quarterdeck.alerts.fingerprint import fingerprint
from quarterdeck.alerts.observation import Finding, Observation

SOURCE = "alertmanager"


def observe_external(alerts: Sequence[ExternalAlert], now: datetime) -> list[Observation]:
    """One for each fingerprint; of several, the last says how it is."""
    found = {alert.fingerprint: _observation(alert, now) for alert in alerts}
    return list(found.values())


def _observation(alert: ExternalAlert, now: datetime) -> Observation:
    is_over = alert.is_resolved or (alert.ends_at is not None and alert.ends_at <= now)
    finding = Finding(
        rule=alert.rule,
        holds=not is_over,
        severity=alert.severity,
        message=alert.message,
        value=None,
        runbook_url=alert.runbook_url,
    )
    return Observation(
        # The finder's fingerprint, not its labels: what tells its alerts apart is its own matter.
        fingerprint=fingerprint(alert.rule, SOURCE, alert.service, {"": alert.fingerprint}),
        source=SOURCE,
        subject=alert.service,
        labels=alert.labels,
        at=now,
        findings=[finding],
        starts_at=alert.starts_at,
        expires_at=alert.ends_at,
    )
