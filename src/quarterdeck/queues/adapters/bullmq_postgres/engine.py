"""The engine: reads and writes of the other modules, each in one transaction."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from functools import partial

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import NotFound
from quarterdeck.core.pagination import Page
from quarterdeck.core.text import is_storable
from quarterdeck.queues.adapters.bullmq_postgres import options as settings
from quarterdeck.queues.adapters.bullmq_postgres.abilities import KEEPING, capabilities_of, too_new
from quarterdeck.queues.adapters.bullmq_postgres.access import Access
from quarterdeck.queues.adapters.bullmq_postgres.changing import (
    BATCH,
    GONE,
    change_batch,
    delete_job,
    list_failed,
    retry_job,
    set_paused,
)
from quarterdeck.queues.adapters.bullmq_postgres.counting import Counted, count
from quarterdeck.queues.adapters.bullmq_postgres.listing import (
    PageAsk,
    read_failures,
    read_job,
    read_page,
    search_page,
)
from quarterdeck.queues.banding import QueueNames
from quarterdeck.queues.model import (
    BulkAction,
    Capabilities,
    DeleteOutcome,
    FailureSample,
    Job,
    JobRef,
    JobState,
    PauseResult,
    PauseScope,
    QueueRef,
    QueueStats,
    RetryResult,
)
from quarterdeck.queues.ports import Engine, JobFilter, Toolbox


class BullmqPostgresEngine:
    """Jobs of BullMQ 6. A queue is there while it has jobs or settings of BullMQ's."""

    kind = "bullmq-postgres"
    Options = settings.Options
    documented = KEEPING

    def __init__(
        self,
        source: str,
        options: settings.Options,
        toolbox: Toolbox,
        clock: Clock = utc_now,
    ) -> None:
        self._source = source
        self._clock = clock
        self._access = Access(source, options, toolbox)
        self._names = QueueNames(source, options.band_separator, options.priorities)
        self._configured = options.queues
        self._known: dict[str, Capabilities] = {}

    async def snapshot(self) -> Mapping[QueueRef, QueueStats]:
        """See `QueueReader`. All in one statement."""
        counted = await self._count(self._configured or None)
        refs = self._names.refs(counted)
        return {ref: self._noted(ref, counted[native]) for native, ref in refs.items()}

    async def find_queue(self, name: str) -> tuple[QueueRef, QueueStats] | None:
        """See `QueueReader`. A band is there if its queue is."""
        native = self._names.native(name)
        if native is None or not self._shows(native):
            return None
        base = self._names.base(native)
        counted = await self._count([native, base] if base else [native])
        is_there = native in self._configured or any(each.is_there for each in counted.values())
        if not is_there:
            return None
        ref = self._names.ref(native)
        return ref, self._noted(ref, counted[native])

    def capabilities(self, queue: QueueRef) -> Capabilities:
        """See `QueueReader`: as of the last look at this queue."""
        return self._known.get(queue.name, KEEPING)

    async def list_jobs(
        self,
        queue: QueueRef,
        state: JobState | None,
        limit: int,
        offset: int,
        text: JobFilter | None = None,
    ) -> Page[Job]:
        """See `JobReader`."""
        ask = PageAsk(queue, self._native(queue), state, limit, offset)
        if text is not None:
            return await self._access.read(lambda connection: search_page(connection, ask, text))
        return await self._access.read(lambda connection: read_page(connection, ask))

    async def find_job(self, ref: JobRef) -> Job | None:
        """See `JobReader`. BullMQ keeps no history of attempts, only the traces of failures."""
        if not self._may_hold(ref):
            return None
        public = self._names.ref(ref.queue).name
        return await self._access.read(lambda connection: read_job(connection, ref, public))

    async def sample_failures(self, queue: QueueRef, limit: int) -> FailureSample:
        """See `JobReader`."""
        native = self._native(queue)
        return await self._access.read(
            lambda connection: read_failures(connection, self._source, native, limit)
        )

    async def pause(self, queue: QueueRef) -> PauseResult:
        """See `QueuePauser`."""
        return await self._set_paused(queue, paused=True)

    async def resume(self, queue: QueueRef) -> PauseResult:
        """See `QueuePauser`. Nothing was moved aside, so nothing is moved back."""
        return await self._set_paused(queue, paused=False)

    async def retry(self, ref: JobRef) -> RetryResult:
        """See `JobChanger`."""
        self._check_ref(ref)
        await self._access.write(lambda connection: retry_job(connection, ref))
        return RetryResult(attempts_reset=True)

    async def delete(self, ref: JobRef) -> DeleteOutcome:
        """See `JobChanger`."""
        self._check_ref(ref)
        await self._access.write(lambda connection: delete_job(connection, ref))
        return DeleteOutcome.DELETED

    async def bulk(
        self, action: BulkAction, queue: QueueRef, cutoff: datetime
    ) -> AsyncIterator[int]:
        """See `JobChanger`. The jobs are listed once, and each batch is a transaction of its own.

        So this ends, even where a worker's clock is slow and its jobs seem to fail in the past.
        """
        await self._check_there(queue)
        native = self._native(queue)
        failed = await self._access.read(lambda connection: list_failed(connection, native, cutoff))
        for start in range(0, len(failed), BATCH):
            some = failed[start : start + BATCH]
            if done := await self._access.write(partial(change_batch, action, native, some)):
                yield done

    async def close(self) -> None:
        """Give connections back."""
        await self._access.close()

    async def _count(self, natives: Sequence[str] | None) -> Mapping[str, Counted]:
        now_ms = int(self._clock().timestamp() * 1000)
        return await self._access.read(lambda connection: count(connection, now_ms, natives))

    def _noted(self, ref: QueueRef, counted: Counted) -> QueueStats:
        stats = counted.stats
        self._known[ref.name] = capabilities_of(
            stats.completed_last_hour_source, too_new(counted.required)
        )
        return stats

    async def _set_paused(self, queue: QueueRef, *, paused: bool) -> PauseResult:
        await self._check_there(queue)
        native = self._native(queue)
        changed = await self._access.write(
            lambda connection: set_paused(connection, native, paused=paused)
        )
        return PauseResult(
            paused=paused,
            changed=changed,
            scope=PauseScope.BAND,
            durable=True,
            affected=[queue.name],
        )

    async def _check_there(self, queue: QueueRef) -> None:
        if await self.find_queue(queue.name) is None:
            raise _no_queue(queue)

    def _native(self, queue: QueueRef) -> str:
        native = self._names.native(queue.name)
        if native is None:
            raise _no_queue(queue)
        return native

    def _shows(self, native: str) -> bool:
        return not self._configured or native in self._configured

    def _may_hold(self, ref: JobRef) -> bool:
        is_text = bool(ref.queue) and is_storable(ref.queue) and is_storable(ref.id)
        return is_text and self._shows(ref.queue)

    def _check_ref(self, ref: JobRef) -> None:
        if not self._may_hold(ref):
            raise NotFound(GONE)


def _no_queue(queue: QueueRef) -> NotFound:
    return NotFound(f"There is no queue '{queue.name[:100]}'. GET /queues lists all.")


_CONFORMS: type[Engine] = BullmqPostgresEngine
