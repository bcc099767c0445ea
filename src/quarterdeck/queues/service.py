"""The verbs of the queue room, over any number of engines."""

import asyncio
import difflib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    SourceUnavailable,
    Unsupported,
)
from quarterdeck.core.pagination import Page
from quarterdeck.core.text import is_storable
from quarterdeck.queues.model import (
    BulkAction,
    Capabilities,
    DeleteOutcome,
    EngineHealth,
    Job,
    JobError,
    JobRef,
    JobState,
    PauseResult,
    PauseScope,
    PauseSupport,
    QueueRef,
    QueueStats,
    RetryResult,
    RetrySupport,
    SourceState,
)
from quarterdeck.queues.ports import Engine
from quarterdeck.queues.rules import (
    FailureGroup,
    Redactor,
    TextFilter,
    decode_job_id,
    group_failures,
)
from quarterdeck.queues.sourcing import TIMEOUT_S, SourceReader

log = logging.getLogger("quarterdeck.queues")
T = TypeVar("T")

ERROR_SAMPLE = 10_000
"""Grouping reads at most so many failures, the newest."""

MAX_NEEDLE = 200

_REACHES = {
    PauseScope.BAND: "Pause and resume reach this band of the queue alone.",
    PauseScope.QUEUE: "Pause and resume reach the whole queue, all its bands.",
    PauseScope.GLOBAL: "Pause and resume reach every queue of the source '{source}'.",
}


@dataclass(frozen=True, slots=True)
class QueueListing:
    """Every queue of every source that answered, and how each source is."""

    queues: list[tuple[QueueRef, QueueStats]]
    sources: list[SourceState]


@dataclass(frozen=True, slots=True)
class QueueView:
    """One queue, what can be done with it, and how its source is."""

    ref: QueueRef
    stats: QueueStats
    capabilities: Capabilities
    source: SourceState


@dataclass(frozen=True, slots=True)
class FailureGroups:
    """`is_complete` is false when there were more failures than `examined`."""

    groups: list[FailureGroup]
    examined: int
    is_complete: bool


