"""An alert with what its life cycle must remember. Pure data; `rows` stores it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from quarterdeck.alerts.model import Alert, AlertState, Transition


@dataclass(frozen=True, slots=True)
class Memory:
    """What is not shown of an alert. Spans are seconds during which somebody looked."""

    seen_at: datetime | None = None
    """When it was last found to hold or not to hold; None: that was unknown."""
    measured_at: datetime | None = None
    """Of the signal that was looked at then."""
    held_s: Mapping[str, float] = field(default_factory=dict)
    """Rules that hold, and for how long."""
    clear_s: float | None = None
    """How long nothing has held while it fires; None: something holds."""
    absent_at: datetime | None = None
    """When its subject was last missing from an answer; None: it was there."""
    absent_s: float = 0.0
    flips: Sequence[datetime] = ()
    """When it changed, within the last hour."""
    sequence: int = 0
    """Of its last notice."""
    owed: Transition | None = None
    """A notice that is withheld and becomes due when nothing withholds it any more."""
    told: Sequence[str] = ()
    """Channels that were told it fires, and are to be told its end."""
    step: int = 0
    """Of the escalation: channels up to this one are told."""
    escalate_at: datetime | None = None
    depends_on: Sequence[str] = ()
    expires_at: datetime | None = None
    """Of somebody else's alert: over by then, unless it is told again."""


@dataclass(frozen=True, slots=True)
class Record:
    """A row of `alerts`."""

    alert: Alert
    memory: Memory = field(default_factory=Memory)

    def with_alert(self, **changes: Any) -> "Record":
        """The same, with fields of the alert changed."""
        return replace(self, alert=replace(self.alert, **changes))

    def with_memory(self, **changes: Any) -> "Record":
        """The same, remembering something else."""
        return replace(self, memory=replace(self.memory, **changes))

    @property
    def is_firing(self) -> bool:
        """Whether it fires now."""
        return self.alert.state is AlertState.FIRING
