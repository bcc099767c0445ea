"""What takes mail events in: lines of logs, and requests of providers. Answered when durable."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import Detail, InvalidRequest, NotFound
from quarterdeck.net.http import HttpClient
from quarterdeck.reputation.adapters import HOOKS, line_reader, load
from quarterdeck.reputation.adapters.neutral import lines_of
from quarterdeck.reputation.mail import MailEvent
from quarterdeck.reputation.mail_book import MailBook
from quarterdeck.reputation.mail_ports import HookKeys, HookReader, LineReader, LineRefused
from quarterdeck.reputation.memory import NullSenders

log = logging.getLogger("quarterdeck.reputation")

NAMED = 100
SHOWN = 20
"""Refused lines that an error names."""
AHEAD = timedelta(hours=1)
"""Clocks differ, and a log without a zone may be off by more; but nothing comes from tomorrow."""
AT_ONCE = 500
"""Lines that are read before others have their turn: some 5 ms."""
PORTION = 10_000
"""Events that are stored before more are read, so that a large request needs no more memory."""
MOST_SOURCES = 1000
"""Whose columns and clocks are remembered; of more, those that sent last."""


@dataclass(slots=True)
class MailReceipt:
    """What became of the lines or events of a request."""

    accepted: int = 0
    """Events that are stored for good."""
    passed_over: int = 0
    """Lines about something else."""
    rejected: int = 0
    rejections: list[tuple[int, str]] = field(default_factory=list)
    """Line, from 1, and why; of the first hundred."""

    def reject(self, line: int, reason: str) -> None:
        """A line that was not taken."""
        self.rejected += 1
        if len(self.rejections) < NAMED:
            self.rejections.append((line, reason))


class MailIntake:
    """Takes events from everywhere. For the event loop only."""

    def __init__(
        self,
        book: MailBook,
        keys: HookKeys,
        http: HttpClient,
        retention_days: int = 90,
        clock: Clock = utc_now,
    ) -> None:
        """Build it.

        Raises:
            ConfigError: a key is not of the form that its provider gives.
        """
        self._book = book
        self._retention = timedelta(days=retention_days)
        self._clock = clock
        self._memory = NullSenders()
        self._readers: OrderedDict[tuple[str, str], tuple[LineReader, asyncio.Lock]] = OrderedDict()
        self._hooks: Mapping[str, HookReader] = {
            name: load(path)(keys, http, clock) for name, path in HOOKS.items()
        }

    async def take_lines(self, kind: str, text: str, source: str = "") -> MailReceipt:
        """Take lines of a log, or of `neutral` also an array; good ones are stored, others named.

        What lines say of each other is remembered for each `source`, such as the host they are
        from, until this server ends.

        Raises:
            InvalidRequest: there is no such kind, or not one line could be taken.
            TooManyRequests, SourceUnavailable: not all was stored; send all again, which counts
                nothing twice.
        """
        reader, turn = self._reader(kind, source)
        receipt = MailReceipt()
        events: list[MailEvent] = []
        async with turn:
            for number, line in enumerate(lines_of(text, is_json=kind == "neutral"), 1):
                if number % AT_ONCE == 0:
                    await asyncio.sleep(0)
                if line.strip():
                    events += self._read(reader, line, number, receipt)
                if len(events) >= PORTION:
                    await self._store(events, receipt)
        if receipt.rejected and not events and not receipt.accepted + receipt.passed_over:
            raise _all_refused(receipt)
        await self._store(events, receipt)
        return receipt

    async def take_hook(self, name: str, headers: Mapping[str, str], body: bytes) -> MailReceipt:
        """Take what a provider posts.

        Events of a wrong time are refused one by one: a provider would send all of the others with
        them again, and again.

        Raises:
            NotFound: there is no such provider.
            Unauthenticated: its signature is not good.
            InvalidRequest: it is not what the provider documents.
            TooManyRequests, SourceUnavailable: nothing was stored; it will send again.
        """
        hook = self._hooks.get(name)
        if hook is None:
            raise NotFound(f"There is no such provider; known are {', '.join(HOOKS)}.")
        receipt = MailReceipt()
        events = []
        for number, event in enumerate(await hook.read(headers, body), 1):
            try:
                self._require_timely(event)
            except LineRefused as refused:
                receipt.reject(number, str(refused))
            else:
                events.append(event)
        if receipt.rejected:
            log.warning(
                "%d mail events of %s were refused; the first: %s",
                receipt.rejected, name, receipt.rejections[0][1],
            )  # fmt: skip
        await self._store(events, receipt)
        return receipt

    async def _store(self, events: list[MailEvent], receipt: MailReceipt) -> None:
        await self._book.take(events)
        receipt.accepted += len(events)
        events.clear()

    def _read(
        self, reader: LineReader, line: str, number: int, receipt: MailReceipt
    ) -> Sequence[MailEvent]:
        try:
            found = reader.read(line)
            for event in found:
                self._require_timely(event)
        except LineRefused as refused:
            receipt.reject(number, str(refused))
            return ()
        receipt.passed_over += not found
        return found

    def _reader(self, kind: str, source: str) -> tuple[LineReader, asyncio.Lock]:
        """A reader, and whose turn it is: lines of two requests must not mix."""
        key = (kind, source)
        if key not in self._readers:
            self._readers[key] = line_reader(kind, source, self._memory), asyncio.Lock()
            if len(self._readers) > MOST_SOURCES:
                self._readers.popitem(last=False)
        self._readers.move_to_end(key)
        return self._readers[key]

    def _require_timely(self, event: MailEvent) -> None:
        now = self._clock()
        if event.at > now + AHEAD:
            raise LineRefused(f"it is from the future: {event.at.isoformat()}")
        if event.at < now - self._retention:
            raise LineRefused(f"it is older than what is kept: {event.at.isoformat()}")


def _all_refused(receipt: MailReceipt) -> InvalidRequest:
    number, reason = receipt.rejections[0]
    details: list[Detail] = [
        {"field": f"line {line}", "message": why, "source": "body"}
        for line, why in receipt.rejections[:SHOWN]
    ]
    return InvalidRequest(
        f"None of the {receipt.rejected} lines can be taken. The first: line {number}: {reason}.",
        details,
    )


def headers_of(pairs: Iterable[tuple[bytes, bytes]]) -> Mapping[str, str]:
    """Headers of a request by lower-case name."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in pairs}
