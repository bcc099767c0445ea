"""The ids of a queue's jobs, in the order in which they are shown."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio.client import Pipeline

from quarterdeck.core.clock import Clock
from quarterdeck.net.redis_access import RedisAccess
from quarterdeck.queues.adapters.rq.counting import moment
from quarterdeck.queues.adapters.rq.keys import Keys
from quarterdeck.queues.model import JobState

SORTED = 2_000
"""So many jobs are sorted by `created_at`, at a cost of about 10 µs each in Redis and as much here.
Redis has no index over it: of more jobs, those come first that entered their state last."""


@dataclass(frozen=True, slots=True)
class Place:
    """A part of a queue that keeps ids: a list, or a range of scores of a sorted set."""

    state: JobState
    key: str
    low: str | None = None
    """None: it is a list."""
    high: str = "+inf"

    def count(self, pipeline: Pipeline) -> None:
        """Ask for the number of its ids."""
        if self.low is None:
            pipeline.llen(self.key)
        else:
            pipeline.zcount(self.key, self.low, self.high)

    def ids(self, pipeline: Pipeline, start: int, count: int) -> None:
        """Ask for ids, the one that came last first."""
        if self.low is None:
            pipeline.lrange(self.key, -start - count, -start - 1)
        else:
            pipeline.zrevrangebyscore(self.key, self.high, self.low, start, count)

    def ordered(self, answer: Sequence[bytes]) -> Iterator[bytes]:
        """What `ids` asked for, in order."""
        return reversed(answer) if self.low is None else iter(answer)


@dataclass(frozen=True, slots=True)
class Entry:
    """A job and the state that its place stands for."""

    job_id: str
    state: JobState


@dataclass(frozen=True, slots=True)
class Entries:
    """A stretch of a queue's jobs, of `total` in all."""

    items: Sequence[Entry]
    total: int


class Registries:
    """Reads ids. Every method raises `SourceUnavailable`."""

    def __init__(self, access: RedisAccess, keys: Keys, clock: Clock) -> None:
        self._access = access
        self._keys = keys
        self._clock = clock

    async def entries(self, queue: str, state: JobState | None, start: int, count: int) -> Entries:
        """Jobs of a state, or of all: sorted by `created_at` if they are few, newest first."""
        places = self._places(queue, state)
        pipeline = self._access.pipeline()
        for place in places:
            place.count(pipeline)
        sizes = [_size(answer) for answer in await self._access.answers(pipeline)]
        if sum(sizes) > SORTED:
            return Entries(await self._stretch(places, sizes, start, count), sum(sizes))
        everything = await self._read([(place, 0, SORTED) for place in places])
        ordered = await self._by_age(everything)
        return Entries(ordered[start : start + count], len(ordered))

    def now_s(self) -> int:
        """The time as RQ's scores have it."""
        return int(self._clock().timestamp())

    def _places(self, queue: str, state: JobState | None) -> list[Place]:
        """Where to look, but not behind an entry's time: RQ scores what never ends -1 or +inf."""
        of, alive = self._keys.registry, f"({self.now_s()}"
        waiting, failed = JobState.WAITING, of("failed", queue)
        places = [
            Place(JobState.ACTIVE, of("wip", queue), "-inf"),
            *(Place(waiting, of(kind, queue), "-inf") for kind in ("scheduled", "deferred")),
            Place(waiting, of("ready", queue), "-inf"),
            Place(waiting, self._keys.waiting(queue)),
            Place(waiting, self._keys.popped(queue)),
            Place(JobState.FAILED, failed, alive),
            Place(JobState.FAILED, failed, "-inf", "(0"),
            Place(JobState.COMPLETED, of("finished", queue), alive),
        ]
        return [place for place in places if state in {None, place.state}]

    async def _stretch(
        self, places: Sequence[Place], sizes: Sequence[int], start: int, count: int
    ) -> list[Entry]:
        """The places one after the other. O(start) in Redis, as for any list."""
        wanted = []
        for place, size in zip(places, sizes, strict=True):
            taken = min(max(size - start, 0), count)
            if taken:
                wanted.append((place, start, taken))
            start, count = max(start - size, 0), count - taken
        return await self._read(wanted)

    async def _read(self, wanted: Sequence[tuple[Place, int, int]]) -> list[Entry]:
        """So many ids from such a place on, all in one step: a job that moves is seen once."""
        pipeline = self._access.pipeline(atomic=True)
        for place, start, count in wanted:
            place.ids(pipeline, start, count)
        answers = await self._access.answers(pipeline) if wanted else []
        found: dict[str, Entry] = {}
        for (place, _, _), answer in zip(wanted, answers, strict=True):
            for entry in _entries(place, answer):
                found.setdefault(entry.job_id, entry)
        return list(found.values())

    async def _by_age(self, entries: Sequence[Entry]) -> list[Entry]:
        """Newest first, without those whose job has ended its time."""
        pipeline = self._access.pipeline()
        for entry in entries:
            pipeline.hmget(self._keys.job(entry.job_id), ["created_at", "status"])
        answers = await self._access.answers(pipeline) if entries else []
        dated = [
            (moment(answer[0]), entry)
            for entry, answer in zip(entries, answers, strict=True)
            if isinstance(answer, list) and answer[1]
        ]
        dated.sort(key=lambda each: each[0].timestamp() if each[0] else 0.0, reverse=True)
        return [entry for _, entry in dated]


def _entries(place: Place, answer: Any) -> Iterator[Entry]:
    """The ids of an answer that are some. Those of `wip` end with the execution's."""
    if not isinstance(answer, list):
        return
    for raw in place.ordered(answer):
        job_id = raw.decode(errors="replace")
        yield Entry(
            job_id.partition(":")[0] if place.state is JobState.ACTIVE else job_id, place.state
        )


def _size(answer: Any) -> int:
    """A length; nothing is in a key of another type. (The queue's counts say that it is there.)"""
    return answer if isinstance(answer, int) else 0
