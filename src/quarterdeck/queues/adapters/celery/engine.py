"""The engine: broker, index, events and remote control as one."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime

from quarterdeck.core import tasks
from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import NotFound, SourceUnavailable
from quarterdeck.core.pagination import Page
from quarterdeck.queues.adapters.celery import options as settings
from quarterdeck.queues.adapters.celery.abilities import ABILITIES, PAUSE_NOTE
from quarterdeck.queues.adapters.celery.access import Access, is_rabbitmq
from quarterdeck.queues.adapters.celery.broker import Broker
from quarterdeck.queues.adapters.celery.changing import Changes
from quarterdeck.queues.adapters.celery.feed import Feed
from quarterdeck.queues.adapters.celery.index import Index
from quarterdeck.queues.adapters.celery.listing import Listing
from quarterdeck.queues.adapters.celery.names import base_of, queue_named, queue_of, ref_of
from quarterdeck.queues.adapters.celery.on_rabbitmq import RabbitBroker
from quarterdeck.queues.adapters.celery.on_rabbitmq.place import place_of
from quarterdeck.queues.adapters.celery.on_redis import RedisBroker
from quarterdeck.queues.adapters.celery.pausing import Pauses
from quarterdeck.queues.adapters.celery.presence import Presence
from quarterdeck.queues.adapters.celery.routes import Routes
from quarterdeck.queues.adapters.celery.running import RunningTasks
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

log = logging.getLogger("quarterdeck.queues")

CHECK_S = 30.0
"""How often workers are asked what they run, and whether pauses hold."""


class CeleryEngine:
    """Tasks of a Celery application."""

    kind = "celery"
    Options = settings.Options
    documented = ABILITIES

    def __init__(
        self,
        source: str,
        options: settings.Options,
        toolbox: Toolbox,
        clock: Clock = utc_now,
    ) -> None:
        self._source = source
        self._options = options
        self._clock = clock
        # The settings are looked at before anything is opened.
        place = place_of(options, f"source {source}") if is_rabbitmq(options.url) else None
        self._access = access = Access(source, options)
        broker: Broker = RabbitBroker(source, place, access) if place else RedisBroker(access)
        self._broker = broker
        self._index, presence = Index(access), Presence()
        self._routes = Routes(broker, options.queues)
        self._pauses = Pauses(access, broker.control, presence.workers)
        self._feed = Feed(access, broker.wires, self._routes, presence, self._pauses.assert_for)
        self._running = RunningTasks(access, broker, presence, self._feed, self._index)
        self._listing = Listing(source, broker, self._index)
        self._changes = Changes(access, broker, self._index, self._known)
        self._noted: set[str] = set()
        self._upkeep: asyncio.Task[None] | None = None

    async def snapshot(self) -> Mapping[QueueRef, QueueStats]:
        """See `QueueReader`."""
        return await self._counts(await self._look())

    async def find_queue(self, name: str) -> tuple[QueueRef, QueueStats] | None:
        """See `QueueReader`. A band is there when its queue is."""
        queue = queue_named(name)
        if queue is None:
            return None
        known = await self._look()
        if queue not in known and base_of(queue) not in known:
            return None
        counts = await self._counts([queue])
        ref = ref_of(self._source, queue)
        return ref, counts[ref]

    def capabilities(self, queue: QueueRef) -> Capabilities:
        """See `QueueReader`."""
        return self._broker.abilities

    async def list_jobs(
        self,
        queue: QueueRef,
        state: JobState | None,
        limit: int,
        offset: int,
        text: JobFilter | None = None,
    ) -> Page[Job]:
        """See `JobReader`. Of all states, waiting ones come first."""
        await self._feed.catch_up()
        if text is not None:
            return await self._listing.search(queue_of(queue), state, (offset, limit), text)
        return await self._listing.page(queue_of(queue), state, limit, offset)

    async def find_job(self, ref: JobRef) -> Job | None:
        """See `JobReader`. One that waits is searched for in its list."""
        return await self._listing.find(ref.id, await self._look())

    async def sample_failures(self, queue: QueueRef, limit: int) -> FailureSample:
        """See `JobReader`."""
        await self._feed.catch_up()
        return await self._listing.failures(queue_of(queue), limit)

    async def pause(self, queue: QueueRef) -> PauseResult:
        """See `QueuePauser`. Takes some seconds, for workers are waited for."""
        name = await self._existing(queue)
        is_new, left = await self._pauses.pause(name, self._clock())
        notes = [PAUSE_NOTE, *(f"The worker {worker} still takes tasks." for worker in left)]
        return self._paused(queue, True, is_new, notes)

    async def resume(self, queue: QueueRef) -> PauseResult:
        """See `QueuePauser`."""
        was_paused = await self._pauses.resume(await self._existing(queue))
        return self._paused(queue, False, was_paused, [])

    async def retry(self, ref: JobRef) -> RetryResult:
        """See `JobChanger`."""
        await self._look()
        await self._changes.retry(ref.id)
        return RetryResult(attempts_reset=True)

    async def delete(self, ref: JobRef) -> DeleteOutcome:
        """See `JobChanger`."""
        await self._look()
        await self._changes.delete(ref.id)
        return DeleteOutcome.DELETED

    async def bulk(
        self, action: BulkAction, queue: QueueRef, cutoff: datetime
    ) -> AsyncIterator[int]:
        """See `JobChanger`. Tasks whose arguments are not known are left failed."""
        name = await self._existing(queue)
        async for done in self._changes.bulk(action, name, cutoff):
            yield done

    async def check(self, now: float) -> None:
        """What workers can tell that events did not: what they run, and whether pauses hold.

        Runs every half minute. `now` are seconds since 1970.
        """
        await self._running.check(now)
        await self._pauses.assert_all()

    async def close(self) -> None:
        """Give connections back."""
        if self._upkeep is not None:
            await tasks.end([self._upkeep])
        await self._feed.close()
        await self._broker.close()
        await self._access.close()

    async def _look(self) -> Sequence[str]:
        """Everything that is published is noted; gives the queues that are known then."""
        await self._feed.catch_up()
        if self._upkeep is None:
            self._upkeep = asyncio.create_task(self._keep_up())
        self._noted = set(await self._index.queues())
        return self._known()

    def _known(self) -> list[str]:
        return sorted(self._noted | self._routes.queues)

    async def _existing(self, queue: QueueRef) -> str:
        if await self.find_queue(queue.name) is None:
            raise NotFound(f"There is no queue '{queue.name[:100]}'. GET /queues lists all.")
        return queue_of(queue)

    async def _counts(self, queues: Sequence[str]) -> dict[QueueRef, QueueStats]:
        counted, now = await self._broker.counted(queues), self._clock()
        return {
            ref_of(self._source, queue): each.stats(now)
            for queue, each in zip(queues, counted, strict=True)
        }

    async def _keep_up(self) -> None:
        while True:
            await asyncio.sleep(min(CHECK_S, self._options.discover_every_s))
            try:
                if time.monotonic() - self._routes.discovered_at > self._options.discover_every_s:
                    await self._routes.discover()
                await self.check(time.time())
            except SourceUnavailable as error:
                log.info("workers of Celery are not asked: %s", error)
            except Exception:
                # Whatever a worker replied: it must be asked again.
                log.exception("workers of Celery could not be asked")

    def _paused(
        self, queue: QueueRef, paused: bool, changed: bool, notes: Sequence[str]
    ) -> PauseResult:
        return PauseResult(
            paused=paused,
            changed=changed,
            scope=PauseScope.BAND,
            durable=False,
            affected=[queue.name],
            notes=notes,
        )


_CONFORMS: type[Engine] = CeleryEngine