class QueueService:
    """Queues and jobs of all sources. Names no engine; asks them what they can do."""

    def __init__(
        self,
        engines: Mapping[str, Engine],
        redactor: Redactor,
        clock: Clock = utc_now,
    ) -> None:
        self._engines = dict(engines)
        self._redactor = redactor
        self._readers = {
            name: SourceReader(name, engine, clock) for name, engine in self._engines.items()
        }

    async def list_queues(self, source: str | None = None) -> QueueListing:
        """All queues, by name. A source that does not answer is named, with its last known queues.

        Raises:
            NotFound: no source of that name.
        """
        names = [self._known_source(source)] if source else list(self._engines)
        answers = await asyncio.gather(*(self._readers[name].read() for name in names))
        queues = [entry for found, _ in answers for entry in found.items()]
        queues.sort(key=lambda entry: (entry[0].name, entry[0].source))
        return QueueListing(queues, [state for _, state in answers])

    async def get_queue(self, name: str, source: str | None = None) -> QueueView:
        """One queue by its public name."""
        ref, stats = await self._resolve(name, source)
        engine = self._engines[ref.source]
        state = SourceState(ref.source, engine.kind, EngineHealth.OK)
        return QueueView(ref, stats, engine.capabilities(ref), state)

    async def list_jobs(
        self, queue: QueueRef, state: JobState | None, limit: int, offset: int, q: str | None = None
    ) -> Page[Job]:
        """One page of a queue's jobs, newest first, payloads redacted."""
        text = None
        if q is not None:
            if not q or len(q) > MAX_NEEDLE or not is_storable(q):
                raise InvalidRequest.of("q", f"give 1 to {MAX_NEEDLE} characters of text")
            text = TextFilter(q, self._redactor)
        engine = self._engines[queue.source]
        page = await _in_time(queue.source, engine.list_jobs(queue, state, limit, offset, text))
        return Page([self._redacted(job) for job in page.items], page.total, page.total_kind)

    async def get_job(self, job_id: str) -> Job:
        """One job with its attempts, redacted."""
        ref = decode_job_id(job_id)
        job = await _in_time(ref.source, self._engine_of(ref).find_job(ref))
        if job is None:
            raise NotFound(
                "There is no such job any more: it was deleted, or its time of keeping has ended."
            )
        return self._redacted(job)

    async def pause(self, queue: QueueRef, scope: PauseScope | None = None) -> PauseResult:
        """Stop workers from taking jobs of this queue.

        Raises:
            Unsupported: the engine cannot.
            Conflict: it reaches another `scope` than the one asked for; with none, all queues.
        """
        self._require_pause(queue, scope)
        return await self._engines[queue.source].pause(queue)

    async def resume(self, queue: QueueRef, scope: PauseScope | None = None) -> PauseResult:
        """Let workers take jobs of this queue again. Raises what `pause` does."""
        self._require_pause(queue, scope)
        return await self._engines[queue.source].resume(queue)

    async def retry(self, job_id: str) -> RetryResult:
        """Put one failed job back."""
        ref = decode_job_id(job_id)
        return await self._engine_of(ref).retry(ref)

    async def delete(self, job_id: str) -> DeleteOutcome:
        """Remove one job for good."""
        ref = decode_job_id(job_id)
        return await self._engine_of(ref).delete(ref)

    async def group_errors(self, queue: QueueRef) -> FailureGroups:
        """The queue's failed jobs by kind of failure."""
        engine = self._engines[queue.source]
        sample = await _in_time(queue.source, engine.sample_failures(queue, ERROR_SAMPLE))
        failures = [
            replace(each, message=self._redactor.text(each.message)) for each in sample.failures
        ]
        return FailureGroups(group_failures(failures), len(failures), sample.is_complete)

    def check_bulk(self, action: BulkAction, queue: QueueRef) -> None:
        """Refuse at once what the engine cannot do, before any work is queued."""
        capabilities = self._engines[queue.source].capabilities(queue)
        if action is BulkAction.RETRY_FAILED and capabilities.retry is RetrySupport.NONE:
            raise Unsupported.of("retry", "none", "This engine cannot retry failed jobs.")

    async def run_bulk(
        self,
        action: BulkAction,
        queue: QueueRef,
        cutoff: datetime,
        progress: Callable[[int], Awaitable[None]],
    ) -> int:
        """Act on every job that failed up to `cutoff`; `progress` is told the running count."""
        if queue.source not in self._engines:
            raise NotFound(f"The source '{queue.source}' is no longer configured.")
        done = 0
        async for batch in self._engines[queue.source].bulk(action, queue, cutoff):
            done += batch
            await progress(done)
        return done

    async def close(self) -> None:
        """Give all connections back."""
        await asyncio.gather(*(reader.close() for reader in self._readers.values()))
        await asyncio.gather(*(engine.close() for engine in self._engines.values()))

    async def _resolve(self, name: str, source: str | None) -> tuple[QueueRef, QueueStats]:
        if not is_storable(name):
            raise NotFound("There is no such queue: its name holds characters no queue can have.")
        if source:
            return await self._find(name, [self._known_source(source)])
        first = [each for each, reader in self._readers.items() if reader.is_waited_for(name)]
        try:
            return await self._find(name, first)
        except NotFound:
            if len(first) == len(self._engines):
                raise
            return await self._find(name, list(self._engines))

    async def _find(self, name: str, sources: Sequence[str]) -> tuple[QueueRef, QueueStats]:
        answers = await asyncio.gather(
            *(_in_time(each, self._engines[each].find_queue(name)) for each in sources),
            return_exceptions=True,
        )
        found = [answer for answer in answers if isinstance(answer, tuple)]
        if len(found) == 1:
            return found[0]
        if found:
            holders = ", ".join(ref.source for ref, _ in found)
            raise Conflict(
                f"Several sources hold a queue '{name}': {holders}. Add ?source= to choose one.",
                [{"field": "source", "message": ref.source, "source": "query"} for ref, _ in found],
            )
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        raise NotFound(self._no_such_queue(name))

    def _no_such_queue(self, name: str) -> str:
        known = {ref.name for reader in self._readers.values() for ref in reader.queues}
        near = difflib.get_close_matches(name[:300], known, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else " GET /queues lists all of them."
        return f"There is no queue '{name[:100]}'.{hint}"

    def _known_source(self, source: str) -> str:
        if source not in self._engines:
            known = ", ".join(self._engines)
            raise NotFound(f"There is no source '{source[:100]}'. Known sources: {known}.")
        return source

    def _engine_of(self, ref: JobRef) -> Engine:
        if ref.source not in self._engines:
            raise NotFound("There is no such job: its source is not configured here.")
        return self._engines[ref.source]

    def _require_pause(self, queue: QueueRef, scope: PauseScope | None) -> None:
        capabilities = self._engines[queue.source].capabilities(queue)
        if capabilities.pause is PauseSupport.NONE:
            reason = next(iter(capabilities.notes), "This engine has no way to pause a queue.")
            raise Unsupported.of("pause", "none", reason)
        real = capabilities.pause_scope
        if scope is not real and (scope or real is PauseScope.GLOBAL):
            reaches = _REACHES[real].format(source=queue.source)
            raise Conflict(
                f"{reaches} Say `scope={real}` if you mean that.",
                [{"field": "scope", "message": real.value, "source": "query"}],
            )

    def _redacted(self, job: Job) -> Job:
        text = self._redactor.text
        error = job.error and JobError(text(job.error.message), _apply(text, job.error.stack_trace))
        history = [
            replace(
                attempt,
                message=_apply(text, attempt.message),
                stack_trace=_apply(text, attempt.stack_trace),
            )
            for attempt in job.history
        ]
        return replace(job, payload=self._redactor(job.payload), error=error, history=history)


def _apply(change: Callable[[str], str], text: str | None) -> str | None:
    return None if text is None else change(text)


async def _in_time(source: str, answer: Awaitable[T]) -> T:
    try:
        return await asyncio.wait_for(answer, TIMEOUT_S)
    except TimeoutError:
        raise SourceUnavailable(
            source, f"The source '{source}' did not answer within {TIMEOUT_S:.0f} s."
        ) from None
