"""What followers of alerts see: every change once, in order, also after a restart."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime

import msgspec
from sqlalchemy import Connection, delete, func, select

from quarterdeck.alerts.model import Alert
from quarterdeck.alerts.tables import alert_events
from quarterdeck.state import Database

AT_ONCE = 200
POLL_S = 2.0
"""How often to ask for changes that other servers made."""

KEPT_EVENTS = 100_000
"""Older ones are forgotten, however young."""

Subscribe = Callable[[Callable[[], None]], Callable[[], None]]
"""Have a listener called after each change of ours; gives what ends that."""


class EventStream:
    """Reads `alert_events`."""

    def __init__(self, database: Database, subscribe: Subscribe) -> None:
        self._database = database
        self._subscribe = subscribe
        self._stopping = False
        self._signals: set[asyncio.Event] = set()

    async def last_id(self) -> int:
        """Of the newest event; 0 when there is none."""
        query = select(func.max(alert_events.c.id))
        return await self._database.read(lambda c: c.execute(query).scalar_one()) or 0

    async def follow(self, after: int) -> AsyncIterator[list[tuple[int, Alert]]]:
        """Events with greater ids, until `end`.

        An empty list is given when nothing came for `POLL_S`, so that a caller can say it is alive.
        """
        # Ids of a database that was put back to an older state say nothing.
        after = min(after, await self.last_id())
        signal = asyncio.Event()
        forget = self._subscribe(signal.set)
        self._signals.add(signal)
        try:
            while not self._stopping:
                signal.clear()
                found = await self._since(after)
                if found:
                    after = found[-1][0]
                yield found
                if len(found) < AT_ONCE:
                    await _wait(signal)
        finally:
            self._signals.discard(signal)
            forget()

    def end(self) -> None:
        """End every `follow`."""
        self._stopping = True
        for signal in self._signals:
            signal.set()

    async def trim(self, before: datetime) -> int:
        """Forget events that are older, or too many; gives how many."""

        def change(connection: Connection) -> int:
            last = connection.execute(select(func.max(alert_events.c.id))).scalar_one() or 0
            is_old = (alert_events.c.at < before) | (alert_events.c.id <= last - KEPT_EVENTS)
            return connection.execute(delete(alert_events).where(is_old)).rowcount

        return await self._database.write(change)

    async def _since(self, after: int) -> list[tuple[int, Alert]]:
        query = (
            select(alert_events)
            .where(alert_events.c.id > after)
            .order_by(alert_events.c.id)
            .limit(AT_ONCE)
        )
        rows = await self._database.read(lambda c: c.execute(query).all())
        return [(row.id, msgspec.convert(row.alert, Alert)) for row in rows]


async def _wait(signal: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(POLL_S):
            await signal.wait()
    except TimeoutError:
        return
