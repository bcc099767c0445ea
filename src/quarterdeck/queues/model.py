"""What a queue, a job and an engine's abilities are. Pure data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class JobState(StrEnum):
    """The four states of the API; every engine's own states fall into them."""

    ACTIVE = "active"
    WAITING = "waiting"
    FAILED = "failed"
    COMPLETED = "completed"


class Priority(StrEnum):
    """The band of a queue, as the spec names it."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class QueueStatus(StrEnum):
    """The spec's traffic light, by `rules.status_of`."""

    HEALTHY = "healthy"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"
    """The counts cannot be had: not green."""


class Provenance(StrEnum):
    """Where `completed_last_hour` comes from."""

    EXACT = "exact"
    RETAINED = "retained"
    METRICS = "metrics"
    SAMPLED = "sampled"
    NONE = "none"


class PauseSupport(StrEnum):
    """What pausing means in an engine."""

    NATIVE = "native"
    WORKERS = "workers"
    COMPOSITE = "composite"
    GLOBAL = "global"
    NONE = "none"


class PauseScope(StrEnum):
    """What one pause really stops."""

    BAND = "band"
    QUEUE = "queue"
    GLOBAL = "global"


class RetrySupport(StrEnum):
    """How a failed job is put back."""

    NATIVE = "native"
    REPUBLISH = "republish"
    NONE = "none"


class AttemptsReset(StrEnum):
    """What a retry does to the attempt counter."""

    NATIVE = "native"
    PATCHED = "patched"
    NO = "no"


class DeleteSupport(StrEnum):
    """Whether a job in some state may be deleted."""

    YES = "yes"
    CANCEL = "cancel"
    NO = "no"


class ListSupport(StrEnum):
    """Whether jobs in some state can be listed."""

    YES = "yes"
    INDEXED = "indexed"
    NO = "no"


class ErrorSupport(StrEnum):
    """How much of a failure the engine keeps."""

    TRACE = "trace"
    MESSAGE = "message"
    NONE = "none"


class PayloadSupport(StrEnum):
    """How much of a payload can be shown."""

    JSON = "json"
    REPR = "repr"
    OPAQUE = "opaque"


class TotalSupport(StrEnum):
    """How totals are counted."""

    EXACT = "exact"
    CAPPED = "capped"
    ESTIMATE = "estimate"


class IdScope(StrEnum):
    """Among what a native job id is unique."""

    GLOBAL = "global"
    DATABASE = "db"
    QUEUE = "queue"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do, said in data: shown in the API, and the reason of a 409."""

    completed_last_hour: Provenance
    total: TotalSupport
    pause: PauseSupport
    pause_scope: PauseScope
    pause_durable: bool
    retry: RetrySupport
    attempts_reset: AttemptsReset
    delete: Mapping[JobState, DeleteSupport]
    list_jobs: Mapping[JobState, ListSupport]
    error: ErrorSupport
    payload: PayloadSupport
    id_scope: IdScope
    notes: Sequence[str] = ()
    """Sentences for the operator. The first says what a pause means, or why there is none."""


@dataclass(frozen=True, slots=True)
class QueueRef:
    """A queue of a source. `name` is public (`queue:email-sending:high`)."""

    source: str
    name: str
    priority: Priority = Priority.NORMAL


@dataclass(frozen=True, slots=True)
class QueueStats:
    """Counts of one queue at one moment. None is unknown; zero is zero."""

    active: int | None
    waiting: int | None
    failed: int | None
    completed_last_hour: int | None
    completed_last_hour_source: Provenance
    paused: bool | None
    oldest_waiting_at: datetime | None = None
    """Since when the longest waiting due job could have run; None: none is due."""
    completed: int | None = None
    """Finished jobs that are still kept."""
    completed_last_minute: int | None = None  # the last full minute, or the last 60 s
    failed_last_minute: int | None = None
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class JobRef:
    """A job of a source. `queue` stays empty where native ids are unique in the source."""

    source: str
    id: str
    queue: str = ""


@dataclass(frozen=True, slots=True)
class JobError:
    """The last failure. A missing trace is None, not an empty string."""

    message: str
    stack_trace: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One entry of a job's history."""

    number: int
    outcome: str
    started_at: datetime
    finished_at: datetime | None = None
    duration_ms: int | None = None
    message: str | None = None
    stack_trace: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One job as its engine knows it. `payload` is whatever JSON it carries, unredacted."""

    ref: JobRef
    queue: str
    """Public name of the queue that holds it."""
    state: JobState
    payload: Any
    attempts: int | None
    created_at: datetime | None
    updated_at: datetime | None
    error: JobError | None = None
    max_attempts: int | None = None
    run_at: datetime | None = None
    native_state: str | None = None
    payload_error: str | None = None
    """Why the payload could not be decoded; `payload` then holds the raw text."""
    location: str | None = None
    """Where a hybrid engine keeps it, such as `postgresql` or `redis`."""
    history: Sequence[Attempt] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """What error grouping needs of one failed job."""

    ref: JobRef
    message: str
    failed_at: datetime | None


@dataclass(frozen=True, slots=True)
class FailureSample:
    """The newest failures of a queue, and whether there were more than we read."""

    failures: Sequence[Failure]
    is_complete: bool


class EngineHealth(StrEnum):
    """Whether a source answers; `slow`: what is shown is its last answer."""

    OK = "ok"
    SLOW = "slow"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class SourceState:
    """How a source is, for answers that name it."""

    name: str
    kind: str
    health: EngineHealth
    error: str | None = None
    warnings: Sequence[str] = ()
    answered_at: datetime | None = None
    """When the counts were read; None: never since the start."""


@dataclass(frozen=True, slots=True)
class PauseResult:
    """What a pause or resume really did."""

    paused: bool
    changed: bool
    """False: it was so already."""
    scope: PauseScope
    durable: bool
    affected: Sequence[str] = ()
    """Public names of all queues that this stopped or started."""
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RetryResult:
    """The job is queued again; whether its attempts really start from zero."""

    attempts_reset: bool


class DeleteOutcome(StrEnum):
    """What became of a job that was to be deleted."""

    DELETED = "deleted"
    CANCEL_REQUESTED = "cancel_requested"


class BulkAction(StrEnum):
    """Operations over all failed jobs of a queue."""

    RETRY_FAILED = "retry_failed"
    DELETE_FAILED = "delete_failed"
