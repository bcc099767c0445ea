"""What a worker remembers: the jobs it runs, and whether its database answers."""

import asyncio
import logging
import time
from dataclasses import dataclass, field
from enum import Enum, auto

from quarterdeck.work.model import ClaimedJob

FIRST_RETRY_S = 0.05
LONGEST_RETRY_S = 2.0

log = logging.getLogger("quarterdeck.work")


class Stop(Enum):
    """Why a running handler was cancelled by its worker."""

    CANCELLED = auto()
    """Somebody asked for it."""
    LOST = auto()
    """The lease ran out; the job may run elsewhere by now."""
    SHUTDOWN = auto()


@dataclass(slots=True, eq=False)
class Run:
    """One attempt at a job being worked on."""

    job: ClaimedJob
    lease_ends: float
    """By the monotonic clock, at the earliest."""
    task: asyncio.Task[None] = field(init=False)
    stop: Stop | None = None
    is_settling: bool = False
    """The handler has ended; its end is being recorded and must not be interrupted."""

    def cancel(self, why: Stop) -> None:
        """Cancel the handler once, for the first reason given."""
        if self.stop is None and not self.is_settling:
            self.stop = why
            self.task.cancel()


class Link:
    """The connection to the database as its users see it: logs each change of state once.

    A locked SQLite still answers reads. So each user (a loop, a job being recorded) is down until
    that same user was answered, and the link is up when all are.
    """

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._failures: dict[object, int] = {}
        self._up_since = float("-inf")

    def failed(self, user: object, error: Exception) -> float:
        """Note a failure; gives the seconds to wait before the next try."""
        if not self._failures:
            log.warning("Worker %s waits for its database: %s", self._worker, error)
        earlier = self._failures.get(user, 0)
        self._failures[user] = earlier + 1
        return min(LONGEST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(earlier, 10))

    def answered(self, user: object) -> None:
        """Note that it works for this user, or that this user waits no more."""
        if self._failures.pop(user, 0) and not self._failures:
            log.warning("Worker %s reaches its database again.", self._worker)
            self._up_since = time.monotonic()

    def up_for_s(self) -> float:
        """Seconds since the last outage ended: infinite without one, zero during one."""
        return 0.0 if self._failures else time.monotonic() - self._up_since
