"""What a rule, an alert, a silence and a notification are. Pure data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from quarterdeck.core.signals import Value


class Severity(StrEnum):
    """The spec's three, worst first."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """Larger is worse."""
        return {"info": 0, "warning": 1, "error": 2}[self.value]


class AlertState(StrEnum):
    """Where an alert stands. An inactive one has no row."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class Transition(StrEnum):
    """What happened to an alert, and what a notification tells."""

    FIRING = "firing"
    RAISED = "raised"
    """It became more severe while it was firing."""
    REOPENED = "reopened"
    FLAPPING = "flapping"
    """It changes too often; nothing more is sent until it has been quiet."""
    ESCALATED = "escalated"
    ACKNOWLEDGED = "acknowledged"
    UNACKNOWLEDGED = "unacknowledged"
    RESOLVED = "resolved"
    TEST = "test"


class Operator(StrEnum):
    """How a rule compares a value with its threshold."""

    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="
    IS = "=="
    IS_NOT = "!="


@dataclass(frozen=True, slots=True)
class Rule:
    """When a signal's measure is an alert."""

    name: str
    """Unique: part of an alert's identity."""
    source: str
    """Of the signals it looks at: `queue`, `service`, `ip`, `log_search`, `alertmanager`."""
    measure: str
    operator: Operator
    threshold: Value
    severity: Severity
    message: str
    """With `{subject}`, `{value}`, `{threshold}`, `{measure}` and the signal's details by name."""
    for_s: float = 0.0
    """How long it must hold before it fires; time when nobody looked does not count."""
    keep_firing_for_s: float = 0.0
    match: Mapping[str, str] = field(default_factory=dict)
    """Only signals with these labels; `subject` may be among them; `*` is a wildcard."""
    group: str = ""
    """Rules of one group on one subject are one alert: the most severe that holds speaks."""
    runbook_url: str | None = None
    is_enabled: bool = True


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert, from the first crossing until it is resolved."""

    id: str
    fingerprint: str
    """SHA-256 over rule (or its group), source, subject and labels; never values or severity."""
    rule: str
    source: str
    service: str
    """The subject, as the spec's `service`."""
    labels: Mapping[str, str]
    state: AlertState
    severity: Severity
    message: str
    value: Value
    started_at: datetime
    """When the condition was first seen to hold."""
    fired_at: datetime | None
    """The spec's `timestamp`."""
    updated_at: datetime
    resolved_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    note: str | None
    runbook_url: str | None
    count: int
    """Times it fired, with its reopenings."""
    is_flapping: bool
    silenced_by: str | None
    """Id of the silence that withholds its notices now."""
    inhibited_by: str | None
    """Subject whose alert withholds this one's notices now."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition of a silence: a label, `rule`, `source`, `service` or `severity`."""

    name: str
    value: str
    """`*` stands for anything in it."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Withholds notices that match all of it, until it ends."""

    id: str
    matchers: Sequence[Matcher]
    author: str
    comment: str
    created_at: datetime
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Notification:
    """What a channel is to tell."""

    id: str
    """Idempotency key: the same notice sent twice carries the same."""
    transition: Transition
    alert: Alert
    at: datetime
    """When the change happened, not when it is sent."""
    link: str | None
    """Of the alert in the console; None without a public address."""
