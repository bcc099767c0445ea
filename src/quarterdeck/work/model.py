"""What a job is, in which state, and when it is tried again. Pure."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

DEFAULT_PRIORITY = 100
DEFAULT_MAX_ATTEMPTS = 3
BACKOFF_FIRST_S = 2.0
BACKOFF_CAP_S = 900.0


class JobStatus(StrEnum):
    """`jobs.status`, as the platform documents it."""

    QUEUED = "queued"
    MIGRATED_TO_REDIS = "migrated_to_redis"
    """Still waiting, but in a Redis list that other workers read; never claimed here."""
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class AttemptStatus(StrEnum):
    """`job_logs.status`: one row for each attempt, `attempting` until its end is known."""

    ATTEMPTING = "attempting"
    SUCCESS = "success"
    RETRY = "retry"
    FAILED = "failed"


class Band(IntEnum):
    """The three lanes of a queue. A band is paused by itself."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


BAND_SUFFIX = {Band.HIGH: ":high", Band.NORMAL: "", Band.LOW: ":low"}


def band_of(priority: int) -> Band:
    """The band of a priority: up to 50 high, 51..150 normal, above low."""
    if priority <= 50:
        return Band.HIGH
    return Band.NORMAL if priority <= 150 else Band.LOW


def public_name(queue_name: str, band: Band) -> str:
    """How the API calls a band of a queue: `queue:email-sending:high`."""
    return f"queue:{queue_name}{BAND_SUFFIX[band]}"


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to enqueue. `payload` is JSON data; no priority: the queue's default."""

    payload: Any
    priority: int | None = None
    run_at: datetime | None = None
    max_attempts: int = DEFAULT_MAX_ATTEMPTS


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that `locked_by` may work on until `lease_until`. `attempt` counts from 1."""

    id: str
    queue_name: str
    payload: Any
    priority: int
    attempt: int
    max_attempts: int
    locked_by: str
    lease_until: datetime
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a worker learns about the jobs it runs."""

    lost: frozenset[str]
    """No longer its own: the lease ran out, or the job is gone. Stop, and report nothing."""
    cancelled: frozenset[str]
    """Asked to stop; to be reported as failed."""


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a job says it is. `total` None: not known yet."""

    total: int | None
    done: int
    failed: int
    outcome: Any
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class WorkJob:
    """One job as it is stored now."""

    id: str
    queue_name: str
    status: JobStatus
    priority: int
    payload: Any
    attempt_count: int
    max_attempts: int
    run_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    failed_at: datetime | None
    last_error_message: str | None
    last_error_trace: str | None
    created_at: datetime
    updated_at: datetime
    locked_by: str | None
    lease_until: datetime | None
    cancel_requested: bool
    progress: JobProgress | None = None


@dataclass(frozen=True, slots=True)
class Lane:
    """The due jobs of one queue and one priority."""

    queue_name: str
    priority: int


def lanes_by_priority(lanes: Sequence[Lane]) -> list[tuple[int, list[str]]]:
    """Most urgent first: each priority with the queues that have due jobs of it."""
    found: dict[int, list[str]] = {}
    for lane in lanes:
        found.setdefault(lane.priority, []).append(lane.queue_name)
    return sorted(found.items())


Backoff = Callable[[int], float]
"""Seconds to wait after the attempt of this number (from 1) has failed."""


def full_jitter(attempt: int) -> float:
    """Exponential backoff with full jitter: anything from 0 to min(15 min, 2 s * 2^(attempt-1)).

    Full jitter spreads a crowd that failed together best: Brooker, "Exponential Backoff And
    Jitter", AWS Architecture Blog, 2015.
    """
    ceiling = min(BACKOFF_CAP_S, BACKOFF_FIRST_S * 2.0 ** min(attempt - 1, 30))
    return random.uniform(0, ceiling)  # noqa: S311 - spreads load, guards nothing
