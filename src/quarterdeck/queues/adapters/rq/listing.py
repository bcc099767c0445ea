"""Jobs page by page, one by one, by text, and the failed ones for grouping."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from quarterdeck.core.pagination import Page, TotalKind
from quarterdeck.net.redis_access import RedisAccess
from quarterdeck.queues.adapters.rq.counting import moment
from quarterdeck.queues.adapters.rq.fields import (
    FIELDS,
    STATES,
    attempts_of,
    error_of,
    history_of,
    latest,
    payload_of,
    results_of,
)
from quarterdeck.queues.adapters.rq.keys import Keys, QueueNames, is_job_id, own_name
from quarterdeck.queues.adapters.rq.registries import SORTED, Entry, Registries
from quarterdeck.queues.model import Failure, FailureSample, Job, JobRef, JobState
from quarterdeck.queues.ports import JobFilter

CANDIDATES = 10_000
"""A text search looks at so many jobs at most, the newest."""
_CHUNK = 500
_HISTORY = 100
_LAST_SECOND = datetime.max.replace(tzinfo=UTC).timestamp() - 86_400

Hash = Mapping[str, bytes | None]


class Listing:
    """Reads jobs. Every method raises `SourceUnavailable`."""

    def __init__(
        self, access: RedisAccess, keys: Keys, names: QueueNames, registries: Registries
    ) -> None:
        self._access = access
        self._keys = keys
        self._names = names
        self._registries = registries

    async def page(self, queue: str, state: JobState | None, limit: int, offset: int) -> Page[Job]:
        """One page, newest first."""
        found = await self._registries.entries(queue, state, offset, limit)
        return Page(await self._jobs(found.items), found.total)

    async def search(
        self, queue: str, state: JobState | None, span: tuple[int, int], text: JobFilter
    ) -> Page[Job]:
        """One page of what the filter accepts, `span` being (limit, offset).

        `CAPPED` when there were jobs that were not looked at.
        """
        limit, offset = span
        found = await self._registries.entries(queue, state, 0, CANDIDATES)
        matches = []
        for chunk in _chunks(found.items):
            # Payloads are large: a job is thrown away once it was looked at, and read again.
            for entry, job in zip(chunk, await self._find(chunk), strict=True):
                error = job.error if job else None
                if job and text.accepts(job.payload, error.message if error else None):
                    matches.append(entry)
        kind = TotalKind.CAPPED if found.total > CANDIDATES else TotalKind.EXACT
        return Page(await self._jobs(matches[offset : offset + limit]), len(matches), kind)

    async def find(self, job_id: str) -> Job | None:
        """One job with its attempts."""
        if not is_job_id(job_id):
            return None
        pipeline = self._access.pipeline(atomic=True)
        pipeline.hmget(self._keys.job(job_id), list(FIELDS))
        pipeline.xlen(self._keys.results(job_id))
        pipeline.xrevrange(self._keys.results(job_id), count=_HISTORY)
        pipeline.zcount(self._keys.executions(job_id), f"({self._registries.now_s() + 60}", "+inf")
        raw, ended, stream, running = await self._access.answers(pipeline)
        hash_ = _hash(raw)
        status = (hash_["status"] or b"").decode(errors="replace") if hash_ else ""
        if hash_ is None or status not in STATES:
            return None
        # A worker has taken it, and its child process has not noted the start yet.
        is_begun = status == "queued" and isinstance(running, int) and running > 0
        state = JobState.ACTIVE if is_begun else STATES[status]
        job = self._job(Entry(job_id, state), hash_, (ended, stream))
        (job,) = await self._dated([job])
        return replace(job, history=history_of(results_of(stream)))

    async def failures(self, queue: str, limit: int) -> FailureSample:
        """The failed jobs of a queue, the one that failed last first."""
        look = max(limit + 1, SORTED)
        found = await self._registries.entries(queue, JobState.FAILED, 0, look)
        pipeline = self._access.pipeline()
        for entry in found.items:
            pipeline.hget(self._keys.job(entry.job_id), "ended_at")
        ended = [moment(_bytes(answer)) for answer in await self._access.answers(pipeline)]
        # RQ orders them by the second in which they will be forgotten.
        dated = sorted(
            zip(found.items, ended, strict=True),
            key=lambda each: each[1].timestamp() if each[1] else 0.0,
            reverse=True,
        )
        failures = [
            failure
            for chunk in _chunks([entry for entry, _ in dated[:limit]])
            for failure in await self._failures(chunk)
        ]
        return FailureSample(failures, is_complete=found.total <= limit)

    async def _failures(self, entries: Sequence[Entry]) -> list[Failure]:
        pipeline = self._access.pipeline()
        for entry in entries:
            pipeline.xrevrange(self._keys.results(entry.job_id), count=1)
        found = []
        for entry, answer in zip(entries, await self._access.answers(pipeline), strict=True):
            results = results_of(answer)
            error = results[0].error if results else None
            at = (results[0].ended_at or results[0].at) if results else None
            message = (error or error_of("")).message
            found.append(Failure(JobRef(self._names.source, entry.job_id), message, at))
        return found

    async def _jobs(self, entries: Sequence[Entry]) -> list[Job]:
        return [job for job in await self._find(entries) if job is not None]

    async def _find(self, entries: Sequence[Entry]) -> list[Job | None]:
        """The jobs as their places say; None: it has ended its time, or is elsewhere by now."""
        pipeline = self._access.pipeline()
        for entry in entries:
            pipeline.hmget(self._keys.job(entry.job_id), list(FIELDS))
            pipeline.xlen(self._keys.results(entry.job_id))
            pipeline.xrevrange(self._keys.results(entry.job_id), count=1)
        answers = iter(await self._access.answers(pipeline)) if entries else iter(())
        found: list[Job | None] = []
        for entry in entries:
            hash_, ended, stream = _hash(next(answers)), next(answers), next(answers)
            fits = hash_ is not None and _fits(entry.state, hash_["status"])
            found.append(self._job(entry, hash_, (ended, stream)) if hash_ and fits else None)
        dated = iter(await self._dated([job for job in found if job is not None]))
        return [job and next(dated) for job in found]

    def _job(self, entry: Entry, hash_: Hash, ended: tuple[Any, Any]) -> Job:
        """A job in the state that its place stands for."""
        number, stream = ended
        payload, payload_error = payload_of(hash_["data"], hash_["description"])
        results = results_of(stream)
        waits = entry.state is JobState.WAITING
        origin = (hash_["origin"] or b"").decode(errors="replace")
        is_failed = entry.state is JobState.FAILED
        return Job(
            ref=JobRef(self._names.source, entry.job_id),
            queue=self._names.ref(origin).name,
            state=entry.state,
            payload=payload,
            attempts=attempts_of(hash_, entry.state, number),
            created_at=moment(hash_["created_at"]),
            updated_at=latest(hash_),
            error=(results[0].error if results else None) if is_failed else None,
            run_at=moment(hash_["enqueued_at"]) if waits else None,
            native_state=(hash_["status"] or b"").decode(errors="replace"),
            payload_error=payload_error,
        )

    async def _dated(self, jobs: Sequence[Job]) -> list[Job]:
        """The same, those that are scheduled with the time when they are due."""
        scheduled = [job for job in jobs if job.native_state == "scheduled"]
        pipeline = self._access.pipeline()
        for job in scheduled:
            key = self._keys.registry("scheduled", own_name(job.queue) or "")
            pipeline.zscore(key, job.ref.id)
        scores = await self._access.answers(pipeline) if scheduled else []
        due = {
            job.ref.id: datetime.fromtimestamp(score, UTC)
            for job, score in zip(scheduled, scores, strict=True)
            if isinstance(score, float) and 0 <= score < _LAST_SECOND
        }
        return [replace(job, run_at=due.get(job.ref.id, job.run_at)) for job in jobs]


def _fits(state: JobState, status: bytes | None) -> bool:
    """Whether a job is where its place says: it may have moved on between two looks."""
    told = (status or b"").decode(errors="replace")
    return STATES.get(told) is state or (state is JobState.ACTIVE and told == "queued")


def _hash(answer: Any) -> Hash | None:
    """The fields of a job; None: there is none, or something else lies under its key."""
    if not isinstance(answer, list):
        return None
    found = dict(zip(FIELDS, answer, strict=True))
    return found if found["status"] and found["origin"] else None


def _bytes(answer: Any) -> bytes | None:
    return answer if isinstance(answer, bytes) else None


def _chunks(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    for start in range(0, len(entries), _CHUNK):
        yield entries[start : start + _CHUNK]
