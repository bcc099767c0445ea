"""Where jobs are: their queue's list, the sorted sets of all queues, and workers' reports."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from quarterdeck.net.redis_access import RedisAccess
from quarterdeck.queues.adapters.sidekiq import scripts
from quarterdeck.queues.adapters.sidekiq.items import Item, item_of, moment, running_of
from quarterdeck.queues.adapters.sidekiq.keys import DEAD, RETRY, SCHEDULE, SETS, Keys
from quarterdeck.queues.model import JobState

LOOK = 10_000
"""So many jobs of each sorted set are looked at: all that a dead set holds by Sidekiq's default."""

SORTED = 2_000
"""So many jobs are sorted by `created_at`; of more, each place has an order of its own."""

CHUNK = 1_000
"""A search for one job looks at so many of each place in one step, which takes about 2 ms."""

QUEUE, WORK = "queue", "work"
STATES = {
    QUEUE: JobState.WAITING,
    SCHEDULE: JobState.WAITING,
    RETRY: JobState.WAITING,
    WORK: JobState.ACTIVE,
    DEAD: JobState.FAILED,
}
PLACES = (QUEUE, *SETS)
"""Where jobs are stored."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A job in its place; `at` is when it is due, died, or was begun."""

    item: Item
    place: str
    at: datetime | None = None

    @property
    def state(self) -> JobState:
        """What the place stands for."""
        return STATES[self.place]


@dataclass(frozen=True, slots=True)
class Entries:
    """A stretch of a queue's jobs, of `total` in all; or more, if it is not complete."""

    items: Sequence[Entry]
    total: int
    is_complete: bool


@dataclass(frozen=True, slots=True)
class _Stored:
    """What was read of each place; a list of more than `SORTED` is given by its length only."""

    held: Mapping[str, list[Entry]]
    length: int
    is_complete: bool


class Places:
    """Reads jobs. Every method raises `SourceUnavailable`."""

    def __init__(self, access: RedisAccess, keys: Keys) -> None:
        self._access = access
        self._keys = keys
        self._locate_script = access.script(scripts.LOCATE)
        self._read_script = access.script(scripts.READ)
        self._work_script = access.script(scripts.WORK)

    async def entries(self, queue: str, state: JobState | None, start: int, count: int) -> Entries:
        """Jobs of a state, or of all: sorted by `created_at` if they are few, newest first."""
        # Workers' reports are older than all else, so they are read first and count least.
        running = await self._running(queue) if state in {None, JobState.ACTIVE} else []
        stored = await self._stored(queue, state)
        seen = {entry.item.jid for entries in stored.held.values() for entry in entries}
        active = [entry for entry in running if entry.item.jid not in seen]
        first = [*active, *stored.held.get(RETRY, []), *stored.held.get(SCHEDULE, [])]
        listed, dead = stored.held.get(QUEUE, []), stored.held.get(DEAD, [])
        total = len(first) + stored.length + len(dead)
        if total <= SORTED:
            ordered = sorted([*first, *listed, *dead], key=_age)
            return Entries(ordered[start : start + count], total, stored.is_complete)
        found = first[start : start + count]
        begin = max(start - len(first), 0)
        found += await self._stretch(queue, begin, count - len(found), stored.length)
        begin = max(begin - stored.length, 0)
        found += dead[begin : begin + count - len(found)]
        return Entries(found, total, stored.is_complete)

    async def locate(self, queue: str, job_id: str) -> Entry | None:
        """One job. What a worker reported seconds ago counts less than where it lies now."""
        start, cursors = 0, ["0"] * len(SETS)
        running: Entry | None = None
        while start >= 0 or any(cursors):
            start, raw_cursors, found = await self._access.run(
                self._locate_script,
                self._keys.queues,
                [self._keys.prefix, queue, job_id, CHUNK, start, *cursors],
            )
            cursors = [cursor.decode() for cursor in raw_cursors]
            for entry in _located(found, queue):
                if entry.item.jid != job_id:
                    continue  # the id stands in its arguments
                if entry.place != WORK:
                    return entry
                running = entry
        return running

    async def _running(self, queue: str) -> list[Entry]:
        reports = await self._access.run(self._work_script, self._keys.queues, [self._keys.prefix])
        found = [running_of(raw) for raw in reports]
        return [
            Entry(each.item, WORK, each.begun_at)
            for each in found
            if each is not None and each.item.queue == queue
        ]

    async def _stored(self, queue: str, state: JobState | None) -> _Stored:
        """What lies in the places of a state, all read in one step."""
        places = [each for each in PLACES if _is_of(each, state)]
        if not places:
            return _Stored({}, 0, is_complete=True)
        answers = await self._access.run(
            self._read_script,
            self._keys.queues,
            [self._keys.prefix, queue, LOOK, SORTED, *places],
        )
        sizes, parts = zip(*answers, strict=True)
        sized = dict(zip(places, sizes, strict=True))
        held = {
            place: _listed(part, queue) if place == QUEUE else _held(place, part)
            for place, part in zip(places, parts, strict=True)
        }
        length = sized.pop(QUEUE, 0)
        return _Stored(held, length, all(size <= LOOK for size in sized.values()))

    async def _stretch(self, queue: str, begin: int, count: int, length: int) -> list[Entry]:
        """A part of the list, the job that came last first."""
        if count <= 0 or begin >= length:
            return []
        pipeline = self._access.pipeline()
        pipeline.lrange(self._keys.waiting(queue), begin, begin + count - 1)
        (answer,) = await self._access.answers(pipeline)
        return _listed(answer, queue)


def _located(found: Iterable[tuple[bytes, bytes, bytes]], queue: str) -> Iterator[Entry]:
    for raw_place, raw, score in found:
        entry = _entry(raw_place.decode(), raw, score, queue)
        if entry and entry.item.queue == queue:
            yield entry


def _entry(place: str, raw: bytes, score: bytes, queue: str) -> Entry | None:
    if place == WORK:
        report = running_of(raw)
        return None if report is None else Entry(report.item, WORK, report.begun_at)
    if place == QUEUE:
        return next(iter(_listed([raw], queue)), None)
    item = item_of(raw)
    return None if item is None else Entry(item, place, moment(float(score)))


def _listed(answer: Any, queue: str) -> list[Entry]:
    """What a list gave; it may have become a key of another type, which holds no jobs."""
    items = [item_of(raw, queue) for raw in answer] if isinstance(answer, list) else []
    return [Entry(item, QUEUE, item.time("enqueued_at")) for item in items if item is not None]


def _held(place: str, scored: Iterable[tuple[bytes, bytes]]) -> list[Entry]:
    """What a sorted set gave."""
    items = [(item_of(raw), moment(float(score))) for raw, score in scored]
    return [Entry(item, place, at) for item, at in items if item is not None]


def _is_of(place: str, state: JobState | None) -> bool:
    return state in {None, STATES[place]}


def _age(entry: Entry) -> float:
    created = entry.item.time("created_at") or entry.item.time("enqueued_at")
    return -created.timestamp() if created else 0.0
