"""What samples of a queue tell: where it is going, and what it was like. Pure data."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from quarterdeck.queues.model import QueueRef


class Direction(StrEnum):
    """Where a queue is going."""

    RISING = "rising"
    FALLING = "falling"
    STEADY = "steady"


@dataclass(frozen=True, slots=True)
class Trend:
    """The change of a queue's depth over the last minutes."""

    direction: Direction
    waiting_per_minute: float
    """Slope of a straight line through the samples."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the samples of a queue tell. None: too little is known to say."""

    trend: Trend | None = None
    eta_s: float | None = None
    """Until nothing waits any more, if it goes on so; None also when it does not fall."""
    completed_last_hour: int | None = None
    """Added up from samples; None unless they cover the hour."""


@dataclass(frozen=True, slots=True)
class QueuePoint:
    """One step of a plot, which begins at `at`. What is unknown is None, never zero."""

    at: datetime
    waiting: float | None = None
    """Mean of the step."""
    waiting_max: int | None = None
    active: float | None = None
    failed: int | None = None
    """Failed jobs that were kept, at most within the step."""
    oldest_age_s: float | None = None
    """At most within the step."""
    completed_per_minute: float | None = None
    failed_per_minute: float | None = None


@dataclass(frozen=True, slots=True)
class QueueHistory:
    """A queue from `since` until `until`."""

    ref: QueueRef
    since: datetime
    until: datetime
    step_s: int
    series: Sequence[QueuePoint]
    """All steps, also those in which nothing is known."""
