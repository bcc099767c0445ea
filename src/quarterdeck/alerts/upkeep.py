"""Forgets what is old."""

import asyncio
import logging
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select

from quarterdeck.alerts.dispatcher import Dispatcher
from quarterdeck.alerts.outbox import Outbox
from quarterdeck.alerts.silences import Silences
from quarterdeck.alerts.stream import EventStream
from quarterdeck.alerts.tables import alert_notices, alerts
from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.state import Database

log = logging.getLogger("quarterdeck.alerts")

EVERY_S = 600.0
EVENTS_KEPT = timedelta(days=7)
TESTS_KEPT = timedelta(days=1)
BATCH = 500


class Upkeep:
    """Removes alerts that ended long ago with all their notices, old events, silences, tests."""

    def __init__(
        self, database: Database, dispatcher: Dispatcher, retention_days: int, clock: Clock
    ) -> None:
        self._database = database
        self._outbox = Outbox(database)
        self._silences = Silences(database)
        self._stream = EventStream(database, lambda _: lambda: None)
        self._dispatcher = dispatcher
        self._kept = timedelta(days=retention_days)
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Look after it until `stop` is set."""
        while not stop.is_set():
            try:
                await self.once()
            except SourceUnavailable as error:
                log.warning("old alerts cannot be removed: %s", error.message)
            try:
                async with asyncio.timeout(EVERY_S):
                    await stop.wait()
            except TimeoutError:
                continue

    async def once(self) -> None:
        """Remove what is old now."""
        now = self._clock()
        while await self._database.write(lambda c: _remove_alerts(c, now - self._kept)) == BATCH:
            continue
        await self._stream.trim(now - EVENTS_KEPT)
        await self._silences.remove_old(now - self._kept)
        await self._outbox.remove_old_tests(now - TESTS_KEPT)
        await self._outbox.give_up_orphans(list(self._dispatcher.outlets), now)


def _remove_alerts(connection: Connection, before: datetime) -> int:
    query = select(alerts.c.id).where(alerts.c.resolved_at < before).limit(BATCH)
    ids = list(connection.execute(query).scalars())
    if ids:
        connection.execute(delete(alert_notices).where(alert_notices.c.alert_id.in_(ids)))
        connection.execute(delete(alerts).where(alerts.c.id.in_(ids)))
    return len(ids)
