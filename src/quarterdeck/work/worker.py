"""Runs handlers for jobs: claims them, keeps their leases, records how they end."""

import asyncio
import logging
import os
import secrets
import socket
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import Any, TypeVar

from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.work.model import ClaimedJob
from quarterdeck.work.settling import CANCELLED
from quarterdeck.work.store import WorkStore

T = TypeVar("T")

UPKEEP_S = 1.0
REMOVE_FINISHED_S = 60.0
FIRST_RETRY_S = 0.05
LONGEST_RETRY_S = 2.0
STOPPED = "The worker was stopped before the job ended."

log = logging.getLogger("quarterdeck.work")


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker works. Several workers may run on one database with different options."""

    concurrency: int = 4
    """Jobs at a time."""
    lease_s: float = 30
    """After this long without a heartbeat others take the job over."""
    poll_s: float = 0.5
    """How often to look for jobs that other processes enqueued or that became due."""
    name: str | None = None
    """Shown as `locked_by`, with the process id and a random part behind it; None: the host."""
    keep_finished: timedelta = timedelta(days=7)
    """Completed and failed jobs older than this are removed."""


class JobContext:
    """What a handler is given: the job, and a way to tell how far it is."""

    def __init__(
        self, job: ClaimedJob, report: Callable[[ClaimedJob, "Report"], Awaitable[None]]
    ) -> None:
        self.job = job
        self._report = report

    async def progress(
        self, *, total: int | None = None, done: int = 0, failed: int = 0, outcome: Any = None
    ) -> None:
        """Record progress; waits for a database that is gone for a while.

        Raises:
            InvalidRequest: the outcome is not JSON.
        """
        await self._report(self.job, Report(total, done, failed, outcome))


@dataclass(frozen=True, slots=True)
class Report:
    """One call of `JobContext.progress`."""

    total: int | None
    done: int
    failed: int
    outcome: Any


Handler = Callable[[JobContext], Awaitable[None]]
"""Does a job; returning is success, raising is failure. It must not block the event loop: a loop
that stands still sends no heartbeats. It may run again after a crash (at-least-once)."""


class _Stop(Enum):
    """Why we cancelled a running handler."""

    CANCELLED = auto()
    LOST = auto()
    SHUTDOWN = auto()


@dataclass(slots=True)
class _Run:
    """A job being worked on."""

    job: ClaimedJob
    lease_ends: float
    """By the monotonic clock, as far as we know."""
    task: asyncio.Task[None] | None = None
    stop: _Stop | None = None

    def cancel(self, why: _Stop) -> None:
        if self.stop is None and self.task is not None:
            self.stop = why
            self.task.cancel()
