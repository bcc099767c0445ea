"""The engine: every verb of the SQL engine, completed by its half in Redis."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import Conflict, NotFound
from quarterdeck.core.pagination import Page
from quarterdeck.queues.adapters.hybrid import options as settings
from quarterdeck.queues.adapters.hybrid.abilities import DOCUMENTED, completed_by_lists
from quarterdeck.queues.adapters.hybrid.drift import DriftWatch
from quarterdeck.queues.adapters.hybrid.keys import BANDS, Band
from quarterdeck.queues.adapters.hybrid.lists import Moved, RedisLists, Taken
from quarterdeck.queues.adapters.hybrid.rows import JobRows, WaitingRows
from quarterdeck.queues.adapters.hybrid.stats import Halves, merge
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

BATCH = 500
TRIES = 4
"""A job may change its state between our look and our change; then we look again."""


class HybridEngine:
    """Rows in PostgreSQL, waiting jobs in PostgreSQL or Redis."""

    kind = "hybrid"
    Options = settings.Options
    documented = DOCUMENTED

    def __init__(
        self,
        source: str,
        options: settings.Options,
        toolbox: Toolbox,
        clock: Clock = utc_now,
    ) -> None:
        self._clock = clock
        self._migrated = options.migrated_status
        self._engine = toolbox.build("sql", source, options.of_rows())
        self._rows = JobRows(toolbox.open_sql(options.url, source), options)
        self._lists = RedisLists(source, options.redis_url, options.patterns())
        self._drift = DriftWatch(clock)
        self._pausing = asyncio.Lock()

    async def snapshot(self) -> Mapping[QueueRef, QueueStats]:
        """See `ports.QueueReader`. All list lengths are one pipeline."""
        found, waiting = await asyncio.gather(self._engine.snapshot(), self._rows.count_waiting())
        return await self._completed(found, waiting)

    async def find_queue(self, name: str) -> tuple[QueueRef, QueueStats] | None:
        """See `ports.QueueReader`."""
        found = await self._engine.find_queue(name)
        if found is None:
            return None
        ref, stats = found
        waiting = await self._rows.count_waiting(Band.of_queue(ref))
        completed = await self._completed({ref: stats}, waiting)
        return ref, completed[ref]

    def capabilities(self, queue: QueueRef) -> Capabilities:
        """See `ports.QueueReader`: those of the rows, with a pause that reaches into Redis."""
        return completed_by_lists(self._engine.capabilities(queue))

    async def list_jobs(
        self,
        queue: QueueRef,
        state: JobState | None,
        limit: int,
        offset: int,
        text: JobFilter | None = None,
    ) -> Page[Job]:
        """See `ports.JobReader`. Jobs that wait in Redis have their rows, too."""
        page = await self._engine.list_jobs(queue, state, limit, offset, text)
        return replace(page, items=[self._located(job) for job in page.items])

    async def find_job(self, ref: JobRef) -> Job | None:
        """See `ports.JobReader`."""
        job = await self._engine.find_job(ref)
        return job and self._located(job)

    async def sample_failures(self, queue: QueueRef, limit: int) -> FailureSample:
        """See `ports.JobReader`."""
        return await self._engine.sample_failures(queue, limit)

    async def pause(self, queue: QueueRef) -> PauseResult:
        """Stop the migrator, then set aside what is in Redis already.

        A crash in between leaves a queue that says it is not paused, with a warning. Repeating
        the call completes it, and also sets aside what came in since.
        """
        async with self._pausing:
            stopped = await self._engine.pause(queue)
            moment = self._clock().isoformat()
            bands = self._reached(queue)
            moved = [await self._lists.set_aside(band, moment) for band in bands]
        number = sum(each.entries for each in moved)
        note = f"{number} jobs that were in Redis are set aside until it is resumed."
        return self._paused(stopped, moved, bands, [note] if number else [])

    async def resume(self, queue: QueueRef) -> PauseResult:
        """Bring back what was set aside, then start the migrator.

        In this order the jobs that waited longest run first. A crash in between leaves a queue
        that says it is not paused, with a warning; repeating the call completes it.
        """
        async with self._pausing:
            if await self._engine.find_queue(queue.name) is None:
                raise NotFound(f"There is no queue '{queue.name[:100]}'. GET /queues lists all.")
            bands = self._reached(queue)
            moved = [await self._lists.bring_back(band) for band in bands]
            started = await self._engine.resume(queue)
        return self._paused(started, moved, bands, [])

    async def retry(self, ref: JobRef) -> RetryResult:
        """Clear the duplicate guard, put the row back, clear the guard again.

        The migrator passes over guarded ids: a job queued before its guard is gone might wait
        out the guard's hour. A failed row is not migrated, so a crash in between harms nothing.
        The second time is for a rival's retry that ran and failed since the first one.
        """
        job = await self._get_job(ref)
        if job.state is not JobState.FAILED:
            # Not left to the rows: they may see it fail a moment later, with its guard still up.
            raise Conflict(f"Only failed jobs can be retried; this one is {job.state.value}.")
        name = Band.of(job.queue).name
        await self._lists.clear_guard(name, [ref.id])
        result = await self._engine.retry(ref)
        await self._lists.clear_guard(name, [ref.id])
        return result

    async def delete(self, ref: JobRef) -> DeleteOutcome:
        """Delete a job that does not run: its entry, its row, its hash, in this order.

        O(length of its list) for a job that waits in Redis.
        """
        for _ in range(TRIES):
            job = await self._get_job(ref)
            if job.state is JobState.ACTIVE:
                return await self._engine.delete(ref)
            if await self._delete_as_seen(job):
                return DeleteOutcome.DELETED
        raise Conflict("The job is changing its state right now. Try again in a moment.")

    async def bulk(
        self, action: BulkAction, queue: QueueRef, cutoff: datetime
    ) -> AsyncIterator[int]:
        """See `ports.JobChanger`. Guards are cleared before, hashes removed after the rows."""
        band = Band.of_queue(queue)
        failed = await self._rows.list_failed(band)
        if action is BulkAction.RETRY_FAILED:
            await self._clear_guards(band, failed)
        async for done in self._engine.bulk(action, queue, cutoff):
            yield done
        if action is BulkAction.RETRY_FAILED:
            await self._clear_guards(band, failed)
        else:
            await self._forget_deleted(band, failed)

    async def close(self) -> None:
        """Give all connections back."""
        await asyncio.gather(self._engine.close(), self._rows.close(), self._lists.close())

    async def _completed(
        self, found: Mapping[QueueRef, QueueStats], waiting: Mapping[Band, WaitingRows]
    ) -> dict[QueueRef, QueueStats]:
        bands = {ref: Band.of_queue(ref) for ref in found}
        lengths = await self._lists.lengths(list(bands.values()))
        completed = {}
        for (ref, band), lists in zip(bands.items(), lengths, strict=True):
            halves = Halves(found[ref], waiting.get(band, WaitingRows(0, 0)), lists)
            drift = 0 if halves.missing is None else self._drift.observe(band, halves.missing)
            completed[ref] = merge(halves, drift)
        return completed

    async def _clear_guards(self, band: Band, job_ids: Sequence[str]) -> None:
        """As for one retry, of all these that are not in Redis again already."""
        for ids in _batches(job_ids):
            moved = await self._rows.find_known(ids, migrated=True)
            await self._lists.clear_guard(band.name, [each for each in ids if each not in moved])

    async def _forget_deleted(self, band: Band, job_ids: Sequence[str]) -> None:
        for ids in _batches(job_ids):
            known = await self._rows.find_known(ids)
            await self._lists.forget(band, [each for each in ids if each not in known])

    def _located(self, job: Job) -> Job:
        in_redis = job.native_state == self._migrated
        return replace(job, location="redis" if in_redis else "postgresql")

    def _reached(self, queue: QueueRef) -> list[Band]:
        """The bands that a pause of the rows stops."""
        band = Band.of_queue(queue)
        if self._engine.capabilities(queue).pause_scope is PauseScope.BAND:
            return [band]
        return [Band(band.name, priority) for priority in BANDS]

    def _paused(
        self, rows: PauseResult, moved: Sequence[Moved], bands: Sequence[Band], notes: Sequence[str]
    ) -> PauseResult:
        return replace(
            rows,
            changed=rows.changed or any(each.entries or each.marker_changed for each in moved),
            affected=list(dict.fromkeys([*rows.affected, *(band.public_name for band in bands)])),
            notes=[*rows.notes, *notes],
        )

    async def _get_job(self, ref: JobRef) -> Job:
        job = await self._engine.find_job(ref)
        if job is None:
            raise NotFound(
                "There is no such job any more: it was deleted, or its time of keeping has ended."
            )
        return job

    async def _delete_as_seen(self, job: Job) -> bool:
        """Delete a job in the state it was seen in; False: it is in another by now."""
        band, status = Band.of(job.queue), job.native_state or ""
        await self._tidy(band)
        if status != self._migrated:
            if not await self._rows.remove(job.ref.id, status):
                return False
            await self._lists.forget(band, [job.ref.id])
            return True
        taken = await self._take_out(band, job.ref.id)
        # From here to the row's end the entry is out of reach, but not forgotten: whoever dies
        # here leaves a job that no worker runs and that the next delete finds.
        if await self._rows.remove(job.ref.id, status):
            await self._lists.forget(band, [job.ref.id])
            return True
        # Its row is gone if another delete was quicker: then nothing may be put back.
        if taken and await self._rows.find_known([job.ref.id]):
            await self._lists.put_back(band, job.ref.id, taken)
        return False

    async def _take_out(self, band: Band, job_id: str) -> Taken | None:
        """Take the job's entry from the workers; None: an interrupted delete has done so."""
        entries = await self._lists.find_entries(band, job_id)
        taken = await self._lists.take_out(band, job_id, entries) if entries else None
        if taken is None and not await self._lists.find_removing(band, job_id):
            raise Conflict(
                "A worker has just taken this job from Redis, so it can no longer be deleted. "
                "If it never starts, that worker died with it: set its row back to queued first."
            )
        return taken

    async def _tidy(self, band: Band) -> None:
        """Forget interrupted deletes whose rows are gone or wait no longer in Redis."""
        removing = await self._lists.list_removing(band)
        if removing:
            known = await self._rows.find_known(removing)
            await self._lists.forget(band, [each for each in removing if each not in known])
            waiting = await self._rows.find_known(known, migrated=True)
            await self._lists.drop_removing(band, sorted(known - waiting))


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))


_CONFORMS: type[Engine] = HybridEngine
