"""Counts of queues, from one script; those of large sorted sets are kept for some seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from quarterdeck.core.clock import Clock
from quarterdeck.net.redis_access import RedisAccess
from quarterdeck.queues.adapters.sidekiq import scripts
from quarterdeck.queues.adapters.sidekiq.items import item_of, moment
from quarterdeck.queues.adapters.sidekiq.keys import DEAD, RETRY, SCHEDULE, SETS, Keys, siblings
from quarterdeck.queues.adapters.sidekiq.tallies import SMALL, Share, Tallies, shares_of
from quarterdeck.queues.model import Provenance, QueueStats

OVERDUE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Counted:
    """One queue by Sidekiq's own name. `is_known`: it is in the register, or holds jobs."""

    queue: str
    is_known: bool
    stats: QueueStats


class Census:
    """Asks Redis for counts. Every method raises `SourceUnavailable`."""

    def __init__(self, access: RedisAccess, keys: Keys, named: Sequence[str], clock: Clock) -> None:
        self._access = access
        self._keys = keys
        self._named = tuple(named)
        self._clock = clock
        self._count = access.script(scripts.COUNT)
        self._tallies = Tallies(access, keys)

    async def of_all(self) -> list[Counted]:
        """All queues of the register and of the settings, and those that jobs name."""
        return await self._ask("all", [*self._named, *self._tallies.names])

    async def find(self, queue: str) -> Counted | None:
        """One queue, which is there if it is known, configured, or a band of one that is."""
        family = [queue, *siblings(queue)]
        found = await self._ask("named", family)
        if any(each.is_known for each in found) or not set(self._named).isdisjoint(family):
            return found[0]
        return None

    async def close(self) -> None:
        """Stop counting."""
        await self._tallies.close()

    async def _ask(self, extent: str, queues: Sequence[str]) -> list[Counted]:
        sets, rows = await self._access.run(
            self._count, self._keys.queues, [self._keys.prefix, SMALL, extent, *queues]
        )
        shares: dict[str, Mapping[str, Share] | None] = {}
        for name, (size, part) in zip(SETS, sets, strict=True):
            is_small = size is not None and size <= SMALL
            shares[name] = shares_of(part) if is_small else await self._tallies.of(name, size)
        now = self._clock()
        found = [_counted(row, shares, now) for row in rows]
        return [each for each in found if each is not None]


def _counted(
    row: Sequence[Any], shares: Mapping[str, Mapping[str, Share] | None], now: datetime
) -> Counted | None:
    raw_name, is_registered, is_paused, listed, oldest, active = row
    try:
        name = raw_name.decode()
    except UnicodeDecodeError:
        return None  # Sidekiq itself could not name it
    share = {
        each: None if found is None else found.get(name, Share(0)) for each, found in shares.items()
    }
    dead, due = share[DEAD], [share[RETRY], share[SCHEDULE]]
    firsts = [each.first_at for each in due if each and each.first_at and each.first_at <= now]
    waiting = _sum(listed, *(None if each is None else each.count for each in due))
    stats = QueueStats(
        active=active,
        waiting=waiting,
        failed=None if dead is None else dead.count,
        completed_last_hour=None,
        completed_last_hour_source=Provenance.NONE,
        paused=bool(is_paused),
        oldest_waiting_at=min([*_enqueued(oldest), *firsts], default=None),
        warnings=_warnings(waiting is None or dead is None, bool(is_paused), firsts, now),
    )
    holds = any((waiting, active, stats.failed))
    return Counted(name, bool(is_registered) or holds, stats)


def _enqueued(oldest: bytes | None) -> list[datetime]:
    item = item_of(oldest, "any") if oldest else None
    at = moment(item.get("enqueued_at")) if item else None
    return [] if at is None else [at]


def _warnings(
    is_partial: bool, is_paused: bool, firsts: Sequence[datetime], now: datetime
) -> list[str]:
    found = []
    if is_partial:
        found.append(
            "Not all of this queue can be counted: a large sorted set is still being counted, or "
            "something of another type lies under one of Sidekiq's keys in Redis."
        )
    if is_paused:
        found.append("Sidekiq Pro has paused this queue; only it can resume it.")
    if any(now - first > OVERDUE for first in firsts):
        found.append(
            "Scheduled jobs or retries are overdue by more than a minute. Does a Sidekiq process "
            "run? Each of them puts due jobs of all queues into their queues."
        )
    return found


def _sum(*numbers: int | None) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None
