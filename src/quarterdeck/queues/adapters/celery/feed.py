"""Listens to events and results, which Celery publishes, and keeps the index.

What is published while nobody listens is gone: after every gap the results that are kept are read
once. `catch_up` waits until everything that was published before the call is in the index.
"""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence

import msgspec

from quarterdeck.core import tasks
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.queues.adapters.celery import scripts
from quarterdeck.queues.adapters.celery.access import Access
from quarterdeck.queues.adapters.celery.broker import Heard, Kind, Wire
from quarterdeck.queues.adapters.celery.notes import (
    Note,
    note_of_result,
    notes_of_events,
)
from quarterdeck.queues.adapters.celery.presence import Presence
from quarterdeck.queues.adapters.celery.routes import Routes
from quarterdeck.queues.adapters.celery.wire import read_json

log = logging.getLogger("quarterdeck.queues")

BATCH = 500
CATCH_UP_S = 5.0
ECHO_S = 0.3
RECONNECT_S = 0.2
MAX_RESULTS = 200_000
"""So many kept results are read after a gap."""


class Feed:
    """Keeps the index of one source up to date while it runs."""

    def __init__(
        self,
        access: Access,
        wires: Sequence[Wire],
        routes: Routes,
        presence: Presence,
        on_worker: Callable[[str], Awaitable[None]],
    ) -> None:
        self._access = access
        self._wires = wires
        self._routes = routes
        self._presence = presence
        self._on_worker = on_worker
        self._tasks: list[asyncio.Task[None]] = []
        self._waiting: dict[str, asyncio.Event] = {}
        self._listening = [asyncio.Event() for _ in wires]
        self._errands: set[asyncio.Task[None]] = set()
        self._is_reading = False
        self._troubles: dict[Wire, SourceUnavailable] = {}
        """Why a wire could not be opened when that was last tried."""

    def start(self) -> None:
        """Listen from now on, in the background; again after every failure."""
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._keep_listening(wire, listening))
                for wire, listening in zip(self._wires, self._listening, strict=True)
            ]

    async def catch_up(self) -> None:
        """Return when all that was published so far is in the index.

        Raises:
            SourceUnavailable: it cannot be had in time.
        """
        self.start()
        for wire in self._wires:
            await wire.ping()
        try:
            async with asyncio.timeout(CATCH_UP_S):
                for wire, listening in zip(self._wires, self._listening, strict=True):
                    await listening.wait()
                    await self._echo(wire)
        except TimeoutError:
            if self._is_reading:
                raise self._access.reading() from None
            raise self._troubles.get(wire) or wire.silent() from None

    async def close(self) -> None:
        """Stop listening."""
        await tasks.end([*self._tasks, *self._errands])

    async def _echo(self, wire: Wire) -> None:
        """Wait for a message of our own."""
        token = uuid.uuid4().hex
        heard = self._waiting[token] = asyncio.Event()
        try:
            while not heard.is_set():
                await wire.echo(token)
                # Again, for the listener may have lost its connection without knowing it yet.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ECHO_S):
                        await heard.wait()
        finally:
            del self._waiting[token]

    async def _keep_listening(self, wire: Wire, listening: asyncio.Event) -> None:
        while True:
            try:
                await self._listen(wire, listening)
            except SourceUnavailable as error:
                self._troubles[wire] = error
                log.info("events of Celery are not heard: %s", error)
            except Exception:
                # Whatever somebody published: what is published next must be heard.
                log.exception("an event of Celery could not be read")
            finally:
                listening.clear()
            await asyncio.sleep(RECONNECT_S)

    async def _listen(self, wire: Wire, listening: asyncio.Event) -> None:
        async with wire.open() as batches:
            # Listening first, reading what is kept second: nothing falls in between.
            await self._routes.discover()
            if wire.brings_results:
                self._is_reading = True
                try:
                    await self._read_kept_results()
                finally:
                    self._is_reading = False
            self._troubles.pop(wire, None)
            listening.set()
            while True:
                await self._take(await batches.next())

    async def _take(self, batch: Sequence[Heard]) -> None:
        notes: list[Note] = []
        for heard in batch:
            if heard.kind is Kind.RESULT:
                note = note_of_result(heard.content)
                notes += [note] if note else []
            elif heard.kind is Kind.EVENTS:
                notes += notes_of_events(heard.content)
                self._greet(self._presence.hear(heard.content))
        await self.record(notes)
        for heard in batch:
            if heard.kind is Kind.ECHO and heard.content in self._waiting:
                self._waiting[heard.content].set()

    async def record(self, notes: Sequence[Note]) -> None:
        """Put what was told into the index."""
        for start in range(0, len(notes), BATCH):
            batch = msgspec.json.encode(
                [self._in_its_queue(note) for note in notes[start : start + BATCH]]
            )
            await self._access.run(
                scripts.RECORD, [], batch, f"{time.time():.6f}", self._access.options.keep
            )

    def _in_its_queue(self, note: Note) -> Note:
        if note["kind"] == "sent" or "queue" not in note:
            return note
        queue = self._routes.queue_of(note.pop("queue"))
        return note if queue is None else note | {"queue": queue}

    def _greet(self, workers: Iterable[str]) -> None:
        for worker in workers:
            errand = asyncio.create_task(self._greet_one(worker))
            self._errands.add(errand)
            errand.add_done_callback(self._errands.discard)

    async def _greet_one(self, worker: str) -> None:
        with contextlib.suppress(SourceUnavailable):
            await self._on_worker(worker)

    async def _read_kept_results(self) -> None:
        """Results are kept for a day, as is default; the newer ones are what the index lacks."""
        keys, seen = self._access.keys, 0
        batch: list[bytes] = []
        results = self._access.results
        async with self._access.explained():
            async for key in results.scan_iter(match=keys.result_of("*"), count=1000):
                batch.append(key)
                seen += 1
                if len(batch) == BATCH:
                    await self._read_results(batch)
                    batch = []
                if seen >= MAX_RESULTS:
                    break
            if batch:
                await self._read_results(batch)

    async def _read_results(self, keys: Sequence[bytes]) -> None:
        stored = await self._access.results.mget(keys)
        found = [note_of_result(read_json(each)) for each in stored if each]
        await self.record([note for note in found if note and "queue" in note])
