"""The engine: BullMQ's queues on one Redis server or cluster."""

import itertools
from collections.abc import AsyncIterator, Mapping
from datetime import datetime

import msgspec

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import Conflict, NotFound
from quarterdeck.core.pagination import Page
from quarterdeck.core.text import is_storable
from quarterdeck.queues.adapters.bullmq import options as settings
from quarterdeck.queues.adapters.bullmq.abilities import KEEPING, Known, capabilities_of
from quarterdeck.queues.adapters.bullmq.access import Access, Script
from quarterdeck.queues.adapters.bullmq.catalogue import Catalogue
from quarterdeck.queues.adapters.bullmq.changing import GONE, Changing, not_failed
from quarterdeck.queues.adapters.bullmq.counting import Counted, major_of, stats_of
from quarterdeck.queues.adapters.bullmq.listing import Listing
from quarterdeck.queues.adapters.bullmq.reading_scripts import COUNT
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

_COUNT = Script(COUNT)
_COUNTED = msgspec.json.Decoder(list[Counted])


class BullmqEngine:
    """Jobs of BullMQ 5 and 6. What each queue may be asked depends on its own version."""

    kind = "bullmq"
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
        self._assumed = options.assume_version
        self._names = QueueNames(source, options.band_separator, options.priorities)
        self._access = Access(source, options)
        self._catalogue = Catalogue(self._access, options)
        self._listing = Listing(source, self._access, self._catalogue)
        self._changing = Changing(self._access, self._catalogue, options.assume_version)
        self._known: dict[str, Known] = {}

    async def snapshot(self) -> Mapping[QueueRef, QueueStats]:
        """See `QueueReader`. All in one round trip."""
        refs = self._names.refs(await self._catalogue.list_names())
        now_ms = self._now_ms()
        counted = await self._count(list(refs), now_ms)
        gone = [name for name, each in counted.items() if not each.exists]
        self._catalogue.forget(gone)
        return {
            refs[name]: self._stats(name, each, now_ms)
            for name, each in counted.items()
            if each.exists or self._catalogue.is_configured(name)
        }

    async def find_queue(self, name: str) -> tuple[QueueRef, QueueStats] | None:
        """See `QueueReader`. A band is there if its queue is."""
        native = self._names.native(name)
        if native is None or not self._catalogue.shows(native):
            return None
        now_ms = self._now_ms()
        base = self._names.base(native)
        counted = await self._count([native, base] if base else [native], now_ms)
        found = counted[native]
        if not found.exists and not self._catalogue.is_configured(native):
            if base is None or not counted[base].exists:
                return None
        elif found.exists:
            self._catalogue.add(native)
        return self._names.ref(native), self._stats(native, found, now_ms)

    def capabilities(self, queue: QueueRef) -> Capabilities:
        """See `QueueReader`: as of the last look at this queue."""
        return capabilities_of(self._known.get(queue.name, Known()))

    async def list_jobs(
        self,
        queue: QueueRef,
        state: JobState | None,
        limit: int,
        offset: int,
        text: JobFilter | None = None,
    ) -> Page[Job]:
        """See `JobReader`."""
        native = self._native(queue)
        if text is not None:
            return await self._listing.search(queue, native, state, (limit, offset), text)
        return await self._listing.page(queue, native, state, limit, offset)

    async def find_job(self, ref: JobRef) -> Job | None:
        """See `JobReader`. BullMQ keeps no history of attempts, only the traces of failures."""
        if not self._may_hold(ref):
            return None
        return await self._listing.find(ref, self._names.ref(ref.queue).name)

    async def sample_failures(self, queue: QueueRef, limit: int) -> FailureSample:
        """See `JobReader`."""
        return await self._listing.failures(self._native(queue), limit)

    async def pause(self, queue: QueueRef) -> PauseResult:
        """See `QueuePauser`. The queue's own version can resume it, too."""
        changed = await self._changing.pause(queue, self._native(queue))
        return _paused(queue, True, changed)

    async def resume(self, queue: QueueRef) -> PauseResult:
        """See `QueuePauser`. Brings back what any version has set aside."""
        changed = await self._changing.resume(queue, self._native(queue))
        return _paused(queue, False, changed)

    async def retry(self, ref: JobRef) -> RetryResult:
        """See `JobChanger`. Attempts and stalls are counted from zero again."""
        self._check_ref(ref)
        place = await self._listing.locate(ref)
        if place is None:
            raise NotFound(GONE)
        name, failed_ms = place
        if name != "failed" or failed_ms is None:
            raise Conflict(not_failed(name))
        await self._changing.retry(ref, int(failed_ms), self._now_ms())
        return RetryResult(attempts_reset=True)

    async def delete(self, ref: JobRef) -> DeleteOutcome:
        """See `JobChanger`."""
        self._check_ref(ref)
        await self._changing.delete(ref)
        return DeleteOutcome.DELETED

    async def bulk(
        self, action: BulkAction, queue: QueueRef, cutoff: datetime
    ) -> AsyncIterator[int]:
        """See `JobChanger`."""
        if await self.find_queue(queue.name) is None:
            raise NotFound(f"There is no queue '{queue.name[:100]}'. GET /queues lists all.")
        cutoff_ms = int(cutoff.timestamp() * 1000)
        native = self._native(queue)
        async for done in self._changing.bulk(action, native, cutoff_ms, self._now_ms()):
            yield done

    async def close(self) -> None:
        """Give connections back."""
        await self._catalogue.close()
        await self._access.close()

    async def _count(self, natives: list[str], now_ms: int) -> dict[str, Counted]:
        keys = [self._catalogue.meta_key(each) for each in natives]
        answers = await self._access.run_over(_COUNT, keys, now_ms)
        # Redis takes any bytes as a text.
        texts = (answer.decode(errors="replace") for answer in answers)
        counted = itertools.chain.from_iterable(_COUNTED.decode(text) for text in texts)
        return dict(zip(natives, counted, strict=True))

    def _stats(self, native: str, counted: Counted, now_ms: int) -> QueueStats:
        major = major_of(counted.version, self._assumed) if counted.exists else None
        stats = stats_of(counted, major, now_ms)
        known = Known(counted.version, major, stats.completed_last_hour_source)
        self._known[self._names.ref(native).name] = known
        return stats

    def _native(self, queue: QueueRef) -> str:
        native = self._names.native(queue.name)
        if native is None:
            raise NotFound(f"There is no queue '{queue.name[:100]}'. GET /queues lists all.")
        return native

    def _may_hold(self, ref: JobRef) -> bool:
        is_text = bool(ref.queue) and is_storable(ref.queue) and is_storable(ref.id)
        return is_text and self._catalogue.shows(ref.queue)

    def _check_ref(self, ref: JobRef) -> None:
        if not self._may_hold(ref):
            raise NotFound(GONE)

    def _now_ms(self) -> int:
        return int(self._clock().timestamp() * 1000)


def _paused(queue: QueueRef, paused: bool, changed: bool) -> PauseResult:
    return PauseResult(
        paused=paused, changed=changed, scope=PauseScope.BAND, durable=True, affected=[queue.name]
    )


_CONFORMS: type[Engine] = BullmqEngine
