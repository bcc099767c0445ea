"""Merging waits while lines pour in.

ClickHouse merges parts while others are added. In a burst that takes a quarter of the CPU, and most
of what it merges it merges again when the burst is over. (Measured, five million lines on two
cores: merging 2.2 of 8.6 us a line.) So the embedded engine merges after a burst; one that does not
end is merged as it goes, before there are so many parts that searches suffer.
"""

import threading
import time
from collections.abc import Callable

from quarterdeck.facts.statements import name

LARGE = 10_000
"""Rows of an insert that belongs to a burst."""
MOST = 300
"""Large inserts without merging; ClickHouse itself slows inserts down at 1,000 parts of a day."""
CALM_S = 1.0
"""So long without a large insert ends a burst."""

Execute = Callable[[str], None]
"""Runs a statement; blocking."""


class MergeBrake:
    """Holds the merging of a table while large inserts keep coming. Any thread may call.

    Nothing of it outlives the process: an engine that is opened again merges.
    """

    def __init__(self, execute: Execute, calm_s: float = CALM_S, most: int = MOST) -> None:
        self._execute = execute
        self._calm_s = calm_s
        self._most = most
        self._lock = threading.Lock()
        self._bursts: dict[str, int] = {}
        """Large inserts of each table's burst."""
        self._last = 0.0
        self._timer: threading.Timer | None = None
        self._is_closed = False

    def note(self, table: str, rows: int) -> None:
        """Tell of an insert that is about to be made; blocks for a statement at times."""
        if rows < LARGE:
            return
        with self._lock:
            self._last = time.monotonic()
            burst = self._bursts[table] = self._bursts.get(table, 0) + 1
            if self._timer is None:
                self._wait(self._calm_s)
            if burst == 1:
                self._execute(f"SYSTEM STOP MERGES {name(table)}")
            elif burst == self._most:
                self._execute(f"SYSTEM START MERGES {name(table)}")

    @property
    def is_burst(self) -> bool:
        """Whether large inserts keep coming, to whatever table."""
        return bool(self._bursts)

    def close(self) -> None:
        """Do nothing more."""
        with self._lock:
            self._is_closed = True
            if self._timer is not None:
                self._timer.cancel()

    def _wait(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._look)
        self._timer.daemon = True
        self._timer.start()

    def _look(self) -> None:
        """End the bursts if it is calm."""
        with self._lock:
            if self._is_closed:
                return
            left = self._last + self._calm_s - time.monotonic()
            if left > 0:
                self._wait(left)
                return
            self._timer = None
            bursts, self._bursts = self._bursts, {}
            for table in bursts:
                self._execute(f"SYSTEM START MERGES {name(table)}")
