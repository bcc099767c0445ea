"""Old days go: by age, and by the room that all lines take on disk.

A day is a partition, and dropping one takes milliseconds. The engine's own expiry (TTL) is not
used: it knows no limit by size, and a time far enough ahead wrapped and removed everything at once.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.logs.model import Day
from quarterdeck.logs.store import LogStore

log = logging.getLogger("quarterdeck.logs")

EVERY_S = 600.0


@dataclass(frozen=True, slots=True)
class Retention:
    """How long lines are kept, and how much room they may take; `bytes` 0: any."""

    days: int
    bytes: int

    def oldest(self, now: datetime) -> datetime:
        """Lines before this are gone by now, or will be at once."""
        start = now - timedelta(days=self.days)
        return start.replace(hour=0, minute=0, second=0, microsecond=0)


def surplus(days: list[Day], retention: Retention, now: datetime) -> list[Day]:
    """The days to drop, oldest first. The newest one stays, however large it is."""
    oldest = retention.oldest(now).date()
    ordered = sorted(days, key=lambda day: day.partition)
    room = sum(day.bytes for day in ordered)
    dropped = []
    for day in ordered[:-1]:
        too_large = retention.bytes and room > retention.bytes
        if not too_large and date.fromisoformat(day.partition) >= oldest:
            break
        room -= day.bytes
        dropped.append(day)
    if ordered and date.fromisoformat(ordered[-1].partition) < oldest:
        dropped.append(ordered[-1])
    return dropped


async def keep_trimmed(
    store: LogStore, retention: Retention, stop: asyncio.Event, clock: Clock = utc_now
) -> None:
    """Drop what is to go, now and every ten minutes, until `stop` is set."""
    while not stop.is_set():
        try:
            await trim(store, retention, clock())
        except SourceUnavailable as error:
            log.warning("old log lines are kept for now: %s", error.message)
        with suppress(TimeoutError):
            async with asyncio.timeout(EVERY_S):
                await stop.wait()


async def trim(store: LogStore, retention: Retention, now: datetime) -> None:
    """Drop what is to go."""
    for day in surplus(await store.days(), retention, now):
        await store.drop_day(day.partition)
        log.info("dropped %d log lines of %s: %d bytes", day.rows, day.partition, day.bytes)
