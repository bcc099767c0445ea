"""The engine: every verb of the ports, over the modules beside it."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import NotFound
from quarterdeck.core.pagination import Page
from quarterdeck.net.redis_access import RedisAccess
from quarterdeck.queues.adapters.rq import options as settings
from quarterdeck.queues.adapters.rq.abilities import ABILITIES, ONE_SWITCH
from quarterdeck.queues.adapters.rq.changing import Changes
from quarterdeck.queues.adapters.rq.counting import Census
from quarterdeck.queues.adapters.rq.keys import Keys, QueueNames, own_name
from quarterdeck.queues.adapters.rq.listing import Listing
from quarterdeck.queues.adapters.rq.registries import Registries
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


class RqEngine:
    """Jobs of RQ. A queue is there once it is in RQ's register, which never forgets by itself."""

    kind = "rq"
    Options = settings.Options
    documented = ABILITIES

    def __init__(
        self,
        source: str,
        options: settings.Options,
        toolbox: Toolbox,
        clock: Clock = utc_now,
    ) -> None:
        keys = Keys(options.prefix)
        self._names = QueueNames(source, options.priorities)
        self._access = RedisAccess(source, options.url, "RQ's keys")
        self._census = Census(self._access, keys, options.queues, clock)
        registries = Registries(self._access, keys, clock)
        self._listing = Listing(self._access, keys, self._names, registries)
        self._changes = Changes(self._access, keys, clock)

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
        """See `JobReader`."""
        own = _own(queue)
        if text is not None:
            return await self._listing.search(own, state, (limit, offset), text)
        return await self._listing.page(own, state, limit, offset)

    async def find_job(self, ref: JobRef) -> Job | None:
        """See `JobReader`."""
        return await self._listing.find(ref.id)

    async def sample_failures(self, queue: QueueRef, limit: int) -> FailureSample:
        """See `JobReader`."""
        return await self._listing.failures(_own(queue), limit)

    async def pause(self, queue: QueueRef) -> PauseResult:
        """Suspend all workers of this Redis and prefix: whoever asks must mean all queues."""
        affected = await self._all_names(queue)
        return _result(affected, paused=True, changed=await self._changes.suspend())

    async def resume(self, queue: QueueRef) -> PauseResult:
        """Let all workers go on. They look once a second."""
        affected = await self._all_names(queue)
        return _result(affected, paused=False, changed=await self._changes.resume())

    async def retry(self, ref: JobRef) -> RetryResult:
        """See `JobChanger`. What RQ counts down, `retries_left`, stays as it is."""
        await self._changes.retry(ref.id)
        return RetryResult(attempts_reset=False)

    async def delete(self, ref: JobRef) -> DeleteOutcome:
        """See `JobChanger`."""
        await self._changes.delete(ref.id)
        return DeleteOutcome.DELETED

    async def bulk(
        self, action: BulkAction, queue: QueueRef, cutoff: datetime
    ) -> AsyncIterator[int]:
        """See `JobChanger`. Each batch is one step; jobs that cannot be changed are left alone."""
        await self._require(queue)
        async for done in self._changes.bulk(action, _own(queue), cutoff):
            yield done

    async def close(self) -> None:
        """See `Engine`."""
        await self._access.close()

    async def _all_names(self, queue: QueueRef) -> list[str]:
        await self._require(queue)
        return sorted(ref.name for ref in await self.snapshot())

    async def _require(self, queue: QueueRef) -> None:
        if await self.find_queue(queue.name) is None:
            raise NotFound(f"There is no queue '{queue.name[:100]}'. GET /queues lists all.")


def _own(queue: QueueRef) -> str:
    return own_name(queue.name) or ""


def _result(affected: list[str], *, paused: bool, changed: bool) -> PauseResult:
    return PauseResult(
        paused=paused,
        changed=changed,
        scope=PauseScope.GLOBAL,
        durable=True,
        affected=affected,
        notes=[ONE_SWITCH] if paused else [],
    )


_CONFORMS: type[Engine] = RqEngine
