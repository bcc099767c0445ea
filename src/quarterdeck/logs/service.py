"""The verbs of the log room."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from math import ceil

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import NotFound
from quarterdeck.logs.conditions import field_value, where
from quarterdeck.logs.fast import Converter
from quarterdeck.logs.intake import NdjsonIntake, Turns
from quarterdeck.logs.model import (
    Context,
    Facet,
    Filter,
    Histogram,
    Intake,
    Line,
    LogEntry,
    LogPage,
    Place,
    Stats,
    moment,
)
from quarterdeck.logs.ports import Answer, Dialect, Greeter, Reading
from quarterdeck.logs.prepared import prepare
from quarterdeck.logs.retention import Retention, keep_trimmed
from quarterdeck.logs.store import LogStore
from quarterdeck.logs.tail import follow, here
from quarterdeck.logs.writer import LogWriter

STEPS_S = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400,
    172_800, 604_800,
)  # fmt: skip
"""Widths of a histogram's steps that people can read."""

RATE_OVER_S = 60.0


class LogService:
    """Takes lines in, and answers questions about them."""

    def __init__(
        self,
        store: LogStore,
        writer: LogWriter,
        retention: Retention,
        dialects: Mapping[str, Dialect],
        clock: Clock = utc_now,
    ) -> None:
        self._store = store
        self._writer = writer
        self._retention = retention
        self._dialects = dialects
        self._clock = clock
        self._rate = _Rate(lambda: writer.counts.lines)
        self._stopping = asyncio.Event()
        self._turns = Turns()
        self.dropped_datagrams: Callable[[], int] = lambda: 0

    async def run(self, stop: asyncio.Event) -> None:
        """Store what comes in and let go what is old, until `stop` is set and all is stored."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._writer.run(stop))
            group.create_task(keep_trimmed(self._store, self._retention, stop, self._clock))
            group.create_task(self._rate.run(stop))

    async def check(self) -> None:
        """Whether lines can be had: the table answers.

        Raises:
            SourceUnavailable: it does not.
        """
        await self._store.newest_block()

    # In

    def open_ndjson(self) -> NdjsonIntake:
        """Begin to take a request's NDJSON.

        Raises:
            TooManyRequests: there is no room for it just now.
        """
        self._writer.require_room()
        now = self._clock()
        converter = Converter(now, self._retention.oldest(now))
        return NdjsonIntake(self._writer, converter, self._turns)

    async def take(self, kind: str, body: bytes, content_type: str) -> tuple[Reading, Answer]:
        """Read a whole request of another protocol, store its lines, and say what its sender hears.

        Raises:
            InvalidRequest: the body is not of this protocol.
            TooManyRequests: there is no room for it just now.
            SourceUnavailable: it could not be stored; send it again.
        """
        self._writer.require_room()
        started = time.perf_counter()
        dialect, now = self._dialects[kind], self._clock()
        reading = await asyncio.to_thread(
            dialect.read, body, content_type, now, self._retention.oldest(now)
        )
        await self.store_lines(reading.lines)
        took_ms = int((time.perf_counter() - started) * 1000)
        return reading, dialect.answer(reading, content_type, took_ms)

    @property
    def dialects(self) -> Mapping[str, Dialect]:
        """The protocols that bodies may speak, by kind."""
        return self._dialects

    def greet(self, kind: str, method: str, path: str) -> Answer | None:
        """What a protocol answers to a question before anything is sent; None: it knows none."""
        dialect = self._dialects[kind]
        return dialect.greet(method, path) if isinstance(dialect, Greeter) else None

    async def store_lines(self, lines: Sequence[Line]) -> None:
        """Store lines that are of our form already; durable on return.

        Raises:
            SourceUnavailable: some of them could not be stored.
        """
        await (await self._writer.add(prepare(lines)))

    def oldest(self) -> datetime:
        """Lines before this are not taken: the retention would remove them at once."""
        return self._retention.oldest(self._clock())

    # Out

    async def search(
        self, wanted: Filter, limit: int, offset: int, before: Place | None = None
    ) -> LogPage:
        """A page, newest first, with the exact total of all pages."""
        condition = where(wanted)
        total = await self._store.count(condition)
        entries = await self._store.page(condition, total, limit, offset, before)
        more = len(entries) == limit and (before is not None or offset + limit < total)
        return LogPage(entries, total, entries[-1].place if more else None)

    async def count(self, wanted: Filter) -> int:
        """How many lines there are, exactly."""
        return await self._store.count(where(wanted))

    async def get(self, place: Place) -> LogEntry:
        """One line.

        Raises:
            NotFound: it is gone, or never was.
        """
        found = await self._store.find(place)
        if found is None:
            raise NotFound("There is no such log line. It may be older than the retention.")
        return found

    async def context(self, place: Place, before: int, after: int) -> Context:
        """What else the same service said around a line, and all of the same request."""
        entry = await self.get(place)
        service = where(Filter(service=entry.service))
        older, newer = await self._store.neighbours(service, place, before, after)
        same: list[LogEntry] = []
        if entry.request_id:
            request = where(Filter(request_id=entry.request_id))
            past, future = await self._store.neighbours(request, place, before, after)
            same = [*past, entry, *future]
        return Context(entry, older, newer, same)

    async def histogram(self, wanted: Filter, buckets: int) -> Histogram:
        """Lines by level over time, in at most `buckets` steps of a readable width."""
        condition = where(wanted)
        span = await self._store.span(condition)
        if span is None:
            return Histogram([], STEPS_S[0], 0)
        step_s = _step_s((span.newest_us - span.oldest_us) / 1e6, buckets)
        found = await self._store.histogram(condition, step_s * 1_000_000)
        return Histogram(found, step_s, sum(bucket.lines for bucket in found))

    async def facet(self, wanted: Filter, field: str, top: int) -> Facet:
        """The most frequent values of a field among these lines."""
        return await self._store.facet(where(wanted), field_value(field), top)

    async def here(self) -> Place:
        """The place behind everything that is stored by now: where following begins."""
        return await here(self._store)

    def follow(self, wanted: Filter, after: Place) -> AsyncIterator[list[LogEntry]]:
        """Lines as they are stored; see `tail.follow`."""
        return follow(self._store, self._writer, where(wanted), after, self._stopping)

    def end_following(self) -> None:
        """End every `follow`: the server is about to stop, and none would end by itself."""
        self._stopping.set()
        self._writer.wake()

    @property
    def intake(self) -> Intake:
        """What this server has taken in."""
        counts = self._writer.counts
        return Intake(
            stored=counts.lines,
            failed=counts.failed,
            inserts=counts.inserts,
            waiting_bytes=self._writer.waiting_bytes,
            dropped_datagrams=self.dropped_datagrams(),
        )

    async def stats(self) -> Stats:
        """What is kept, and how fast it comes in."""
        days = await self._store.days()
        span = await self._store.span(where(Filter()))
        return Stats(
            rows=sum(day.rows for day in days),
            bytes=sum(day.bytes for day in days),
            oldest=moment(span.oldest_us) if span else None,
            newest=moment(span.newest_us) if span else None,
            lines_per_s=self._rate.per_s,
            waiting_bytes=self._writer.waiting_bytes,
            retention_days=self._retention.days,
            retention_bytes=self._retention.bytes or None,
            dropped_datagrams=self.dropped_datagrams(),
        )


class _Rate:
    """How fast a count grew in the last minute."""

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count
        self._samples: deque[tuple[float, int]] = deque()

    @property
    def per_s(self) -> float:
        """In units a second; zero before there are two samples."""
        if not self._samples:
            return 0.0
        then, before = self._samples[0]
        elapsed = asyncio.get_running_loop().time() - then
        return round((self._count() - before) / elapsed, 1) if elapsed > 0 else 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Note the count every second."""
        clock = asyncio.get_running_loop().time
        while not stop.is_set():
            self._samples.append((clock(), self._count()))
            while self._samples[-1][0] - self._samples[0][0] > RATE_OVER_S:
                self._samples.popleft()
            try:
                async with asyncio.timeout(1.0):
                    await stop.wait()
            except TimeoutError:
                continue


def _step_s(span_s: float, buckets: int) -> int:
    wanted = span_s / buckets
    for step in STEPS_S:
        if step >= wanted:
            return step
    return ceil(wanted / STEPS_S[-1]) * STEPS_S[-1]
