"""Counts of queues, from one script."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from quarterdeck.core.clock import Clock
from quarterdeck.net.redis_access import RedisAccess
from quarterdeck.queues.adapters.rq import scripts
from quarterdeck.queues.adapters.rq.keys import Keys, siblings
from quarterdeck.queues.model import Provenance, QueueStats


@dataclass(frozen=True, slots=True)
class Counted:
    """One queue by RQ's own name. `is_known`: it is in RQ's register."""

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

    async def of_all(self) -> list[Counted]:
        """All queues of the register and of the settings."""
        return await self._ask("all", self._named)

    async def find(self, queue: str) -> Counted | None:
        """One queue, which is there if it is registered, configured, or a band of one that is."""
        family = [queue, *siblings(queue)]
        found = await self._ask("named", family)
        if any(each.is_known for each in found) or not set(self._named).isdisjoint(family):
            return found[0]
        return None

    async def _ask(self, extent: str, queues: Sequence[str]) -> list[Counted]:
        now = int(self._clock().timestamp())
        suspended, *rows = await self._access.run(
            self._count, self._keys.queues, [self._keys.prefix, now, extent, *queues]
        )
        return [each for row in rows if (each := _counted(row, bool(suspended))) is not None]


def _counted(row: Sequence[Any], is_paused: bool) -> Counted | None:
    raw_name, is_known, since, *numbers = row
    try:
        name = raw_name.decode()
    except UnicodeDecodeError:
        return None  # RQ itself could not name it
    listed, popped, scheduled, overdue, deferred, ready, *rest = numbers
    active, lost, failed, failed_out, kept, kept_out = rest
    return Counted(
        name,
        bool(is_known),
        QueueStats(
            active=active,
            waiting=_sum(listed, popped, scheduled, deferred, ready),
            failed=_difference(failed, failed_out),
            completed_last_hour=None,
            completed_last_hour_source=Provenance.NONE,
            paused=is_paused,
            oldest_waiting_at=moment(since),
            completed=_difference(kept, kept_out),
            warnings=_warnings(numbers, lost or 0, overdue or 0),
        ),
    )


def _warnings(numbers: Sequence[int | None], lost: int, overdue: int) -> list[str]:
    found = []
    if None in numbers:
        found.append(
            "Something of another type lies under one of this queue's keys in Redis, so not all "
            "of it can be counted. Remove or rename that key."
        )
    if lost:
        found.append(
            f"{lost} running jobs have lost their worker: there is no sign of life. RQ fails or "
            "retries them the next time that one of its workers cleans up, every 10 minutes."
        )
    if overdue:
        found.append(
            f"{overdue} scheduled jobs are overdue by more than a minute. Is there a worker of "
            "this queue that runs with --with-scheduler?"
        )
    return found


def _sum(*numbers: int | None) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None


def _difference(whole: int | None, part: int | None) -> int | None:
    return None if whole is None or part is None else whole - part


def moment(raw: bytes | None) -> datetime | None:
    """A time as RQ writes it; None for an empty or malformed one."""
    try:
        found = datetime.fromisoformat((raw or b"").decode())
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
