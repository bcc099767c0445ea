"""One request's lines on their way in: cut at line feeds, converted, queued, waited for."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from quarterdeck.logs.fast import BLOCK, Converter
from quarterdeck.logs.model import Rejection
from quarterdeck.logs.writer import LogWriter

MAX_LINE = 16 * 1024 * 1024
"""Bytes of one line; a longer one is rejected without being held."""

TOO_LONG = f"longer than {MAX_LINE // 1024**2} MiB without a line feed"


@dataclass(frozen=True, slots=True)
class Receipt:
    """How many lines are stored for good, how many were not taken, and why the first of these."""

    accepted: int
    rejected: int
    rejections: Sequence[Rejection]


class LineCutter:
    """Cuts a stream of bytes into blocks of whole lines, of some `BLOCK` bytes each."""

    def __init__(self) -> None:
        self._whole: list[bytes] = []
        self._whole_bytes = 0
        self._tail: list[bytes] = []
        self._tail_bytes = 0
        self._is_skipping = False

    def feed(self, data: bytes) -> Iterator[bytes | None]:
        """Blocks as they fill up. None stands for a line that was too long."""
        if self._is_skipping:
            _, feed, data = data.partition(b"\n")
            if not feed:
                return
            self._is_skipping = False
        end = data.rfind(b"\n") + 1
        if end:
            self._keep(b"".join([*self._tail, data[:end]]))
            self._tail, self._tail_bytes = [], 0
        self._tail.append(data[end:])
        self._tail_bytes += len(data) - end
        if self._whole_bytes >= BLOCK:
            yield self._take()
        if self._tail_bytes > MAX_LINE:
            if self._whole:
                yield self._take()
            self._tail, self._tail_bytes = [], 0
            self._is_skipping = True
            yield None

    def finish(self, is_torn: bool = False) -> Iterator[bytes]:
        """What is left when the stream has ended; the last line may lack its line feed.

        Of a torn stream the last line is no line.
        """
        if self._tail_bytes and not is_torn:
            self._keep(b"".join(self._tail))
        if self._whole:
            yield self._take()

    def _keep(self, lines: bytes) -> None:
        self._whole.append(lines)
        self._whole_bytes += len(lines)

    def _take(self) -> bytes:
        block = b"".join(self._whole)
        self._whole, self._whole_bytes = [], 0
        return block


class NdjsonIntake:
    """Takes one request's NDJSON piece by piece, at flat memory however long it is."""

    def __init__(self, writer: LogWriter, converter: Converter) -> None:
        self._writer = writer
        self._converter = converter
        self._cutter = LineCutter()
        self._stored: list[asyncio.Future[None]] = []
        self._count = 0

    async def feed(self, data: bytes) -> None:
        """Take the next piece; waits while there is no room."""
        for block in self._cutter.feed(data):
            if block is None:
                self._converter.reject(TOO_LONG)
            else:
                await self._queue(block)

    async def finish(self, is_torn: bool = False) -> Receipt:
        """Wait until everything is durable; of a stream that broke off, all whole lines.

        Raises:
            SourceUnavailable: some of it could not be stored; send all of it again.
        """
        for block in self._cutter.finish(is_torn):
            await self._queue(block)
        outcomes = await asyncio.gather(*self._stored, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return Receipt(self._count, self._converter.rejected, self._converter.rejections)

    async def _queue(self, block: bytes) -> None:
        prepared = self._converter.convert(block)
        self._count += prepared.count
        self._stored.append(await self._writer.add(prepared))
        # Converting is work on the event loop: others have their turn after each block.
        await asyncio.sleep(0)
