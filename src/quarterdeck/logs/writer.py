"""Group commit: what many senders bring becomes few large inserts, and each hears when it is safe.

While one insert runs the next one gathers, so under load inserts grow by themselves and an idle
server stores a single line at once; under heavy load two run side by side. An insert holds one
day; it is sent again with the same token when the engine did not answer, so it is stored once. A
sender that is told of a failure sends its request again: lines arrive at least once.
"""

import asyncio
import logging
import secrets
from asyncio import FIRST_COMPLETED
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from quarterdeck.core.errors import (
    InvalidRequest,
    QuarterdeckError,
    SourceUnavailable,
    TooManyRequests,
)
from quarterdeck.facts import Facts, Insert, RowsRefused
from quarterdeck.logs.model import COLUMNS
from quarterdeck.logs.prepared import Prepared, Rows

log = logging.getLogger("quarterdeck.logs")

TABLE = "logs"
INSERT_BYTES = 8 * 1024 * 1024
"""One insert takes up to so much: 30,000 lines. With more, the converter waits for the inserts at
the end of each round of requests; with less, the inserts cost more."""

INSERTS = 2
"""Side by side under load: the engine writes one to disk while it reads the next. (Measured: 25 %
more lines a second; a third made it no better.)"""
BESIDE_BYTES = 2 * 1024 * 1024
"""What must wait for an insert to be started beside another: with less, lines are stored in the
order in which they came."""

GATHER_S = 0.015
LONGEST_GATHER_S = 0.3
"""An insert waits for company as long as more keeps coming: each costs 10 ms, however small, and
makes a part that must be merged. (Measured: of a million lines in 100 inserts, merging took twice
the CPU that it took in 22.)"""

INSERT_SETTINGS = {"exclude_materialize_skip_indexes_on_insert": "i_ng"}
"""The n-gram filter is built by the first merge: 13 % more lines a second; new parts are small."""

REFUSED = (
    "the store refuses a line of this request that we took for good; please report it. "
    "Sending it again will not help"
)
UNEXPECTED = "The lines could not be stored; the server's log says why. Send them again."

TRIES = 3
FIRST_PAUSE_S = 0.2
RETRY_AFTER_S = 1


@dataclass(slots=True, eq=False)
class Waiting:
    """What one caller of `add` waits for."""

    prepared: Prepared
    stored: "asyncio.Future[None]"


Part = tuple[Waiting, Rows]
"""What one caller brought of one day."""


@dataclass(slots=True)
class Counts:
    """Since the start of this server."""

    lines: int = 0
    bytes: int = 0
    inserts: int = 0
    failed: int = 0
    """Lines whose senders were told of a failure."""


