"""What takes mail events in: lines of logs, and requests of providers. Answered when durable."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import InvalidRequest, NotFound
from quarterdeck.net.http import HttpClient
from quarterdeck.reputation.adapters import HOOKS, line_reader, load
from quarterdeck.reputation.mail import MailEvent
from quarterdeck.reputation.mail_book import MailBook
from quarterdeck.reputation.mail_ports import HookKeys, HookReader, LineReader, LineRefused

NAMED = 100
AHEAD = timedelta(hours=1)
"""Clocks differ, and a log without a zone may be off by more; but nothing comes from tomorrow."""
MOST_SOURCES = 1000


@dataclass(slots=True)
class MailReceipt:
    """What became of the lines of a request."""

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
        self._readers: dict[tuple[str, str], LineReader] = {}
        self._hooks: Mapping[str, HookReader] = {
            name: load(path)(keys, http) for name, path in HOOKS.items()
        }

    async def take_lines(self, kind: str, text: str, source: str = "") -> MailReceipt:
        """Take lines of a log; good ones are stored, others named.

        What lines say of each other is remembered for each `source`, such as the host they are
        from, until this server ends.

        Raises:
            InvalidRequest: there is no such kind.
            TooManyRequests, SourceUnavailable: nothing was stored; send all of it again.
        """
        reader = self._reader(kind, source)
        receipt = MailReceipt()
        events: list[MailEvent] = []
        for number, line in enumerate(_lines(text), 1):
            try:
                found = reader.read(line)
                for event in found:
                    self._require_timely(event)
            except LineRefused as refused:
                receipt.reject(number, str(refused))
                continue
            events += found
            receipt.passed_over += not found
        await self._book.take(events)
        receipt.accepted = len(events)
        return receipt

    async def take_hook(self, name: str, headers: Mapping[str, str], body: bytes) -> int:
        """Take what a provider posts; gives how many events it held.

        Raises:
            NotFound: there is no such provider.
            Unauthenticated: its signature is not good.
            InvalidRequest: it is not what the provider documents.
            TooManyRequests, SourceUnavailable: nothing was stored; it will send again.
        """
        hook = self._hooks.get(name)
        if hook is None:
            raise NotFound(f"There is no such provider; known are {', '.join(HOOKS)}.")
        events = await hook.read(headers, body)
        for event in events:
            try:
                self._require_timely(event)
            except LineRefused as refused:
                raise InvalidRequest.of("timestamp", str(refused), "body") from None
        await self._book.take(events)
        return len(events)

    def _reader(self, kind: str, source: str) -> LineReader:
        key = (kind, source)
        if key not in self._readers:
            if len(self._readers) >= MOST_SOURCES:
                self._readers.pop(next(iter(self._readers)))
            self._readers[key] = line_reader(kind)
        return self._readers[key]

    def _require_timely(self, event: MailEvent) -> None:
        now = self._clock()
        if event.at > now + AHEAD:
            raise LineRefused(f"it is from the future: {event.at.isoformat()}")
        if event.at < now - self._retention:
            raise LineRefused(f"it is older than what is kept: {event.at.isoformat()}")


def _lines(text: str) -> Sequence[str]:
    return [line.rstrip("\r") for line in text.split("\n") if line.strip()]


def headers_of(pairs: Iterable[tuple[bytes, bytes]]) -> Mapping[str, str]:
    """Headers of a request by lower-case name."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in pairs}
