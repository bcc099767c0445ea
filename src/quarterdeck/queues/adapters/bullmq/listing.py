"""Pages of jobs, newest first, over the lists and sorted sets that make up a state.

Redis can sort none of them by the time of creation, and holds them in up to eight places. Each
place has an order of its own; the pages merge them by the time of creation as far as MERGED jobs,
and behind that go through one place after the other. So a job is on one page only, and a page far
behind costs no more than one near the front.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from quarterdeck.core.pagination import Page, TotalKind
from quarterdeck.queues.adapters.bullmq.access import Access, Script
from quarterdeck.queues.adapters.bullmq.catalogue import Catalogue
from quarterdeck.queues.adapters.bullmq.reading_scripts import HEADS, LOOK
from quarterdeck.queues.adapters.bullmq.rows import FIELDS, LISTS, STATES, error_of, job_of
from quarterdeck.queues.model import Failure, FailureSample, Job, JobRef, JobState, QueueRef
from quarterdeck.queues.ports import JobFilter

MERGED = 1000
CHUNK = 500
MOST_SEARCHED = 20_000
"""A search for text reads the newest jobs up to so many: about a second."""

_HEADS = Script(HEADS)
_LOOK = Script(LOOK)


@dataclass(frozen=True, slots=True)
class Slice:
    """Part of one place: the jobs from `start` on."""

    place: str
    start: int
    count: int


@dataclass(frozen=True, slots=True)
class Shape:
    """How many jobs each place holds, and the order in which the first are shown."""

    lengths: dict[str, int]
    order: list[str]
    """The place of the first job, of the second, and so on."""

    @property
    def total(self) -> int:
        """All jobs of all places."""
        return sum(self.lengths.values())

    def slices(self, offset: int, limit: int) -> list[Slice]:
        """What a page is made of, in its order."""
        at = dict.fromkeys(self.lengths, 0)
        found: list[Slice] = []
        for number, place in enumerate(self.order):
            if offset <= number < offset + limit:
                found.append(Slice(place, at[place], 1))
            at[place] += 1
        number = len(self.order)
        for place, length in self.lengths.items():
            left = length - at[place]
            start = max(offset - number, 0)
            stop = min(offset + limit - number, left)
            if start < stop:
                found.append(Slice(place, at[place] + start, stop - start))
            number += left
        return found


class Listing:
    """The jobs of one source. Every method raises `SourceUnavailable`."""

    def __init__(self, source: str, access: Access, catalogue: Catalogue) -> None:
        self._source = source
        self._access = access
        self._catalogue = catalogue

    async def page(
        self, queue: QueueRef, native: str, state: JobState | None, limit: int, offset: int
    ) -> Page[Job]:
        """One page; jobs that end or start meanwhile may be missing from it."""
        shape = await self._shape(native, state, min(offset + limit, MERGED))
        if offset >= shape.total:
            return Page([], shape.total)
        jobs = await self._read(queue, native, shape.slices(offset, limit))
        return Page(jobs, shape.total)

    async def search(
        self,
        queue: QueueRef,
        native: str,
        state: JobState | None,
        window: tuple[int, int],
        text: JobFilter,
    ) -> Page[Job]:
        """Jobs whose shown payload or error holds a text; `window` is limit and offset.

        The total is a lower bound where there are more jobs than are searched.
        """
        limit, offset = window
        shape = await self._shape(native, state, MERGED)
        found = [
            job
            async for job in self._all(queue, native, shape)
            if text.accepts(job.payload, job.error.message if job.error else None)
        ]
        kind = TotalKind.CAPPED if shape.total > MOST_SEARCHED else TotalKind.EXACT
        return Page(found[offset : offset + limit], len(found), kind)

    async def find(self, ref: JobRef, public: str) -> Job | None:
        """One job."""
        meta = self._catalogue.meta_key(ref.queue)
        found = await self._access.run(_LOOK, meta, ref.id, *FIELDS)
        if found is None:
            return None
        place, score, values = found
        return job_of(ref, public, (place.decode(), float(score) if score else None), values)

    async def locate(self, ref: JobRef) -> tuple[str, float | None] | None:
        """The place of a job, and its score there; None: there is no such job."""
        meta = self._catalogue.meta_key(ref.queue)
        found = await self._access.run(_LOOK, meta, ref.id, "timestamp")
        return None if found is None else (found[0].decode(), float(found[1]) if found[1] else None)

    async def failures(self, native: str, limit: int) -> FailureSample:
        """The newest failures."""
        key = self._catalogue.job_key(native, "failed")
        failures: list[Failure] = []
        for start in range(0, limit, CHUNK):
            stop = min(start + CHUNK, limit)
            ids = await self._access.read_range(key, start, stop - 1, is_list=False)
            failures += await self._failures_of(native, [each for each, _ in ids])
            if len(ids) < stop - start:
                return FailureSample(failures, is_complete=True)
        more = await self._access.read_range(key, limit, limit, is_list=False)
        return FailureSample(failures, is_complete=not more)

    async def _failures_of(self, native: str, raw: Sequence[bytes]) -> list[Failure]:
        ids = [each.decode(errors="replace") for each in raw]
        keys = [self._catalogue.job_key(native, each) for each in ids]
        rows = await self._access.read_hashes(keys, FIELDS)
        found = []
        for job_id, values in zip(ids, rows, strict=True):
            if values is None or not any(values):
                continue
            ref = JobRef(self._source, job_id, native)
            job = job_of(ref, "", ("failed", None), values)
            message = error_of(values[FIELDS.index("failedReason")])
            found.append(Failure(ref, message, job.updated_at))
        return found

    async def _shape(self, native: str, state: JobState | None, merged: int) -> Shape:
        places = [name for each in ([state] if state else JobState) for name in STATES[each]]
        # One place needs no merging, and so no times of creation.
        most = merged if len(places) > 1 else 0
        meta = self._catalogue.meta_key(native)
        answer = await self._access.run(_HEADS, meta, most, *places)
        lengths = dict(zip(places, answer[::2], strict=True))
        return Shape(lengths, _merged(dict(zip(places, answer[1::2], strict=True)), most))

    async def _all(self, queue: QueueRef, native: str, shape: Shape) -> AsyncIterator[Job]:
        for start in range(0, min(shape.total, MOST_SEARCHED), CHUNK):
            for job in await self._read(queue, native, shape.slices(start, CHUNK)):
                yield job

    async def _read(self, queue: QueueRef, native: str, slices: Sequence[Slice]) -> list[Job]:
        """The jobs of these slices; those whose hashes are gone are left out."""
        placed = await self._placed(native, slices)
        keys = [self._catalogue.job_key(native, job_id) for _, job_id, _ in placed]
        rows = await self._access.read_hashes(keys, FIELDS)
        return [
            job_of(JobRef(self._source, job_id, native), queue.name, (place, score), values)
            for (place, job_id, score), values in zip(placed, rows, strict=True)
            if values is not None and any(value is not None for value in values)
        ]

    async def _placed(
        self, native: str, slices: Sequence[Slice]
    ) -> list[tuple[str, str, float | None]]:
        """Place, id and score of each job, in the order of the slices; one read a place."""
        found: dict[str, tuple[int, list[tuple[bytes, float | None]]]] = {}
        for place in dict.fromkeys(each.place for each in slices):
            mine = [each for each in slices if each.place == place]
            start = min(each.start for each in mine)
            stop = max(each.start + each.count for each in mine)
            key = self._catalogue.job_key(native, place)
            ids = await self._access.read_range(key, start, stop - 1, is_list=place in LISTS)
            found[place] = start, ids
        placed = []
        for each in slices:
            first, ids = found[each.place]
            begin = each.start - first
            for job_id, score in ids[begin : begin + each.count]:
                placed.append((each.place, job_id.decode(errors="replace"), score))
        return placed


def _merged(created: dict[str, list[bytes]], most: int) -> list[str]:
    """The places of the newest jobs, if each place is gone through in its own order."""
    times = {place: [_number(each) for each in heads] for place, heads in created.items() if heads}
    at = dict.fromkeys(times, 0)
    order: list[str] = []
    while len(order) < most and times:
        place = max(times, key=lambda each: times[each][at[each]])
        order.append(place)
        at[place] += 1
        if at[place] == len(times[place]):
            del times[place]
    return order


def _number(raw: bytes) -> float:
    try:
        return float(raw)
    except ValueError:
        return 0.0
