"""What one `[[queues.sources]]` entry of kind `sql` may say."""

from typing import Literal

from msgspec import Struct, field

REQUIRED_JOB_COLUMNS = ("id", "queue_name", "status", "payload", "created_at")


class Tables(Struct, frozen=True, forbid_unknown_fields=True):
    """`tables`: what the tables are called. Empty: there is none. Only the first two must exist."""

    queues: str = "job_queues"
    jobs: str = "jobs"
    logs: str = "job_logs"
    pauses: str = "job_queue_pauses"
    counts: str = "job_counts"


class QueueColumns(Struct, frozen=True, forbid_unknown_fields=True):
    """`columns.queues`: without `is_active` (and without pauses) queues cannot be paused."""

    name: str = "name"
    is_active: str = "is_active"


class JobColumns(Struct, frozen=True, forbid_unknown_fields=True):
    """`columns.jobs`: what the columns are called. Empty: there is none.

    `id`, `queue_name`, `status`, `payload` and `created_at` must exist. A name that is given here
    must exist; one that is left to its default is used if it does.
    """

    id: str = "id"
    queue_name: str = "queue_name"
    status: str = "status"
    payload: str = "payload"
    created_at: str = "created_at"
    priority: str = "priority"
    attempt_count: str = "attempt_count"
    max_attempts: str = "max_attempts"
    run_at: str = "run_at"
    started_at: str = "started_at"
    completed_at: str = "completed_at"
    failed_at: str = "failed_at"
    updated_at: str = "updated_at"
    last_error_message: str = "last_error_message"
    last_error_trace: str = "last_error_trace"
    locked_by: str = "locked_by"
    lease_until: str = "lease_until"
    cancel_requested: str = "cancel_requested"


class LogColumns(Struct, frozen=True, forbid_unknown_fields=True):
    """`columns.logs`: one row for each attempt."""

    job_id: str = "job_id"
    status: str = "status"
    attempt_number: str = "attempt_number"
    started_at: str = "started_at"
    finished_at: str = "finished_at"
    duration_ms: str = "duration_ms"
    log_message: str = "log_message"
    stack_trace: str = "stack_trace"


class Columns(Struct, frozen=True, forbid_unknown_fields=True):
    """`columns`: the map from our names to those of existing tables."""

    queues: QueueColumns = field(default_factory=QueueColumns)
    jobs: JobColumns = field(default_factory=JobColumns)
    logs: LogColumns = field(default_factory=LogColumns)


class Statuses(Struct, frozen=True, forbid_unknown_fields=True):
    """`statuses`: which values of the status column mean what. A retry writes the first `waiting`.

    Jobs in any other status are not shown.
    """

    waiting: tuple[str, ...] = ("queued", "migrated_to_redis")
    active: tuple[str, ...] = ("running",)
    completed: tuple[str, ...] = ("completed",)
    failed: tuple[str, ...] = ("failed",)


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """One SQL source. Everything but name and URL defaults to the documented tables."""

    name: str
    url: str
    """`sqlite:///path` or `postgresql://user:password@host/database`."""
    kind: str = "sql"
    schema: str = ""
    """PostgreSQL schema of the tables; empty: the connection's search path."""
    tables: Tables = field(default_factory=Tables)
    columns: Columns = field(default_factory=Columns)
    statuses: Statuses = field(default_factory=Statuses)
    counters: Literal["detect", "job_counts", "none"] = "detect"
    """`none` ignores counters that exist; `job_counts` insists on them."""
