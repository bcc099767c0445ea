"""Writes what is known of services to the state: changes at once, everything else now and then."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.health.heartbeats import Heartbeats
from quarterdeck.health.store import HealthStore
from quarterdeck.health.watch import ServiceWatch

log = logging.getLogger("quarterdeck.health")

SAVE_EVERY_S = 15.0
REFRESH_EVERY_S = 5.0
TRY_AGAIN_S = 2.0


class Keeper:
    """Saves watches and brings in what others wrote; a database that is gone is waited for."""

    def __init__(
        self,
        store: HealthStore,
        heartbeats: Heartbeats,
        watches: Mapping[str, ServiceWatch],
        clock: Clock = utc_now,
    ) -> None:
        self._store = store
        self._heartbeats = heartbeats
        self._watches = watches
        self._clock = clock
        self._unsaved: set[str] = set()
        self._urgent = asyncio.Event()
        self._is_failing = False

    def mark(self, service: str, *, is_urgent: bool) -> None:
        """Have a service saved: soon, or with the next batch."""
        self._unsaved.add(service)
        if is_urgent:
            self._urgent.set()

    async def load(self, stop: asyncio.Event) -> None:
        """Go on from what is stored; tries until it can, or `stop` is set."""
        while not stop.is_set():
            try:
                await self._load()
            except SourceUnavailable as error:
                log.warning("services are not watched yet: %s", error.message)
                await pause(stop, TRY_AGAIN_S)
            else:
                return

    async def refresh(self) -> None:
        """Bring in notes and heartbeats, which other servers on this database take too.

        Raises:
            SourceUnavailable: the database cannot be had.
        """
        await self._heartbeats.refresh()
        notes = {note.service: note for note in await self._store.notes()}
        for name, watch in self._watches.items():
            watch.annotate(notes.get(name))

    async def run(self, stop: asyncio.Event) -> None:
        """Save and refresh until `stop` is set, and save once more."""
        ending = asyncio.create_task(stop.wait())
        ending.add_done_callback(lambda _: self._urgent.set())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._refresh_again(stop))
            while not stop.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(SAVE_EVERY_S):
                        await self._urgent.wait()
                self._urgent.clear()
                if not await self.save():
                    await pause(stop, TRY_AGAIN_S)
            await self.save()

    async def save(self) -> bool:
        """Write what is not written yet; whether that could be done."""
        names, self._unsaved = self._unsaved, set()
        try:
            kept = [self._watches[name].keep() for name in names]
            await self._store.save(kept, self._clock())
        except SourceUnavailable as error:
            self._unsaved |= names
            if not self._is_failing:
                log.warning("what is known of services cannot be saved: %s", error.message)
            self._is_failing = True
            return False
        self._is_failing = False
        return True

    async def _load(self) -> None:
        kept = await self._store.load()
        await self.refresh()
        now = self._clock()
        for each in kept:
            if each.name in self._watches:
                self._watches[each.name].restore(each, now)

    async def _refresh_again(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await pause(stop, REFRESH_EVERY_S)
            with suppress(SourceUnavailable):  # `save` tells of it
                await self.refresh()


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until `stop` is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
