"""What is found of one subject at one moment, before it is an alert. Pure data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from quarterdeck.alerts.model import Severity
from quarterdeck.core.signals import Value


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule says."""

    rule: str
    holds: bool | None
    """None: unknown, as the value is."""
    severity: Severity
    message: str
    value: Value
    for_s: float = 0.0
    keep_firing_for_s: float = 0.0
    runbook_url: str | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """What the rules of one group say of one subject."""

    fingerprint: str
    source: str
    subject: str
    labels: Mapping[str, str]
    at: datetime
    """When it was measured."""
    findings: Sequence[Finding]
    """At least one."""
    depends_on: Sequence[str] = ()
    starts_at: datetime | None = None
    """Since when, where the finder says so; None: since it was first seen."""
    expires_at: datetime | None = None
    """Over by then, unless it is found again."""

    @property
    def holds(self) -> bool | None:
        """True: a rule holds. False: none does. None: none does, but one is unknown."""
        said = [finding.holds for finding in self.findings]
        if True in said:
            return True
        return None if None in said else False
