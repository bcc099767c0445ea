"""Counts of all queues in one round trip, whatever the number of tasks."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from redis.exceptions import NoScriptError

from quarterdeck.queues.adapters.celery.access import Access
from quarterdeck.queues.adapters.celery.scripts import COUNT
from quarterdeck.queues.adapters.celery.wire import time_of
from quarterdeck.queues.model import Provenance, QueueStats

HOUR_MIN = 60


async def read_counts(access: Access, queues: Sequence[str], now: datetime) -> list[QueueStats]:
    """The counts of these queues, in their order."""
    if not queues:
        return []
    async with access.explained():
        try:
            answers = await _ask(access, queues)
        except NoScriptError:  # a new server, or one that forgot
            await access.broker.script_load(COUNT)
            answers = await _ask(access, queues)
    return [_stats(answer, now) for answer in answers]


async def _ask(access: Access, queues: Sequence[str]) -> list[Any]:
    pipeline = access.broker.pipeline(transaction=False)
    script = access.broker.register_script(COUNT)
    for queue in queues:
        keys = [access.keys.own, *access.keys.lists(queue)]
        pipeline.evalsha(script.sha, len(keys), *keys, queue)
    return list(await pipeline.execute())


def _stats(answer: Sequence[Any], now: datetime) -> QueueStats:
    waiting, oldest, active, scheduled, failed, completed, paused, minutes = answer
    this = int(now.timestamp()) // 60
    counts = _per_minute(minutes)
    return QueueStats(
        active=active,
        waiting=waiting + scheduled,
        failed=failed,
        completed_last_hour=sum(
            n for (kind, minute), n in counts.items() if kind == "c" and this - HOUR_MIN < minute
        ),
        completed_last_hour_source=Provenance.METRICS,
        paused=bool(paused),
        oldest_waiting_at=time_of(float(oldest)) if oldest else None,
        completed=completed,
        completed_last_minute=counts.get(("c", this - 1), 0),
        failed_last_minute=counts.get(("f", this - 1), 0),
    )


def _per_minute(fields: Sequence[bytes]) -> dict[tuple[str, int], int]:
    """From `c7` -> `29928242:12`: twelve completed in that minute, the seventh of its hour."""
    found = {}
    for name, value in zip(fields[::2], fields[1::2], strict=True):
        minute, _, n = value.decode().partition(":")
        found[name.decode()[0], int(minute)] = int(n)
    return found
