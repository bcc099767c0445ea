"""The engine: every verb of the ports, over the modules beside it."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import NoReturn

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import NotFound, Unsupported
from quarterdeck.core.pagination import Page
from quarterdeck.net.redis_access import RedisAccess
from quarterdeck.queues.adapters.sidekiq import options as settings
from quarterdeck.queues.adapters.sidekiq.abilities import ABILITIES, NO_PAUSE, NOT_KEPT
from quarterdeck.queues.adapters.sidekiq.changing import Changes
from quarterdeck.queues.adapters.sidekiq.counting import Census
from quarterdeck.queues.adapters.sidekiq.keys import Keys, QueueNames, own_name
from quarterdeck.queues.adapters.sidekiq.listing import Listing
from quarterdeck.queues.adapters.sidekiq.places import Places
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
from quarterdeck.queues.ports import Engine, JobFilter, Toolbox


class SidekiqEngine:
    """Jobs of Sidekiq. A queue is there once it is in Sidekiq's register, or a job names it."""

    kind = "sidekiq"
    Options = settings.Options
    documented = ABILITIES

    def __init__(
        self,
        source: str,
        options: settings.Options,
        toolbox: Toolbox,
        clock: Clock = utc_now,
    ) -> None:
        keys = Keys(options.namespace)
        self._names = QueueNames(source, options.priorities)
        self._access = RedisAccess(source, options.url, "Sidekiq's keys")
        self._census = Census(self._access, keys, options.queues, clock)
        places = Places(self._access, keys)
        self._listing = Listing(self._names, places)
        self._changes = Changes(self._access, keys, places, clock)

    async def snapshot(self) -> Mapping[QueueRef, QueueStats]:
        """See `QueueReader`."""
        counted = await self._census.of_all()
        return {self._names.ref(each.queue): each.stats for each in counted}

    async def find_queue(self, name: str) -> tuple[QueueRef, QueueStats] | None:
        """See `QueueReader`."""
        queue = own_name(name)
        found = None if queue is None else await self._census.find(queue)
        return None if found is None else (self._names.ref(found.queue), found.stats)

    def capabilities(self, queue: QueueRef) -> Capabilities:
        """See `QueueReader`."""
        return ABILITIES

    async def list_jobs(
        self,
        queue: QueueRef,
        state: JobState | None,
        limit: int,
        offset: int,
        text: JobFilter | None = None,
    ) -> Page[Job]:
        """See `JobReader`.

        Raises:
            Unsupported: completed jobs are asked for.
        """
        if state is JobState.COMPLETED:
            raise Unsupported.of("list_jobs", "no", NOT_KEPT)
        own = _own(queue)
        if text is not None:
            return await self._listing.search(own, state, (limit, offset), text)
        return await self._listing.page(own, state, limit, offset)

    async def find_job(self, ref: JobRef) -> Job | None:
        """See `JobReader`."""
        return await self._listing.find(ref.queue, ref.id)

    async def sample_failures(self, queue: QueueRef, limit: int) -> FailureSample:
        """See `JobReader`."""
        return await self._listing.failures(_own(queue), limit)

    async def pause(self, queue: QueueRef) -> PauseResult:
        """See `QueuePauser`; Sidekiq has none."""
        _refuse_pause()

    async def resume(self, queue: QueueRef) -> PauseResult:
        """See `QueuePauser`; Sidekiq has none."""
        _refuse_pause()

    async def retry(self, ref: JobRef) -> RetryResult:
        """See `JobChanger`."""
        await self._changes.retry(ref.queue, ref.id)
        return RetryResult(attempts_reset=True)

    async def delete(self, ref: JobRef) -> DeleteOutcome:
        """See `JobChanger`."""
        await self._changes.delete(ref.queue, ref.id)
        return DeleteOutcome.DELETED

    async def bulk(
        self, action: BulkAction, queue: QueueRef, cutoff: datetime
    ) -> AsyncIterator[int]:
        """See `JobChanger`. Each batch is one step."""
        if await self.find_queue(queue.name) is None:
            raise NotFound(f"There is no queue '{queue.name[:100]}'. GET /queues lists all.")
        async for done in self._changes.bulk(action, _own(queue), cutoff):
            yield done

    async def close(self) -> None:
        """See `Engine`."""
        await self._census.close()
        await self._access.close()


def _own(queue: QueueRef) -> str:
    return own_name(queue.name) or ""


def _refuse_pause() -> NoReturn:
    raise Unsupported.of("pause", "none", NO_PAUSE)


_CONFORMS: type[Engine] = SidekiqEngine