class LogWriter:
    """The only one who inserts lines. `run` must be running for `add` to return."""

    def __init__(self, facts: Facts, capacity: int) -> None:
        self._facts = facts
        self._capacity = capacity
        self._queue: deque[Waiting] = deque()
        self._waiting_bytes = 0
        self._queued = 0
        """Of these, what is in no insert that runs now."""
        self._running: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Event()
        self._room = asyncio.Condition()
        self._listeners: set[Callable[[], None]] = set()
        self.counts = Counts()

    @property
    def waiting_bytes(self) -> int:
        """Received and not yet durable."""
        return self._waiting_bytes

    def on_commit(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Have `listener` called after each insert; gives what ends that."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    def wake(self) -> None:
        """Call the listeners though nothing was stored, for them to look around."""
        for listener in list(self._listeners):
            listener()

    def require_room(self) -> None:
        """Admit a new request only while there is room for what it brings.

        Raises:
            TooManyRequests: storing is slower than receiving just now.
        """
        if self._waiting_bytes >= self._capacity:
            raise TooManyRequests(
                "Lines arrive faster than they can be stored. Nothing of this request was taken; "
                "wait and send it again.",
                RETRY_AFTER_S,
            )

    async def add(self, prepared: Prepared) -> "asyncio.Future[None]":
        """Queue rows, as soon as there is room; the future is done when they are durable.

        The future raises SourceUnavailable when they could not be stored, and InvalidRequest when
        the store will never take them.
        """
        stored = asyncio.get_running_loop().create_future()
        # Who hung up does not ask how it ended.
        stored.add_done_callback(lambda done: done.cancelled() or done.exception())
        if not prepared.count:
            stored.set_result(None)
            return stored
        async with self._room:
            await self._room.wait_for(lambda: self._waiting_bytes < self._capacity)
        self._waiting_bytes += prepared.size
        self._queued += prepared.size
        self._queue.append(Waiting(prepared, stored))
        self._arrived.set()
        return stored

    async def run(self, stop: asyncio.Event) -> None:
        """Store what is added, until `stop` is set and nothing waits any more."""
        ending = asyncio.create_task(stop.wait())
        ending.add_done_callback(lambda _: self._arrived.set())
        try:
            while self._queue or not stop.is_set():
                if not self._queue:
                    self._arrived.clear()
                    await self._arrived.wait()
                    continue
                await self._gather(stop)
                await self._free_place()
                task = asyncio.create_task(self._store(self._take()))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            await asyncio.gather(*self._running)
        finally:
            ending.cancel()
            for task in self._running:
                task.cancel()
            for waiting in self._queue:
                waiting.stored.cancel()

    async def _gather(self, stop: asyncio.Event) -> None:
        """Wait while lines keep coming and there are not enough for an insert."""
        clock = asyncio.get_running_loop().time
        ends, seen = clock() + LONGEST_GATHER_S, -1
        while seen < self._queued < INSERT_BYTES and clock() < ends and not stop.is_set():
            seen = self._queued
            await asyncio.sleep(GATHER_S)

    async def _free_place(self) -> None:
        """Wait until the next insert may start."""
        while self._running and (len(self._running) == INSERTS or self._queued < BESIDE_BYTES):
            await asyncio.wait(self._running, timeout=GATHER_S, return_when=FIRST_COMPLETED)

    def _take(self) -> list[Waiting]:
        taken, size = [], 0
        while self._queue and size < INSERT_BYTES:
            taken.append(self._queue.popleft())
            size += taken[-1].prepared.size
        self._queued -= size
        return taken

    async def _store(self, taken: Sequence[Waiting]) -> None:
        days: dict[int, list[Part]] = {}
        for waiting in taken:
            for day, rows in waiting.prepared.days.items():
                days.setdefault(day, []).append((waiting, rows))
        for day in sorted(days):
            await self._store_day(days[day])
        for waiting in taken:
            if not waiting.stored.done():
                waiting.stored.set_result(None)
        self._waiting_bytes -= sum(waiting.prepared.size for waiting in taken)
        async with self._room:
            self._room.notify_all()

    async def _store_day(self, parts: Sequence[Part]) -> None:
        """Store one day's rows, and tell those whose rows could not be stored."""
        try:
            await self._insert([rows for _, rows in parts])
        except RowsRefused:
            if len(parts) == 1:
                self._fail(parts, InvalidRequest.of("body", REFUSED, "body"))
                return
            # One sender's row must not cost the others theirs: halve until it is alone.
            middle = len(parts) // 2
            await self._store_day(parts[:middle])
            await self._store_day(parts[middle:])
        except SourceUnavailable as error:
            self._fail(parts, error)
        except Exception:  # everybody waits for this loop: whatever it is, it must go on
            log.exception("log lines could not be stored")
            self._fail(parts, SourceUnavailable("facts", UNEXPECTED))

    def _fail(self, parts: Sequence[Part], error: QuarterdeckError) -> None:
        for waiting, rows in parts:
            self.counts.failed += rows.count
            if not waiting.stored.done():
                waiting.stored.set_exception(error)

    async def _insert(self, parts: Sequence[Rows]) -> None:
        count = sum(rows.count for rows in parts)
        pieces = [rows.data for rows in parts]
        insert = Insert(TABLE, COLUMNS, pieces, count, secrets.token_hex(16), INSERT_SETTINGS)
        for left in reversed(range(TRIES)):
            try:
                await self._facts.insert(insert)
                break
            except RowsRefused:
                raise
            except SourceUnavailable as error:
                if not left:
                    raise
                log.warning("storing %d lines is tried again: %s", count, error.message)
                await asyncio.sleep(FIRST_PAUSE_S * (TRIES - left))
        self.counts.inserts += 1
        self.counts.lines += count
        self.counts.bytes += sum(map(len, pieces))
        self.wake()
