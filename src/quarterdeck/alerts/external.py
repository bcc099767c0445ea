"""An alert that somebody else found: an Alertmanager, a Grafana. Pure data."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from quarterdeck.alerts.model import Severity


@dataclass(frozen=True, slots=True)
class ExternalAlert:
    """One alert as its finder tells it, in our words. Texts are foreign, and storable."""

    rule: str
    """Its `alertname`."""
    service: str
    labels: Mapping[str, str]
    """All of them, those that became fields too."""
    severity: Severity
    message: str
    starts_at: datetime
    ends_at: datetime | None
    """When it ended, or will be taken for ended unless it is told again; None: not said."""
    is_resolved: bool
    runbook_url: str | None
    fingerprint: str
    """The finder's own, of its labels."""
