"""What rooms tell each other: measured values of a subject, at one moment. Wired by `app`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

Value = float | str | bool | None
"""None is unknown: no rule fires and none resolves on it."""


@dataclass(frozen=True, slots=True)
class Signal:
    """One subject and what is known of it: a queue, a service, an address, a log search."""

    source: str
    """Which room measured: `queue`, `service`, `ip`, `log_search`."""
    subject: str
    """Its name for people, such as `SMTP Service` or `queue:email:high`."""
    at: datetime
    values: Mapping[str, Value]
    """Measure to value, such as `waiting`, `status`, `response_time_ms.p95`."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What tells subjects of one name apart; part of an alert's identity."""
    depends_on: Sequence[str] = ()
    """Subjects of the same source; while one of them is alerting, this one's alert is withheld."""
    runbook_url: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    """Sentences for a message, such as `reason`; never part of an identity."""


Signals = Callable[[], Awaitable[Sequence[Signal]]]
"""A room's present signals. Raises SourceUnavailable when it cannot tell."""
