"""What is remembered of services beyond this process: pure data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from quarterdeck.health.model import ServiceStatus
from quarterdeck.health.rules import Latch, MetricLatches


@dataclass(slots=True)
class Memory:
    """What a restart must not forget of a check."""

    seen_at: datetime | None = None
    """When something was last known of it."""
    trouble: str | None = None
    """Why it last failed."""
    outcome: Latch = field(default_factory=Latch)
    metrics: dict[str, MetricLatches] = field(default_factory=dict)
    """Of those that have a threshold."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a restart must not forget of a service."""

    name: str
    status: ServiceStatus | None
    """None: too little has been seen to say."""
    since: datetime
    checked_at: datetime | None
    checks: Mapping[str, Memory]
    """By a name that the check has in the next process too."""


@dataclass(frozen=True, slots=True)
class Note:
    """What a human has to say about a service."""

    service: str
    text: str
    author: str
    created_at: datetime
    expires_at: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Whether it still applies."""
        return self.expires_at is None or now < self.expires_at
