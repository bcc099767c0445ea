"""What an engine must be able to do, in small parts. `Engine` is all of them together.

Rules for every engine: a read never cleans up, migrates, unpickles or heartbeats. Every write has
the job's state as its precondition, in one atomic step of the engine. An unknown queue or job is
`NotFound`, a state that forbids the call is `Conflict`, a thing the engine cannot do is
`Unsupported`, a source that does not answer is `SourceUnavailable`. One malformed job never
breaks a page.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from quarterdeck.core.pagination import Page
from quarterdeck.queues.model import (
    BulkAction,
    Capabilities,
    DeleteOutcome,
    FailureSample,
    Job,
    JobRef,
    JobState,
    PauseResult,
    QueueRef,
    QueueStats,
    RetryResult,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")


class JobFilter(Protocol):
    """A text filter. Engines may narrow down by `needle`; `accepts` has the last word.

    Payloads are compared as they are shown, redacted: a search must not tell a secret.
    """

    @property
    def needle(self) -> str:
        """The text, as the user gave it."""
        ...

    def accepts(self, payload: Any, error_message: str | None) -> bool:
        """Whether the needle is in the redacted payload or in the error message."""
        ...


class QueueReader(Protocol):
    """Queues and their counts."""

    kind: str

    async def snapshot(self) -> Mapping[QueueRef, QueueStats]:
        """All queues with their counts, in one round trip, at a cost free of the job count."""
        ...

    async def find_queue(self, name: str) -> tuple[QueueRef, QueueStats] | None:
        """The one queue of this public name; also a band that has had no jobs yet."""
        ...

    def capabilities(self, queue: QueueRef) -> Capabilities:
        """What can be done with this queue."""
        ...


class JobReader(Protocol):
    """Jobs, page by page and one by one."""

    async def list_jobs(
        self,
        queue: QueueRef,
        state: JobState | None,
        limit: int,
        offset: int,
        text: JobFilter | None = None,
    ) -> Page[Job]:
        """Jobs of a state, or of all four, newest (`created_at`) first."""
        ...

    async def find_job(self, ref: JobRef) -> Job | None:
        """One job with its attempt history."""
        ...

    async def sample_failures(self, queue: QueueRef, limit: int) -> FailureSample:
        """The newest failed jobs, at most `limit`, for grouping by error."""
        ...


class QueuePauser(Protocol):
    """The emergency stop. Running jobs finish."""

    async def pause(self, queue: QueueRef) -> PauseResult:
        """Stop workers from taking jobs; the result says how far this reaches."""
        ...

    async def resume(self, queue: QueueRef) -> PauseResult:
        """Let workers take jobs again; nothing that waited meanwhile is lost."""
        ...


class JobChanger(Protocol):
    """Retry and delete, one job or all failed ones."""

    async def retry(self, ref: JobRef) -> RetryResult:
        """Put a failed job back, attempts from zero where the engine can."""
        ...

    async def delete(self, ref: JobRef) -> DeleteOutcome:
        """Remove a job that does not run."""
        ...

    def bulk(self, action: BulkAction, queue: QueueRef, cutoff: datetime) -> AsyncIterator[int]:
        """Act on all jobs that failed up to `cutoff`, in batches; yields each batch's size.

        Jobs that fail again later than `cutoff` are left alone, so this ends, and may be run
        again after a crash.
        """
        ...


class Engine(QueueReader, JobReader, QueuePauser, JobChanger, Protocol):
    """A guest: one queue engine behind all of the above."""

    async def close(self) -> None:
        """Give connections back."""
        ...


class SqlDatabase(Protocol):
    """The SQL access that an adapter is handed: transactions as functions of a connection."""

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        """Which SQL it speaks."""
        ...

    async def read(self, query: "Callable[[Connection], T]", timeout_s: float = ...) -> T:
        """Run a read transaction; `SourceUnavailable` when it cannot be had in time."""
        ...

    async def write(self, change: "Callable[[Connection], T]") -> T:
        """Run a write transaction; it is durable on return."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...


class Toolbox(Protocol):
    """What the composition root offers to adapters that are being built."""

    def open_sql(self, url: str, name: str) -> SqlDatabase:
        """Open SQLite or PostgreSQL at `url`."""
        ...

    def build(self, kind: str, source: str, options: Mapping[str, Any]) -> Engine:
        """Build an engine of another kind, for one that is made of several."""
        ...


class EngineFactory(Protocol):
    """How the registry calls an adapter: source name, its decoded options, the toolbox."""

    Options: type[Any]
    documented: Capabilities
    """What can be done with a queue as the engine's own library makes it."""

    def __call__(self, source: str, options: Any, toolbox: Toolbox) -> Engine:
        """Build the engine. Connects to nothing yet."""
        ...
