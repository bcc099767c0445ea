"""Tasks page by page, one by one, and by text."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from quarterdeck.core.pagination import Page, TotalKind
from quarterdeck.core.text import is_storable
from quarterdeck.queues.adapters.celery.broker import Broker
from quarterdeck.queues.adapters.celery.index import Index, Record, job_of
from quarterdeck.queues.adapters.celery.wire import Message
from quarterdeck.queues.model import Failure, FailureSample, Job, JobRef, JobState
from quarterdeck.queues.ports import JobFilter

CANDIDATES = 10_000
"""A text search looks at so many tasks, the newest."""
_CHUNK = 500
_PHASES = {
    JobState.WAITING: ("scheduled",),
    JobState.ACTIVE: ("active",),
    JobState.FAILED: ("failed",),
    JobState.COMPLETED: ("completed",),
    None: ("scheduled", "active", "failed", "completed"),
}


class Listing:
    """Reads broker and index as one."""

    def __init__(self, source: str, broker: Broker, index: Index) -> None:
        self._source = source
        self._broker = broker
        self._index = index

    async def page(self, queue: str, state: JobState | None, limit: int, offset: int) -> Page[Job]:
        """One page: what waits in the lists first, then all others, the newest first."""
        waiting, total = await self._sizes(queue, state)
        kind = await self._kind(queue, state)
        if offset >= total:
            return Page([], total, kind)
        jobs = await self._slice(queue, state, (offset, limit), waiting)
        return Page(jobs, total, kind)

    async def search(
        self, queue: str, state: JobState | None, window: tuple[int, int], text: JobFilter
    ) -> Page[Job]:
        """One page of what the filter accepts; `CAPPED` when there were tasks left unread."""
        waiting, total = await self._sizes(queue, state)
        offset, limit = window
        matches: list[Job] = []
        for start in range(0, min(total, CANDIDATES), _CHUNK):
            for job in await self._slice(queue, state, (start, _CHUNK), waiting):
                message = job.error.message if job.error else None
                if text.accepts(job.payload, message):
                    matches.append(job)
        kind = TotalKind.CAPPED if total > CANDIDATES else await self._kind(queue, state)
        return Page(matches[offset : offset + limit], len(matches), kind)

    async def find(self, job_id: str, queues: Iterable[str]) -> Job | None:
        """One task; one of which nothing is noted is searched for in the lists of `queues`."""
        if not job_id or not is_storable(job_id) or len(job_id) > 255:
            return None
        record = (await self._index.records([job_id]))[0]
        if record.phase not in {None, "waiting"}:
            return job_of(record, self._source)
        for queue in [record.queue] if record.queue else queues:
            found = await self._broker.find(queue, job_id)
            if found is not None:
                return job_of(_in_queue(record, queue), self._source, found[1])
        return job_of(record, self._source)

    async def failures(self, queue: str, limit: int) -> FailureSample:
        """The failed tasks of a queue, those created last first."""
        ids = await self._index.ids(queue, ["failed"], 0, limit + 1)
        records = await self._index.records(ids[:limit])
        failures = [
            Failure(
                JobRef(self._source, record.id),
                record.fields.get("error", ""),
                record.time("done_at"),
            )
            for record in records
            if record.phase == "failed"
        ]
        return FailureSample(failures, is_complete=len(ids) <= limit)

    async def _sizes(self, queue: str, state: JobState | None) -> tuple[int, int]:
        """How many wait in lists, and how many there are in all."""
        in_lists = state in {None, JobState.WAITING}
        waiting = await self._broker.count(queue) if in_lists else 0
        return waiting, waiting + sum(await self._index.sizes(queue, self._phases(state)))

    def _phases(self, state: JobState | None) -> Sequence[str]:
        """What the index tells of a state."""
        if self._broker.is_readable or state not in {None, JobState.WAITING}:
            return _PHASES[state]
        return ("waiting", *_PHASES[state])

    async def _kind(self, queue: str, state: JobState | None) -> TotalKind:
        """Where messages cannot be looked at, some may be there of which nobody told."""
        if self._broker.is_readable or state not in {None, JobState.WAITING}:
            return TotalKind.EXACT
        (counted,) = await self._broker.counted([queue])
        is_known = counted.messages is not None and counted.messages <= counted.listed
        return TotalKind.EXACT if is_known else TotalKind.CAPPED

    async def _slice(
        self, queue: str, state: JobState | None, window: tuple[int, int], waiting: int
    ) -> list[Job]:
        start, count = window
        messages: Sequence[Message] = ()
        if start < waiting:
            messages = await self._broker.page(queue, start, count)
        records = await self._index.records([message.id for message in messages])
        jobs = [
            job_of(_in_queue(record, queue), self._source, message)
            for record, message in zip(records, messages, strict=True)
        ]
        left = count - len(messages)
        ids = await self._index.ids(queue, self._phases(state), max(0, start - waiting), left)
        jobs += [job_of(record, self._source) for record in await self._index.records(ids)]
        return [job for job in jobs if job is not None]


def _in_queue(record: Record, queue: str) -> Record:
    return replace(record, fields={**record.fields, "queue": queue})
