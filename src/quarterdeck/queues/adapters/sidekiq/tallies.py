"""How many jobs of a sorted set are of which queue: Sidekiq has one set for all of them."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.net.redis_access import RedisAccess
from quarterdeck.queues.adapters.sidekiq import scripts
from quarterdeck.queues.adapters.sidekiq.items import moment
from quarterdeck.queues.adapters.sidekiq.keys import Keys

SMALL = 500
"""So many jobs of a set are counted in the step that counts all else, within 1 ms."""

CHUNK = 1_000
"""So many jobs of a larger set are counted in one step, about 1 ms."""

KEPT_S = 5.0
EFFORT = 20
"""A count is kept for 5 s, and for at least 20 times as long as it took."""

PATIENCE_S = 0.3
"""How long an answer waits for the first count of a set."""


@dataclass(frozen=True, slots=True)
class Share:
    """What a queue has in a sorted set, and the lowest score there, which is a time."""

    count: int
    first_at: datetime | None = None


@dataclass(slots=True)
class _Kept:
    """The last count of one set, and the one that is under way."""

    shares: Mapping[str, Share] | None = None
    until: float = 0.0
    counting: "asyncio.Task[None] | None" = None


class Tallies:
    """Counts large sets in the background, a stretch at a time."""

    def __init__(self, access: RedisAccess, keys: Keys) -> None:
        self._access = access
        self._keys = keys
        self._script = access.script(scripts.TALLY)
        self._kept: dict[str, _Kept] = {}

    @property
    def names(self) -> list[str]:
        """All queues that had a share in the last counts."""
        return [name for kept in self._kept.values() for name in kept.shares or ()]

    async def of(self, name: str, size: int | None) -> Mapping[str, Share] | None:
        """The last count of this set, soon renewed if it is old; None: there is none yet."""
        if size is None:
            return None
        kept = self._kept.setdefault(name, _Kept())
        if kept.counting is None and asyncio.get_running_loop().time() >= kept.until:
            kept.counting = asyncio.create_task(self._count(name, kept))
        if kept.counting is not None and kept.shares is None:
            await asyncio.wait({kept.counting}, timeout=PATIENCE_S)
        return kept.shares

    async def close(self) -> None:
        """Stop what is under way."""
        running = [kept.counting for kept in self._kept.values() if kept.counting is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _count(self, name: str, kept: _Kept) -> None:
        clock = asyncio.get_running_loop().time
        begun = clock()
        try:
            kept.shares = await self._read(name)
        except SourceUnavailable:
            pass  # whoever asks for counts is told by the question itself
        finally:
            kept.until = clock() + max(KEPT_S, EFFORT * (clock() - begun))
            kept.counting = None

    async def _read(self, name: str) -> Mapping[str, Share]:
        found: dict[str, Share] = {}
        key, cursor = self._keys.sorted_set(name), b"0"
        while True:
            cursor, rows = await self._access.run(self._script, key, [cursor.decode(), CHUNK])
            for queue, share in shares_of(rows).items():
                found[queue] = _together([share, *filter(None, [found.get(queue)])])
            if cursor == b"0":
                return found


def shares_of(rows: Iterable[Sequence[Any]]) -> dict[str, Share]:
    """What the scripts tell: name, count and lowest score of each queue."""
    return {
        queue.decode(errors="replace"): Share(count, moment(_number(score)))
        for queue, count, score in rows
    }


def _together(parts: Sequence[Share]) -> Share:
    firsts = [part.first_at for part in parts if part.first_at is not None]
    return Share(sum(part.count for part in parts), min(firsts, default=None))


def _number(raw: bytes) -> float | None:
    try:
        return float(raw)
    except ValueError:
        return None
