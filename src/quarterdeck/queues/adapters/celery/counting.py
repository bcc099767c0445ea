"""Counts of all queues in one round trip, whatever the number of tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from redis.exceptions import NoScriptError

from quarterdeck.queues.adapters.celery.access import Access
from quarterdeck.queues.adapters.celery.scripts import COUNT
from quarterdeck.queues.adapters.celery.wire import time_of
from quarterdeck.queues.model import Provenance, QueueStats

HOUR_MIN = 60


@dataclass(frozen=True, slots=True)
class Counted:
    """The counts of one queue."""

    messages: int | None
    """Waiting in the broker; None: the broker cannot tell."""
    oldest: float | None
    """Since when the longest waiting of them waits, as far as is known."""
    listed: int
    """Waiting tasks of which we were told."""
    active: int
    scheduled: int
    """Held by a worker until their time comes."""
    failed: int
    completed: int
    is_paused: bool
    per_minute: Mapping[tuple[str, int], int]
    """How many completed (`c`) and failed (`f`) in a minute since 1970."""

    def stats(self, now: datetime) -> QueueStats:
        """As they are shown."""
        this = int(now.timestamp()) // 60
        waiting = None if self.messages is None else self.messages + self.scheduled
        return QueueStats(
            active=self.active,
            waiting=waiting,
            failed=self.failed,
            completed_last_hour=sum(
                n
                for (kind, minute), n in self.per_minute.items()
                if kind == "c" and this - HOUR_MIN < minute
            ),
            completed_last_hour_source=Provenance.METRICS,
            paused=self.is_paused,
            oldest_waiting_at=time_of(self.oldest),
            completed=self.completed,
            completed_last_minute=self.per_minute.get(("c", this - 1), 0),
            failed_last_minute=self.per_minute.get(("f", this - 1), 0),
        )


async def read_counts(
    access: Access, queues: Sequence[str], lists: Sequence[Sequence[str]]
) -> list[Counted]:
    """The counts of these queues, whose messages are in these lists, if in any."""
    if not queues:
        return []
    async with access.explained():
        try:
            answers = await _ask(access, queues, lists)
        except NoScriptError:  # a new server, or one that forgot
            await access.store.script_load(COUNT)
            answers = await _ask(access, queues, lists)
    return [_counted(*answer) for answer in answers]


async def _ask(access: Access, queues: Sequence[str], lists: Sequence[Sequence[str]]) -> list[Any]:
    pipeline = access.store.pipeline(transaction=False)
    script = access.store.register_script(COUNT)
    for queue, own in zip(queues, lists, strict=True):
        keys = [access.keys.own, *own]
        pipeline.evalsha(script.sha, len(keys), *keys, queue)
    return list(await pipeline.execute())


def _counted(
    messages: int, oldest: bytes | None, sizes: Sequence[int], paused: int, minutes: list[bytes]
) -> Counted:
    listed, active, scheduled, failed, completed = sizes
    return Counted(
        messages=messages,
        oldest=float(oldest) if oldest else None,
        listed=listed,
        active=active,
        scheduled=scheduled,
        failed=failed,
        completed=completed,
        is_paused=bool(paused),
        per_minute=_per_minute(minutes),
    )


def _per_minute(fields: Sequence[bytes]) -> dict[tuple[str, int], int]:
    """From `c7` -> `29928242:12`: twelve completed in that minute, the seventh of its hour."""
    found = {}
    for name, value in zip(fields[::2], fields[1::2], strict=True):
        minute, _, n = value.decode().partition(":")
        found[name.decode()[0], int(minute)] = int(n)
    return found
