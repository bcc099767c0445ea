"""The engine: reads and writes of the other modules, each in one transaction."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, ProgrammingError

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import Conflict, NotFound, SourceUnavailable, Unsupported
from quarterdeck.core.pagination import Page
from quarterdeck.queues.adapters.sql import options as settings
from quarterdeck.queues.adapters.sql.abilities import DOCUMENTED, abilities
from quarterdeck.queues.adapters.sql.changing import (
    FailedUntil,
    change_batch,
    delete_job,
    failure_times,
    retry_job,
)
from quarterdeck.queues.adapters.sql.counting import read_lanes
from quarterdeck.queues.adapters.sql.listing import (
    PageAsk,
    read_failures,
    read_job,
    read_page,
    search_page,
)
from quarterdeck.queues.adapters.sql.names import lane_of, lanes_named
from quarterdeck.queues.adapters.sql.pausing import pause, resume
from quarterdeck.queues.adapters.sql.reflection import reflect
from quarterdeck.queues.adapters.sql.tables import JobTables
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

T = TypeVar("T")


class SqlEngine:
    """Jobs in SQL tables. Looks the tables up on first use, and again after they failed it."""

    kind = "sql"
    Options = settings.Options
    documented = DOCUMENTED

    def __init__(
        self,
        source: str,
        options: settings.Options,
        toolbox: Toolbox,
        clock: Clock = utc_now,
    ) -> None:
        self._source = source
        self._options = options
        self._database = toolbox.open_sql(options.url, source)
        self._clock = clock
        self._tables: JobTables | None = None
        self._looking = asyncio.Lock()

    async def snapshot(self) -> Mapping[QueueRef, QueueStats]:
        """See `QueueReader`."""
        now = self._clock()
        lanes = await self._read(lambda connection, tables: read_lanes(connection, tables, now))
        return {lane.ref(self._source): stats for lane, stats in lanes.items()}

    async def find_queue(self, name: str) -> tuple[QueueRef, QueueStats] | None:
        """See `QueueReader`."""
        lanes = lanes_named(name)
        if not lanes:
            return None
        now, names = self._clock(), [lane.queue for lane in lanes]
        found = await self._read(
            lambda connection, tables: read_lanes(connection, tables, now, names)
        )
        for lane in lanes:
            if lane in found:
                return lane.ref(self._source), found[lane]
        return None

    def capabilities(self, queue: QueueRef) -> Capabilities:
        """See `QueueReader`. Until the tables were seen: what the documented ones can do."""
        return abilities(self._tables) if self._tables else DOCUMENTED

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

        def page(connection: Connection, tables: JobTables) -> Page[Job]:
            if text is None:
                return read_page(connection, tables, self._source, ask)
            return search_page(connection, tables, self._source, ask, text)

        return await self._read(page)

    async def find_job(self, ref: JobRef) -> Job | None:
        """See `JobReader`."""
        return await self._read(lambda connection, tables: read_job(connection, tables, ref))

    async def sample_failures(self, queue: QueueRef, limit: int) -> FailureSample:
        """See `JobReader`. Newest by `created_at`: that is what an index can give."""
        lane = lane_of(queue)
        return await self._read(
            lambda connection, tables: read_failures(connection, tables, self._source, lane, limit)
        )

    async def pause(self, queue: QueueRef) -> PauseResult:
        """See `QueuePauser`."""
        lane, now = lane_of(queue), self._clock()
        return await self._write(
            lambda connection, tables: pause(connection, tables, self._source, lane, now)
        )

    async def resume(self, queue: QueueRef) -> PauseResult:
        """See `QueuePauser`."""
        lane, now = lane_of(queue), self._clock()
        return await self._write(
            lambda connection, tables: resume(connection, tables, self._source, lane, now)
        )

    async def retry(self, ref: JobRef) -> RetryResult:
        """See `JobChanger`."""
        now = self._clock()
        return await self._write(
            lambda connection, tables: retry_job(connection, tables, ref.id, now)
        )

    async def delete(self, ref: JobRef) -> DeleteOutcome:
        """See `JobChanger`."""
        await self._write(lambda connection, tables: delete_job(connection, tables, ref.id))
        return DeleteOutcome.DELETED

    async def bulk(
        self, action: BulkAction, queue: QueueRef, cutoff: datetime
    ) -> AsyncIterator[int]:
        """See `JobChanger`. Each batch is a transaction of its own."""
        if not failure_times(await self._known_tables()):
            raise Unsupported.of(
                "bulk",
                "none",
                "These tables do not say when a job failed, so jobs that fail again meanwhile "
                "could not be told apart. Set `columns.jobs.failed_at`, or `updated_at` there.",
            )
        if await self.find_queue(queue.name) is None:
            raise NotFound(f"There is no queue '{queue.name[:100]}'.")
        failed: FailedUntil | None = FailedUntil(lane_of(queue), cutoff)
        while failed is not None:
            batch = await self._write(partial(change_batch, action, failed, self._clock()))
            if batch.size:
                yield batch.size
            failed = replace(failed, after=batch.last) if batch.last else None

    async def close(self) -> None:
        """Give connections back."""
        await self._database.close()

    async def _read(self, query: Callable[[Connection, JobTables], T]) -> T:
        tables = await self._known_tables()
        try:
            return await self._database.read(lambda connection: query(connection, tables))
        except (ProgrammingError, SourceUnavailable) as error:
            raise await self._explained(error) from error

    async def _write(self, change: Callable[[Connection, JobTables], T]) -> T:
        tables = await self._known_tables()
        try:
            return await self._database.write(lambda connection: change(connection, tables))
        except IntegrityError as error:
            reason = str(error.orig).splitlines()[0]
            raise Conflict(f"The {self._source} database refuses this change: {reason}.") from error
        except (ProgrammingError, SourceUnavailable) as error:
            raise await self._explained(error) from error

    async def _known_tables(self) -> JobTables:
        # One looks, the others wait: a crowd of first callers would use up the connections.
        async with self._looking:
            if self._tables is None:
                self._tables = await self._database.read(
                    lambda connection: reflect(connection, self._options)
                )
            return self._tables

    async def _explained(self, error: ProgrammingError | SourceUnavailable) -> SourceUnavailable:
        """What to tell: tables that changed under us are looked up again."""
        if isinstance(error, SourceUnavailable) and "no such" not in error.message:
            return error
        self._tables = None
        try:
            await self._known_tables()
        except SourceUnavailable as missing:
            return missing
        reason = str(getattr(error, "orig", error)).splitlines()[0].rsplit(">: ", 1)[-1]
        return SourceUnavailable(
            self._source,
            f"The {self._source} database: {reason}. Its tables have changed, or the account may "
            "not use them; check `tables` and `columns` of this source's settings.",
        )


_CONFORMS: type[Engine] = SqlEngine
