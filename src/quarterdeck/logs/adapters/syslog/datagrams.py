"""Syslog over UDP: a bounded queue, and a count of what had no room in it."""

import asyncio
import contextlib
import logging
import os
import socket
from collections import deque
from datetime import datetime
from pathlib import Path
from typing import Any

from quarterdeck.logs.adapters.syslog.delivery import SLICE, Delivery
from quarterdeck.logs.model import Line

log = logging.getLogger("quarterdeck.logs")

RECEIVE_BUFFER = 8 * 1024 * 1024
"""Bytes that the system should keep for us while we are busy; it may allow less."""

BATCH = 25 * SLICE

OVERHEAD = 300
"""What an empty datagram takes in the queue."""

TABLES = ("/proc/net/udp", "/proc/net/udp6")
"""Where Linux counts, in the last column, what it dropped of each socket."""


class Datagrams(asyncio.DatagramProtocol):
    """Receives datagrams and delivers them in order."""

    def __init__(self, delivery: Delivery, queue_bytes: int) -> None:
        self._delivery = delivery
        self._stats = delivery.stats
        self._queue_bytes = queue_bytes
        self._queue: deque[tuple[bytes, str, datetime]] = deque()
        self._filled = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._lines: list[Line] = []
        self._system_drops = 0
        self._socket: socket.socket | None = None
        self._pump: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to deliver."""
        found: socket.socket = transport.get_extra_info("socket")
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._socket = found
        self._pump = asyncio.get_running_loop().create_task(self._run(), name="syslog-udp")

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """Queue it, or count it as dropped."""
        size = len(data) + OVERHEAD
        if self._stats.waiting_bytes + size > self._queue_bytes:
            self._stats.dropped += 1
            return
        self._queue.append((data, addr[0], self._delivery.clock()))
        self._stats.waiting_bytes += size
        self._filled.set()
        self._idle.clear()

    async def _run(self) -> None:
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._queue:
                try:
                    await self._deliver_some()
                except Exception:
                    log.exception("syslog lines could not be delivered")
            self._idle.set()

    async def _deliver_some(self) -> None:
        size = 0
        for number in range(1, min(len(self._queue), BATCH) + 1):
            data, peer, arrival = self._queue.popleft()
            size += len(data) + OVERHEAD
            if (line := self._delivery.read(data, peer, arrival)) is not None:
                self._lines.append(line)
            if number % SLICE == 0:
                await asyncio.sleep(0)
        lines, self._lines = self._lines, []
        try:
            await self._delivery.hand_over(lines)
        finally:
            self._stats.waiting_bytes -= size

    def count_system_drops(self) -> None:
        """Add what the system dropped, before we could see it, to the statistics."""
        if self._socket is None or self._socket.fileno() < 0:
            return
        inode = str(os.fstat(self._socket.fileno()).st_ino)
        for table in TABLES:
            with contextlib.suppress(OSError, ValueError):
                for row in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                    cells = row.split()
                    if cells[9] == inode:
                        drops = int(cells[-1])
                        self._stats.dropped += max(0, drops - self._system_drops)
                        self._system_drops = drops

    async def drain(self, grace_s: float) -> None:
        """Deliver what is queued, or count it as lost."""
        if self._pump is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        self._pump.cancel()
        await asyncio.wait([self._pump])
        self._stats.lost += len(self._queue) + len(self._lines)
        self._queue.clear()
        self._stats.waiting_bytes = 0
