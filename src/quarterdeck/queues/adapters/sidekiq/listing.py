"""Jobs page by page, one by one, by text, and the failed ones for grouping."""

from quarterdeck.core.pagination import Page, TotalKind
from quarterdeck.queues.adapters.sidekiq.items import error_of, message_of, payload_of
from quarterdeck.queues.adapters.sidekiq.keys import RETRY, QueueNames, is_job_id
from quarterdeck.queues.adapters.sidekiq.places import LOOK, Entry, Places
from quarterdeck.queues.model import Failure, FailureSample, Job, JobRef, JobState
from quarterdeck.queues.ports import JobFilter

CANDIDATES = 10_000
"""A text search looks at so many jobs at most."""


class Listing:
    """Reads jobs. Every method raises `SourceUnavailable`."""

    def __init__(self, names: QueueNames, places: Places) -> None:
        self._names = names
        self._places = places

    async def page(self, queue: str, state: JobState | None, limit: int, offset: int) -> Page[Job]:
        """One page, newest first."""
        found = await self._places.entries(queue, state, offset, limit)
        kind = TotalKind.EXACT if found.is_complete else TotalKind.CAPPED
        return Page([self._job(entry) for entry in found.items], found.total, kind)

    async def search(
        self, queue: str, state: JobState | None, span: tuple[int, int], text: JobFilter
    ) -> Page[Job]:
        """One page of what the filter accepts, `span` being (limit, offset).

        `CAPPED` when there were jobs that were not looked at.
        """
        limit, offset = span
        found = await self._places.entries(queue, state, 0, CANDIDATES)
        matches = [
            entry
            for entry in found.items
            if text.accepts(payload_of(entry.item)[0], message_of(entry.item))
        ]
        is_whole = found.is_complete and found.total <= CANDIDATES
        jobs = [self._job(entry) for entry in matches[offset : offset + limit]]
        return Page(jobs, len(matches), TotalKind.EXACT if is_whole else TotalKind.CAPPED)

    async def find(self, queue: str, job_id: str) -> Job | None:
        """One job, wherever it is."""
        if not is_job_id(job_id):
            return None
        entry = await self._places.locate(queue, job_id)
        return None if entry is None else self._job(entry)

    async def failures(self, queue: str, limit: int) -> FailureSample:
        """The failed jobs of a queue, the one that died last first."""
        found = await self._places.entries(queue, JobState.FAILED, 0, LOOK)
        dated = sorted(found.items, key=lambda entry: entry.at.timestamp() if entry.at else 0.0)
        failures = [
            Failure(self._ref(entry), message_of(entry.item) or "", entry.at)
            for entry in reversed(dated)
        ]
        is_complete = found.is_complete and len(failures) <= limit
        return FailureSample(failures[:limit], is_complete)

    def _ref(self, entry: Entry) -> JobRef:
        return JobRef(self._names.source, entry.item.jid, entry.item.queue)

    def _job(self, entry: Entry) -> Job:
        item = entry.item
        payload, payload_error = payload_of(item)
        names = ("created_at", "enqueued_at", "failed_at", "retried_at")
        times = [at for name in names if (at := item.time(name))]
        is_over = entry.state is not JobState.WAITING
        is_failure = entry.state is JobState.FAILED or entry.place == RETRY
        return Job(
            ref=self._ref(entry),
            queue=self._names.ref(item.queue).name,
            state=entry.state,
            payload=payload,
            attempts=item.attempts + (entry.state is JobState.ACTIVE),
            max_attempts=item.max_attempts,
            created_at=item.time("created_at"),
            updated_at=max([*times, *([entry.at] if is_over and entry.at else [])], default=None),
            error=error_of(item) if is_failure else None,
            run_at=None if is_over else entry.at,
            native_state=entry.place,
            payload_error=payload_error,
        )
