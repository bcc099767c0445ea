"""Merging waits while lines pour in.

ClickHouse merges parts while others are added. In a burst that takes a quarter of the CPU, and most
of what it merges it merges again when the burst is over. (Measured, five million lines on two
cores: merging 2.2 of 8.6 us a line.) So the embedded engine merges after a burst; one that does not
end is merged as it goes, before there are so many parts that searches suffer.
"""

import asyncio
from collections.abc import Awaitable, Callable

from quarterdeck.facts.statements import name

LARGE = 10_000
"""Rows of an insert that belongs to a burst."""
MOST = 300
"""Large inserts without merging; ClickHouse itself slows inserts down at 1,000 parts of a day."""
CALM_S = 1.0
"""So long without a large insert ends a burst."""

Execute = Callable[[str], Awaitable[None]]


class MergeBrake:
    """Holds the merging of a table while large inserts keep coming.

    Nothing of it outlives the process: an engine that is opened again merges.
    """

    def __init__(self, execute: Execute, calm_s: float = CALM_S, most: int = MOST) -> None:
        self._execute = execute
        self._calm_s = calm_s
        self._most = most
        self._bursts: dict[str, int] = {}
        """Large inserts of each table's burst."""
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._releases: set[asyncio.Task[None]] = set()

    async def note(self, table: str, rows: int) -> None:
        """Tell of an insert that is about to be made."""
        if rows < LARGE:
            return
        burst = self._bursts[table] = self._bursts.get(table, 0) + 1
        self._await_calm(table)
        if burst == 1:
            await self._execute(f"SYSTEM STOP MERGES {name(table)}")
        elif burst == self._most:
            await self._execute(f"SYSTEM START MERGES {name(table)}")

    async def close(self) -> None:
        """Forget the timers, and wait for what they began."""
        for timer in self._timers.values():
            timer.cancel()
        await asyncio.gather(*self._releases, return_exceptions=True)

    def _await_calm(self, table: str) -> None:
        if table in self._timers:
            self._timers[table].cancel()
        loop = asyncio.get_running_loop()
        self._timers[table] = loop.call_later(self._calm_s, self._end_burst, table)

    def _end_burst(self, table: str) -> None:
        del self._timers[table], self._bursts[table]
        task = asyncio.create_task(self._release(table))
        self._releases.add(task)
        task.add_done_callback(self._releases.discard)

    async def _release(self, table: str) -> None:
        await self._execute(f"SYSTEM START MERGES {name(table)}")
