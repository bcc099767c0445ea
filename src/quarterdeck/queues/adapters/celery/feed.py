"""Listens to events and results, which Celery publishes on Redis, and keeps the index.

What is published while nobody listens is gone: after every gap the results that are kept are read
once. `catch_up` waits until everything that was published before the call is in the index.
"""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import msgspec
from redis.exceptions import RedisError

from quarterdeck.core import tasks
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.queues.adapters.celery import scripts
from quarterdeck.queues.adapters.celery.access import Access
from quarterdeck.queues.adapters.celery.notes import (
    Note,
    note_of_result,
    notes_of_events,
)
from quarterdeck.queues.adapters.celery.presence import Presence
from quarterdeck.queues.adapters.celery.routes import Routes
from quarterdeck.queues.adapters.celery.wire import read_body, read_json

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
        routes: Routes,
        presence: Presence,
        on_worker: Callable[[str], Awaitable[None]],
    ) -> None:
        self._access = access
        self._routes = routes
        self._presence = presence
        self._on_worker = on_worker
        self._tasks: list[asyncio.Task[None]] = []
        self._waiting: dict[str, asyncio.Event] = {}
        self._listening = [asyncio.Event() for _ in self._sources()]
        self._errands: set[asyncio.Task[None]] = set()
        self._is_reading = False

    def start(self) -> None:
        """Listen from now on, in the background; again after every failure."""
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._keep_listening(place, *source))
                for place, source in enumerate(self._sources())
            ]

    async def catch_up(self) -> None:
        """Return when all that was published so far is in the index.

        Raises:
            SourceUnavailable: it cannot be had in time.
        """
        self.start()
        async with self._access.explained():
            for client, _ in self._sources():
                await client.ping()
        try:
            async with asyncio.timeout(CATCH_UP_S):
                for place, (client, _) in enumerate(self._sources()):
                    await self._listening[place].wait()
                    await self._echo(place, client)
        except TimeoutError:
            raise self._access.reading() if self._is_reading else self._access.silent() from None

    async def close(self) -> None:
        """Stop listening."""
        await tasks.end([*self._tasks, *self._errands])

    def _sources(self) -> list[tuple[Any, Sequence[str]]]:
        access, keys = self._access, self._access.keys
        events = f"{keys.broker}/{access.database}.celeryev*"
        results = keys.result_of("*")
        if access.has_one_server:
            return [(access.broker, [events, results, self._echo_channel(0)])]
        # A worker stores a result before it sends the event: after both were waited for in this
        # order, no task is known by its event alone.
        return [
            (access.broker, [events, self._echo_channel(0)]),
            (access.results, [results, self._echo_channel(1)]),
        ]

    def _echo_channel(self, place: int, name: str = "*") -> str:
        """Two databases of one server share their channels, so each listener has its own."""
        return f"{self._access.keys.own}echo:{place}:{name}"

    async def _echo(self, place: int, client: Any) -> None:
        """Wait for a message of our own: Redis delivers to one listener in order."""
        token = uuid.uuid4().hex
        heard = self._waiting[token] = asyncio.Event()
        try:
            while not heard.is_set():
                async with self._access.explained():
                    await client.publish(self._echo_channel(place, token), "")
                # Again, for the listener may have lost its connection without knowing it yet.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ECHO_S):
                        await heard.wait()
        finally:
            del self._waiting[token]

    async def _keep_listening(self, place: int, client: Any, patterns: Sequence[str]) -> None:
        while True:
            try:
                await self._listen(place, client, patterns)
            except (RedisError, OSError, TimeoutError, SourceUnavailable) as error:
                log.info("events of Celery are not heard: %s", error)
            except Exception:
                # Whatever somebody published: what is published next must be heard.
                log.exception("an event of Celery could not be read")
            finally:
                self._listening[place].clear()
            await asyncio.sleep(RECONNECT_S)

    async def _listen(self, place: int, client: Any, patterns: Sequence[str]) -> None:
        async with self._access.listeners[place].pubsub() as pubsub:
            await pubsub.psubscribe(*patterns)
            # Listening first, reading what is kept second: nothing falls in between.
            await self._routes.discover()
            if client is self._access.results:
                self._is_reading = True
                try:
                    await self._read_kept_results()
                finally:
                    self._is_reading = False
            self._listening[place].set()
            while True:
                message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=30)
                batch = []
                while message is not None:
                    batch.append(message)
                    message = None
                    if len(batch) < BATCH:
                        message = await pubsub.get_message(
                            ignore_subscribe_messages=True, timeout=0
                        )
                if batch:
                    await self._take(batch)

    async def _take(self, messages: Sequence[dict[str, Any]]) -> None:
        keys, notes, heard = self._access.keys, [], []
        for message in messages:
            channel = message["channel"].decode(errors="replace")
            if channel.startswith(f"{keys.own}echo:"):
                heard.append(channel.rpartition(":")[2])
            elif channel.startswith(keys.result_of("")):
                note = note_of_result(read_json(message["data"]))
                notes += [note] if note else []
            else:
                body = read_body(message["data"])
                notes += notes_of_events(body)
                self._greet(self._presence.hear(body))
        await self.record(notes)
        for token in heard:
            if token in self._waiting:
                self._waiting[token].set()

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
