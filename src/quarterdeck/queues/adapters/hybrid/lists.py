"""The Redis half: lists, hashes and guard sets of the platform."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError, ResponseError

from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.net.redis_access import redis_client
from quarterdeck.queues.adapters.hybrid import scripts
from quarterdeck.queues.adapters.hybrid.keys import Band, KeyPatterns

CHUNK = 2000
"""Entries searched in one step: about 1 ms in which Redis does nothing else."""


@dataclass(frozen=True, slots=True)
class BandLengths:
    """What Redis holds of one band. None: the key is there but is no list."""

    live: int | None
    aside: int | None
    removing: int | None
    is_marked: bool


@dataclass(frozen=True, slots=True)
class Moved:
    """What a script moved between live and aside, and whether that changed the marker."""

    entries: int
    marker_changed: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """An entry that was taken out; `older` is its neighbour towards the tail, if any."""

    older: bytes


class RedisLists:
    """The lists of all queues of one source. Every method raises `SourceUnavailable`."""

    def __init__(self, source: str, url: str, patterns: KeyPatterns) -> None:
        self._source = source
        self._patterns = patterns
        self._client = redis_client(url)  # all that is sent here may be run twice, scripts too
        register = self._client.register_script
        self._set_aside = register(scripts.SET_ASIDE)
        self._bring_back = register(scripts.BRING_BACK)
        self._find = register(scripts.FIND)
        self._take_out = register(scripts.TAKE_OUT)
        self._put_back = register(scripts.PUT_BACK)

    async def lengths(self, bands: Sequence[Band]) -> list[BandLengths]:
        """How much lies where, in one round trip."""
        if not bands:
            return []
        async with self._answering():
            pipeline = self._client.pipeline(transaction=False)
            for band in bands:
                keys = self._patterns.of_band(band)
                pipeline.llen(keys.live)
                pipeline.llen(keys.aside)
                pipeline.hlen(keys.removing)
                pipeline.exists(keys.marker)
            answers = [_number(answer) for answer in await pipeline.execute(raise_on_error=False)]
        return [
            BandLengths(live, aside, removing, bool(marked))
            for live, aside, removing, marked in zip(*[iter(answers)] * 4, strict=True)
        ]

    async def set_aside(self, band: Band, moment: str) -> Moved:
        """Take the whole list from the workers; also what came in since it was last done."""
        keys = self._patterns.of_band(band)
        async with self._answering():
            answer = await self._set_aside([keys.live, keys.aside, keys.marker], [moment])
        return Moved(int(answer[0]), bool(answer[1]))

    async def bring_back(self, band: Band) -> Moved:
        """Give the list back to the workers: what was set aside is popped first."""
        keys = self._patterns.of_band(band)
        async with self._answering():
            answer = await self._bring_back([keys.live, keys.aside, keys.marker])
        return Moved(int(answer[0]), bool(answer[1]))

    async def find_entries(self, band: Band, job_id: str) -> list[bytes]:
        """The exact bytes of a job's entries, live or aside.

        O(entries): Redis has no index into a list. They are searched inside Redis, in chunks
        with other commands in between, so nothing but the matches crosses the network. LPUSH
        moves entries only to where the search has not been; an entry that is popped or moved by
        a pause meanwhile may be missed, and is then reported as taken.
        """
        keys = self._patterns.of_band(band)
        found: dict[bytes, None] = {}
        async with self._answering():
            for key in (keys.live, keys.aside):
                start, read = 0, CHUNK
                while read == CHUNK:
                    read, entries = await self._find([key], [job_id, start, start + CHUNK - 1])
                    found.update(dict.fromkeys(e for e in entries if entry_id(e) == job_id))
                    start += CHUNK
        return list(found)

    async def find_removing(self, band: Band, job_id: str) -> bool:
        """Whether a delete of this job took its entry out, and did not finish."""
        async with self._answering():
            return bool(await self._client.hexists(self._patterns.of_band(band).removing, job_id))

    async def list_removing(self, band: Band) -> list[str]:
        """Ids of all jobs whose delete took the entry out and did not finish."""
        async with self._answering():
            ids = await self._client.hkeys(self._patterns.of_band(band).removing)
        return [_text(job_id) for job_id in ids]

    async def take_out(self, band: Band, job_id: str, entries: Sequence[bytes]) -> Taken | None:
        """Move a job's entries out of reach of the workers; None: they were popped meanwhile."""
        keys = self._patterns.of_band(band)
        async with self._answering():
            place, older = await self._take_out(
                [keys.live, keys.aside, keys.removing], [job_id, *entries]
            )
        return Taken(older) if place else None

    async def put_back(self, band: Band, job_id: str, taken: Taken) -> None:
        """Undo `take_out`, at the same place."""
        keys = self._patterns.of_band(band)
        async with self._answering():
            await self._put_back(
                [keys.live, keys.aside, keys.removing, keys.marker], [job_id, taken.older]
            )

    async def forget(self, band: Band, job_ids: Sequence[str]) -> None:
        """Drop what Redis still knows of jobs whose rows are gone."""
        if not job_ids:
            return
        async with self._answering():
            pipeline = self._client.pipeline(transaction=False)
            pipeline.hdel(self._patterns.of_band(band).removing, *job_ids)
            for job_id in job_ids:
                pipeline.delete(self._patterns.of_job(job_id))
            await pipeline.execute()

    async def drop_removing(self, band: Band, job_ids: Sequence[str]) -> None:
        """Drop entries of interrupted deletes that would no longer be right to put back."""
        if job_ids:
            async with self._answering():
                await self._client.hdel(self._patterns.of_band(band).removing, *job_ids)

    async def clear_guard(self, name: str, job_ids: Sequence[str]) -> None:
        """Let the migrator move these jobs of a queue again."""
        if job_ids:
            async with self._answering():
                await self._client.srem(self._patterns.of_guard(name), *job_ids)

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()

    @asynccontextmanager
    async def _answering(self) -> AsyncIterator[None]:
        try:
            yield
        except (RedisError, OSError, TimeoutError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise SourceUnavailable(
                self._source,
                f"The Redis server of the source '{self._source}' does not answer: {reason}. "
                "Its PostgreSQL half alone would give wrong numbers.",
            ) from error


def entry_id(entry: bytes) -> str | None:
    """The id in a list's entry; None for what is not JSON, or has none."""
    try:
        parsed: Any = json.loads(entry)
    except (ValueError, RecursionError):
        return None
    found = parsed.get("id") if isinstance(parsed, dict) else None
    return str(found) if isinstance(found, str | int) else None


def _text(raw: bytes | str) -> str:
    return raw.decode(errors="replace") if isinstance(raw, bytes) else raw


def _number(answer: object) -> int | None:
    """A count, or None where another program keeps something else under the key."""
    if isinstance(answer, ResponseError) and str(answer).startswith("WRONGTYPE"):
        return None
    if isinstance(answer, Exception):
        raise answer
    return int(str(answer))
