"""Runs handlers for jobs: claims them, keeps their leases, records how they end."""

import asyncio
import logging
import os
import secrets
import socket
import time
import traceback
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.work.model import ClaimedJob
from quarterdeck.work.runs import LONGEST_RETRY_S, Link, Run, Stop
from quarterdeck.work.settling import CANCELLED
from quarterdeck.work.store import WorkStore

UPKEEP_S = 1.0
REMOVE_FINISHED_S = 60.0
STOPPED = "The worker was stopped before the job ended."

DATABASE_ERRORS = (SourceUnavailable, SQLAlchemyError)
"""Also errors of a schema that is being restored or migrated: a worker waits, it never ends."""

Verdict = Callable[[], Awaitable[object]]
"""Writes how a job ended."""

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

    def __init__(self, job: ClaimedJob, report: Callable[["Report"], Awaitable[None]]) -> None:
        self.job = job
        self._report = report

    async def progress(
        self, *, total: int | None = None, done: int = 0, failed: int = 0, outcome: Any = None
    ) -> None:
        """Record progress; waits for a database that is gone for a while.

        Raises:
            InvalidRequest: the outcome is not JSON.
        """
        await self._report(Report(total, done, failed, outcome))


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


class Worker:
    """Works on the queues that it has handlers for, `concurrency` jobs at a time.

    Any number of workers, in any number of processes, share the jobs. Each also does the upkeep:
    takes back jobs of dead workers, removes old ones, keeps counters small.
    """

    def __init__(
        self,
        store: WorkStore,
        handlers: Mapping[str, Handler],
        options: WorkerOptions = WorkerOptions(),
    ) -> None:
        host = options.name or socket.gethostname()
        self.name = f"{host}:{os.getpid()}:{secrets.token_hex(3)}"
        self._store = store
        self._handlers = dict(handlers)
        self._options = options
        self._runs: set[Run] = set()
        self._wake = asyncio.Event()
        self._link = Link(self.name)
        self._stopping = False

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set and the running jobs have finished.

        Cancelled, it cancels the running handlers and gives their jobs back for another attempt.
        A database that is gone is waited for. Call it once.
        """
        self._store.add_sleeper(self._wake)
        try:
            async with asyncio.TaskGroup() as group:
                side = [
                    group.create_task(loop)
                    for loop in (self._heartbeats(), self._upkeep(), self._watch(stop))
                ]
                while not stop.is_set():
                    await self._claim_and_wait()
                self._stopping = True
                await self._drain()
                for task in side:
                    task.cancel()
        finally:
            self._stopping = True
            self._store.remove_sleeper(self._wake)
            for run in self._runs:
                run.cancel(Stop.SHUTDOWN)
            await self._drain()

    async def _watch(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._wake.set()

    async def _drain(self) -> None:
        while self._runs:
            await asyncio.wait([run.task for run in self._runs])

    async def _claim_and_wait(self) -> None:
        self._wake.clear()
        wait_s = self._options.poll_s
        free = self._options.concurrency - sum(not run.is_settling for run in self._runs)
        if free:
            try:
                await self._claim(free)
            except DATABASE_ERRORS as error:
                wait_s = self._link.failed("claim", error)
            else:
                self._link.answered("claim")
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._wake.wait()

    async def _claim(self, free: int) -> None:
        lease_ends = time.monotonic() + self._options.lease_s
        names = list(self._handlers)
        for job in await self._store.claim(names, self.name, self._options.lease_s, free):
            # Our own earlier attempt at it lost its lease without our having noticed yet.
            self._cancel({job.id}, Stop.LOST)
            run = Run(job, lease_ends)
            self._runs.add(run)
            run.task = asyncio.create_task(self._work(run), name=f"job-{job.id}")

    async def _work(self, run: Run) -> None:
        """One job from start to recorded end."""
        try:
            verdict = await self._handle(run)
            run.is_settling = True
            # The slot is free: the next claim goes along, and on SQLite shares the commit.
            self._wake.set()
            await asyncio.sleep(0)
            if verdict is not None:
                await self._persist(run, verdict)
        except SQLAlchemyError:
            log.exception("The end of job %s cannot be recorded; it will run again.", run.job.id)
        finally:
            self._runs.discard(run)

    async def _handle(self, run: Run) -> Verdict | None:
        """Run the handler; gives what is to be recorded, None: nothing."""
        job, store = run.job, self._store
        context = JobContext(job, partial(self._report, run))
        try:
            await self._handlers[job.queue_name](context)
        except asyncio.CancelledError as error:
            if run.stop is None:
                return partial(store.fail, job, *_described(error))
            run.task.uncancel()
            return self._stopped(run)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises belongs to its job
            if run.stop is Stop.LOST:
                return None
            retry = run.stop is not Stop.CANCELLED
            return partial(store.fail, job, *_described(error), retry=retry)
        return partial(store.complete, job)

    def _stopped(self, run: Run) -> Verdict | None:
        if run.stop is Stop.CANCELLED:
            return partial(self._store.fail, run.job, CANCELLED, None, retry=False)
        if run.stop is Stop.SHUTDOWN:
            return partial(self._store.fail, run.job, STOPPED, None)
        return None

    async def _report(self, run: Run, report: Report) -> None:
        await self._persist(
            run,
            partial(
                self._store.set_progress,
                run.job.id,
                total=report.total,
                done=report.done,
                failed=report.failed,
                outcome=report.outcome,
            ),
        )

    async def _persist(self, run: Run, write: Verdict) -> None:
        """Write, however long the database is gone; a stopping worker waits for one lease only."""
        try:
            while True:
                try:
                    await write()
                except SourceUnavailable as error:
                    wait_s = self._link.failed(run, error)
                    if self._stopping and time.monotonic() > run.lease_ends:
                        log.warning("Gave up recording job %s; it will run again.", run.job.id)
                        return
                    await asyncio.sleep(wait_s)
                else:
                    return
        finally:
            self._link.answered(run)

    async def _heartbeats(self) -> None:
        wait_s = self._options.lease_s / 3
        while True:
            await asyncio.sleep(wait_s)
            wait_s = self._options.lease_s / 3
            if not self._runs:
                continue
            try:
                await self._beat()
            except DATABASE_ERRORS as error:
                wait_s = min(wait_s, self._link.failed("heartbeat", error))
            else:
                self._link.answered("heartbeat")

    async def _beat(self) -> None:
        beating = list(self._runs)
        lease_ends = time.monotonic() + self._options.lease_s
        heartbeat = await self._store.heartbeat(
            self.name, [run.job.id for run in beating], self._options.lease_s
        )
        for run in beating:
            if run.job.id in heartbeat.lost:
                run.cancel(Stop.LOST)
            else:
                run.lease_ends = lease_ends
        self._cancel(heartbeat.cancelled, Stop.CANCELLED)

    async def _upkeep(self) -> None:
        remove_at = 0.0
        while True:
            try:
                await self._cancel_requested()
                # After an outage every lease looks expired: first the living workers speak up.
                if self._link.up_for_s() > 2 * LONGEST_RETRY_S:
                    await self._store.reap_expired()
                await self._store.fold_counts()
                if time.monotonic() > remove_at:
                    await self._store.remove_finished(self._options.keep_finished)
                    remove_at = time.monotonic() + REMOVE_FINISHED_S
            except DATABASE_ERRORS as error:
                self._link.failed("upkeep", error)
            else:
                self._link.answered("upkeep")
            await asyncio.sleep(UPKEEP_S)

    async def _cancel_requested(self) -> None:
        if self._runs:
            job_ids = [run.job.id for run in self._runs]
            self._cancel(await self._store.find_cancelled(job_ids), Stop.CANCELLED)

    def _cancel(self, job_ids: Collection[str], why: Stop) -> None:
        for run in self._runs:
            if run.job.id in job_ids:
                run.cancel(why)


def _described(error: BaseException) -> tuple[str, str]:
    """Message and stack trace of a failure."""
    message = str(error)
    return message or type(error).__name__, "".join(traceback.format_exception(error))
