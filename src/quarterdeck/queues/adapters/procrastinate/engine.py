"""The engine: reads and writes of the other modules, each in one transaction."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import NotFound, Unsupported
from quarterdeck.core.pagination import Page
from quarterdeck.queues.adapters.procrastinate import options as settings
from quarterdeck.queues.adapters.procrastinate.abilities import ABILITIES, NO_PAUSE
from quarterdeck.queues.adapters.procrastinate.access import Access
from quarterdeck.queues.adapters.procrastinate.changing import change_batch, delete_job, retry_job
from quarterdeck.queues.adapters.procrastinate.follower import Follower
from quarterdeck.queues.adapters.procrastinate.lanes import Lane, lane_of, lanes_named
from quarterdeck.queues.adapters.procrastinate.listing import (
    PageAsk,
    read_failed_page,
    read_failures,
    read_job,
    read_page,
    search_page,
)
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


class ProcrastinateEngine:
    """Jobs of Procrastinate. A queue is there while it has jobs, and stays until we are restarted.

    Those of the settings are always there.
    """

    kind = "procrastinate"
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
        self._access = Access(source, options, toolbox)
        self._follower = Follower(self._access, clock)
        self._names = set(options.queues)

    async def snapshot(self) -> Mapping[QueueRef, QueueStats]:
        """See `QueueReader`."""
        view = await self._follower.look()
        self._names.update(view.census.names)
        lanes = view.lanes | {Lane(name, 0) for name in self._names}
        return {lane.ref(self._source): view.stats(lane) for lane in lanes}

    async def find_queue(self, name: str) -> tuple[QueueRef, QueueStats] | None:
        """See `QueueReader`."""
        lanes = lanes_named(name)
        if not lanes:
            return None
        view = await self._follower.look()
        self._names.update(view.census.names)
        for lane in lanes:
            if lane.queue in self._names:
                return lane.ref(self._source), view.stats(lane)
        return None

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
        ask = PageAsk(lane_of(queue), state, limit, offset)
        failed = None
        if state is JobState.FAILED and text is None:
            failed = (await self._follower.look()).failed_ids(ask.lane)

        def page(connection: Connection) -> Page[Job]:
            if text is not None:
                return search_page(connection, self._source, ask, text)
            if failed is not None:
                return read_failed_page(connection, self._source, ask, failed)
            return read_page(connection, self._source, ask)

        return await self._access.read(page)

    async def find_job(self, ref: JobRef) -> Job | None:
        """See `JobReader`."""
        found = await self._access.read(lambda connection: read_job(connection, ref))
        if found is None:
            return None
        name, job = found
        self._names.add(name)
        return job

    async def sample_failures(self, queue: QueueRef, limit: int) -> FailureSample:
        """See `JobReader`. Newest by their ids; the messages are empty, for none are kept."""
        lane = lane_of(queue)
        return await self._access.read(
            lambda connection: read_failures(connection, self._source, lane, limit)
        )

    async def pause(self, queue: QueueRef) -> PauseResult:
        """See `QueuePauser`: it cannot."""
        raise Unsupported.of("pause", "none", NO_PAUSE)

    async def resume(self, queue: QueueRef) -> PauseResult:
        """See `QueuePauser`: it cannot."""
        raise Unsupported.of("pause", "none", NO_PAUSE)

    async def retry(self, ref: JobRef) -> RetryResult:
        """See `JobChanger`."""
        await self._access.write(lambda connection: retry_job(connection, ref.id))
        return RetryResult(attempts_reset=True)

    async def delete(self, ref: JobRef) -> DeleteOutcome:
        """See `JobChanger`."""
        return await self._access.write(lambda connection: delete_job(connection, ref.id))

    async def bulk(
        self, action: BulkAction, queue: QueueRef, cutoff: datetime
    ) -> AsyncIterator[int]:
        """See `JobChanger`. Each batch is a transaction of its own; the table is read once.

        Jobs whose queueing lock another one holds are left failed.
        """
        if await self.find_queue(queue.name) is None:
            raise NotFound(f"There is no queue '{queue.name[:100]}'. GET /queues lists all.")
        after: int | None = 0
        while after is not None:
            batch = await self._access.write(
                partial(change_batch, action, lane_of(queue), cutoff, after)
            )
            if batch.size:
                yield batch.size
            after = batch.last

    async def close(self) -> None:
        """Give connections back."""
        await self._follower.close()
        await self._access.close()


_CONFORMS: type[Engine] = ProcrastinateEngine
