"""A bounded queue of lines between the program's threads and the one that sends them."""

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Literal

Drop = Literal["newest", "oldest"]


@dataclass(frozen=True, slots=True)
class Limits:
    """When a batch is sent, and when lines are dropped."""

    batch_lines: int
    batch_bytes: int
    batch_age_s: float
    queue_lines: int
    queue_bytes: int
    drop: Drop


class Outbox:
    """Lines that wait and the batch that is under way; both count against the limits.

    The lock is held for a few instructions only, and may be taken again by a signal handler that
    logs in the middle of them.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._changed = threading.Condition(threading.RLock())
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._oldest_at = 0.0
        self._put = 0
        self._gone = 0
        self._hurries = 0
        self._is_closed = False
        self._dropped = 0
        self._reported = 0

    @property
    def dropped(self) -> int:
        """Lines that were dropped and not yet told to the server."""
        return self._dropped

    @property
    def left(self) -> int:
        """Lines that are not delivered yet."""
        return len(self._waiting) + len(self._batch)

    @property
    def is_closed(self) -> bool:
        """Whether it takes no more lines."""
        return self._is_closed

    @property
    def is_hurried(self) -> bool:
        """Whether somebody waits for everything to be delivered."""
        return self._hurries > 0

    def put(self, line: bytes) -> bool:
        """Take a line, or count that one was dropped. False: it is closed."""
        with self._changed:
            if self._is_closed:
                return False
            if not self._make_room(len(line)):
                self._drop()
                return True
            was_empty, was_full = not self._waiting, self._is_full_batch()
            if was_empty:
                self._oldest_at = time.monotonic()
            self._waiting.append(line)
            self._waiting_bytes += len(line)
            self._put += 1
            if was_empty or self._is_full_batch() != was_full:
                self._changed.notify_all()
            return True

    def count_dropped(self, lines: int = 1) -> None:
        """Count lines that never got here, or that nobody will take."""
        with self._changed:
            for _ in range(lines):
                self._drop()

    def take(self) -> tuple[list[bytes], int] | None:
        """Wait for the next batch and the number of drops to tell with it; then `settle`.

        None: it is closed, and nothing is left.
        """
        with self._changed:
            while not self._is_due():
                if self._is_closed:
                    return None
                self._changed.wait(self._patience_s())
            while self._waiting and self._fits(len(self._waiting[0])):
                line = self._waiting.popleft()
                self._batch.append(line)
                self._batch_bytes += len(line)
                self._waiting_bytes -= len(line)
            self._oldest_at = time.monotonic()
            self._reported = self._dropped
            return self._batch, self._reported

    def settle(self) -> None:
        """The batch, and what it told of drops, has arrived or is given up."""
        with self._changed:
            self._gone += len(self._batch)
            self._batch, self._batch_bytes = [], 0
            self._dropped -= self._reported
            self._reported = 0
            self._changed.notify_all()

    def flush(self, deadline: float) -> bool:
        """Have all lines up to now sent at once and wait for that; False at the deadline."""
        with self._changed:
            target = self._put
            self._hurries += 1
            self._changed.notify_all()
            try:
                while self._gone < target or self._dropped:
                    remaining = deadline - time.monotonic()
                    if remaining <= 0:
                        return False
                    self._changed.wait(remaining)
                return True
            finally:
                self._hurries -= 1

    def close(self) -> None:
        """Take no more lines."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """Wait before trying again, but not beyond the moment when somebody begins to hurry."""
        with self._changed:
            before = self._hurries
            self._changed.wait_for(lambda: self._is_closed or self._hurries > before, seconds)

    def _drop(self) -> None:
        self._dropped += 1
        if self._dropped == 1:
            self._changed.notify_all()

    def _make_room(self, size: int) -> bool:
        limits = self._limits
        while (
            self.left >= limits.queue_lines
            or self._waiting_bytes + self._batch_bytes + size > limits.queue_bytes
        ):
            if limits.drop == "newest" or not self._waiting or size > limits.queue_bytes:
                return False
            self._waiting_bytes -= len(self._waiting.popleft())
            self._gone += 1
            self._drop()
        return True

    def _fits(self, size: int) -> bool:
        return not self._batch or (
            len(self._batch) < self._limits.batch_lines
            and self._batch_bytes + size < self._limits.batch_bytes
        )

    def _is_full_batch(self) -> bool:
        return (
            len(self._waiting) >= self._limits.batch_lines
            or self._waiting_bytes >= self._limits.batch_bytes
        )

    def _is_due(self) -> bool:
        if not self._waiting:
            return self._dropped > 0
        return (
            self._is_closed
            or self._hurries > 0
            or self._is_full_batch()
            or time.monotonic() >= self._oldest_at + self._limits.batch_age_s
        )

    def _patience_s(self) -> float | None:
        if not self._waiting:
            return None
        return max(0.0, self._oldest_at + self._limits.batch_age_s - time.monotonic())
