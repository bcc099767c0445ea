"""From frames to whoever stores the lines."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import QuarterdeckError, TooManyRequests
from quarterdeck.logs.adapters.syslog.frames import ENDS, read_frame
from quarterdeck.logs.adapters.syslog.options import SyslogOptions, SyslogStats
from quarterdeck.logs.drafts import LineRejected
from quarterdeck.logs.model import Line

log = logging.getLogger("quarterdeck.logs")

Deliver = Callable[[Sequence[Line]], Awaitable[None]]
"""Returns once the lines are safe; raises a `QuarterdeckError` to be asked again later."""

SLICE = 200
"""Frames that are read without letting anybody else on the event loop work: some 5 ms."""

LONGEST_WAIT_S = 5.0


class Delivery:
    """Reads frames and delivers their lines; waits as long as nobody can take them."""

    def __init__(self, options: SyslogOptions, deliver: Deliver, clock: Clock) -> None:
        self.stats = SyslogStats()
        self._retention = options.retention
        self._deliver = deliver
        self.clock = clock

    async def take(self, frames: Sequence[tuple[bytes, bool]], peer: str) -> None:
        """Deliver these frames of one peer. Cancelled: what was not delivered is lost, and said."""
        lines: list[Line] = []
        for number, (frame, cut) in enumerate(frames, 1):
            if (line := self.read(frame, peer, self.clock(), cut)) is not None:
                lines.append(line)
            if number % SLICE == 0:
                await asyncio.sleep(0)
        await self.hand_over(lines)

    def read(self, frame: bytes, peer: str, arrival: datetime, cut: bool = False) -> Line | None:
        """The frame's line; what is empty, or older than the retention, is none."""
        if not frame.strip(ENDS):
            return None
        self.stats.received += 1
        self.stats.cut += cut
        try:
            return read_frame(frame, arrival, arrival - self._retention, peer, cut)
        except LineRejected:
            self.stats.rejected += 1
            return None

    async def hand_over(self, lines: Sequence[Line]) -> None:
        """Deliver lines, again and again until it is done."""
        wait_s = 0.1
        done = not lines
        try:
            while not done:
                try:
                    await self._deliver(lines)
                    done = True
                except QuarterdeckError as error:
                    if isinstance(error, TooManyRequests):
                        wait_s = max(wait_s, error.retry_after_s)
                    log.debug("syslog lines must wait: %s", error.message)
                    await asyncio.sleep(min(wait_s, LONGEST_WAIT_S))
                    wait_s *= 2
            self.stats.delivered += len(lines)
        finally:
            if not done:
                self.stats.lost += len(lines)
