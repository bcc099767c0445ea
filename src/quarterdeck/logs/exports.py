"""Exports of log lines: durable work in our own queue that ends in a file.

The job holds all that an export is; its row is made from it, by whoever comes first of the request
and the worker. So a crash between the two leaves an export that is made all the same, and that its
owner finds in the list. A run that dies half-way is run again, and goes on from its checkpoint.
"""

import asyncio
import logging
import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import msgspec

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    SourceUnavailable,
    TooManyRequests,
)
from quarterdeck.core.ids import mint
from quarterdeck.core.pagination import Page
from quarterdeck.core.text import is_storable
from quarterdeck.facts import Facts
from quarterdeck.logs.conditions import where
from quarterdeck.logs.export_files import ExportDirectory, boot_id
from quarterdeck.logs.export_formats import ExportFormat, JsonShape
from quarterdeck.logs.export_plan import newest_block
from quarterdeck.logs.export_run import ExportRun, Superseded, sentence
from quarterdeck.logs.export_state import (
    Checkpoint,
    Export,
    ExportRows,
    ExportStatus,
    Run,
    export_of,
    row_of,
)
from quarterdeck.logs.kept_filter import to_data
from quarterdeck.logs.model import Filter
from quarterdeck.state import Database
from quarterdeck.work.model import JobStatus
from quarterdeck.work.store import WorkStore
from quarterdeck.work.worker import JobContext

EXPORTS_QUEUE = "quarterdeck:exports"

MAX_ATTEMPTS = 8
"""Restarts count, too; an export that goes on from its checkpoint can stand some."""
MOST_UNDER_WAY = 10
"""Of one principal."""
SWEEP_S = 60.0

_LARGEST = 2**31 - 1
"""Columns of a job's progress hold no more."""

log = logging.getLogger("quarterdeck.logs")


@dataclass(frozen=True, slots=True)
class ExportFile:
    """What a download needs to know."""

    path: Path
    name: str
    media_type: str
    size: int


class LogExports:
    """Starts, runs and reports exports, and looks after their files.

    An export belongs to its `owner`; None as owner stands for somebody who may see them all.
    """

    def __init__(
        self,
        facts: Facts,
        work: WorkStore,
        database: Database,
        directory: ExportDirectory,
        keep: timedelta = timedelta(hours=24),
        clock: Clock = utc_now,
    ) -> None:
        self._facts = facts
        self._work = work
        self._table = ExportRows(database)
        self._directory = directory
        self._keep = keep
        self._clock = clock

    async def start(
        self, wanted: Filter, kind: ExportFormat, shape: JsonShape, gzip: bool, principal: str
    ) -> Export:
        """Queue an export of the lines that are there now, and answer at once.

        Raises:
            InvalidRequest: the query is not valid.
            TooManyRequests: this principal has enough of them under way.
            SourceUnavailable: the lines cannot be had.
        """
        where(wanted)
        if await self._table.count(principal, ExportStatus.PROCESSING) >= MOST_UNDER_WAY:
            raise TooManyRequests(
                f"You have {MOST_UNDER_WAY} exports under way. Wait for one, or delete it.", 10
            )
        payload = {
            "export_id": mint("export_logs"),
            "created_at": self._clock().isoformat(),
            "created_by": principal,
            "filter": to_data(wanted),
            "format": kind.value,
            "json_shape": shape.value,
            "gzip": gzip,
            "newest_block": await newest_block(self._facts),
        }
        job_id = await self._work.enqueue(EXPORTS_QUEUE, payload, max_attempts=MAX_ATTEMPTS)
        row = row_of(job_id, payload)
        await self._table.add(row)
        return export_of(row)

    async def get(self, export_id: str, owner: str | None) -> Export:
        """One export as it is now.

        Raises:
            NotFound: there is none, or it is somebody else's.
        """
        found = await self._table.find(export_id, owner) if is_storable(export_id) else None
        if found is None:
            raise NotFound(
                "There is no such export. Its id was given by the request that started it, "
                "and exports are kept for some time only."
            )
        return await self._current(found)

    async def list_exports(self, owner: str, limit: int, offset: int) -> Page[Export]:
        """The owner's exports, newest first."""
        page = await self._table.page(owner, limit, offset)
        return replace(page, items=[await self._current(export) for export in page.items])

    async def cancel(self, export_id: str, owner: str | None) -> Export:
        """Stop an export, or remove its file. Safe to repeat.

        Raises:
            NotFound: there is none, or it is somebody else's.
        """
        export = await self.get(export_id, owner)
        if await self._table.change(
            export.id, ExportStatus.PROCESSING, status=ExportStatus.CANCELLED.value
        ):
            await self._work.cancel(export.job_id)
        else:
            await self._table.change(
                export.id, ExportStatus.COMPLETED, status=ExportStatus.DELETED.value
            )
        await asyncio.to_thread(self._directory.remove, export.id)
        return await self.get(export_id, owner)

    async def get_file(self, export_id: str, owner: str | None) -> ExportFile:
        """The file of a completed export.

        Raises:
            NotFound: there is no such export, or its file is gone.
            Conflict: it is not completed yet, or has failed.
        """
        export = await self.get(export_id, owner)
        if export.status is ExportStatus.PROCESSING:
            raise Conflict("This export is not completed yet; ask for its state until it is.")
        if export.status is ExportStatus.FAILED:
            raise Conflict(f"This export has failed: {export.error}")
        if export.status is not ExportStatus.COMPLETED or export.run is None:
            raise NotFound(f"The file of this export is gone: it is {export.status}. Start anew.")
        if export.unsynced_boot not in {None, boot_id()}:
            raise Conflict(
                "The machine lost its power when this export was made; it is made again."
            )
        path = self._directory.finished(export, export.run)
        try:
            size = path.stat().st_size
        except OSError:
            raise NotFound(
                "The file of this export is not on this server. Start anew, or let all servers "
                "share one directory of exports."
            ) from None
        return ExportFile(path, f"{export.id}.{export.suffix}", export.media_type, size)

    async def run(self, context: JobContext) -> None:
        """The worker's handler."""
        job = context.job
        row = row_of(job.id, job.payload)
        run = await self._table.begin(row, secrets.token_hex(4), boot_id())
        if run is None:
            await self._make_durable(row["id"])
            return
        try:
            await self._make(run, context)
        except Superseded:
            log.info("export %s: stopped, nobody waits for it", run.export.id)
        except (OSError, InvalidRequest) as error:
            # Trying again would not help. The job's end is recorded here, where it is known.
            await self._fail(run, sentence(error))
            await self._work.fail(job, sentence(error), None, retry=False)
        except Exception as error:
            if job.attempt >= job.max_attempts:
                await self._fail(run, str(error) or type(error).__name__)
            raise

    async def sweep(self) -> None:
        """Let go what is over: files whose time has come, and those that nobody knows."""
        files = await asyncio.to_thread(self._directory.list_files)
        await self._table.expire(self._clock())
        for export in await self._table.with_status(ExportStatus.PROCESSING):
            await self._current(export)
        living = {
            export.id: export
            for status in (ExportStatus.PROCESSING, ExportStatus.COMPLETED)
            for export in await self._table.with_status(status)
        }
        for export_id, path in files:
            if not self._is_needed(living.get(export_id), path):
                await asyncio.to_thread(path.unlink, missing_ok=True)

    async def keep_swept(self, stop: asyncio.Event) -> None:
        """Sweep every minute until `stop` is set."""
        while not stop.is_set():
            try:
                await self.sweep()
            except (SourceUnavailable, OSError) as error:
                log.warning("exports are not looked after just now: %s", error)
            with suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_S):
                    await stop.wait()

    async def _make(self, run: Run, context: JobContext) -> None:
        async def report(total: int, done: int) -> None:
            await context.progress(total=min(max(total, done), _LARGEST), done=min(done, _LARGEST))

        export_run = ExportRun(self._facts, self._table, self._directory, run, report)
        rows, size = await export_run.write(context.job.payload["newest_block"])
        now, boot = self._clock(), boot_id()
        final = self._directory.finished(run.export, run.name)
        if not boot:
            await asyncio.to_thread(self._directory.make_durable, final)
        completed = {
            "status": ExportStatus.COMPLETED.value,
            "rows": rows,
            "bytes": size,
            "completed_at": now,
            "expires_at": now + self._keep,
            "plan": None,
            # It can be had now, and is made durable before the job ends; or else made again.
            "checkpoint": msgspec.to_builtins(Checkpoint(boot=boot)) if boot else None,
        }
        if not await self._table.change_run(run, **completed):
            final.unlink(missing_ok=True)
            raise Superseded
        await self._make_durable(run.export.id)

    async def _make_durable(self, export_id: str) -> None:
        """Of an export that is completed, and not durable yet."""
        export = await self._table.find(export_id, None)
        if export is None or export.unsynced_boot is None or export.run is None:
            return
        path = self._directory.finished(export, export.run)
        # Somebody may have removed it meanwhile: then there is nothing to keep.
        with suppress(FileNotFoundError):
            await asyncio.to_thread(self._directory.make_durable, path)
        await self._table.change(export.id, ExportStatus.COMPLETED, checkpoint=None)

    async def _fail(self, run: Run, reason: str) -> None:
        failed = {"status": ExportStatus.FAILED.value, "error": reason, "checkpoint": None}
        if await self._table.change_run(run, **failed):
            await asyncio.to_thread(self._directory.remove, run.export.id)

    async def _current(self, export: Export) -> Export:
        """The export, with what has happened to it and nobody has noted yet."""
        if export.status is ExportStatus.COMPLETED and export.is_over(self._clock()):
            return replace(export, status=ExportStatus.EXPIRED)
        if export.status is not ExportStatus.PROCESSING:
            return export
        job = await self._work.find_job(export.job_id)
        if job is not None and job.status not in {JobStatus.FAILED, JobStatus.COMPLETED}:
            return export
        # Its worker died once too often, or somebody cancelled or removed its job in the queue.
        reason = (job and job.last_error_message) or "Its job was removed from the queue."
        failed = {"status": ExportStatus.FAILED.value, "error": reason, "checkpoint": None}
        await self._table.change(export.id, ExportStatus.PROCESSING, **failed)
        return await self._table.find(export.id, None) or export

    def _is_needed(self, export: Export | None, path: Path) -> bool:
        if export is None:
            return False
        if export.status is ExportStatus.PROCESSING or export.run is None:
            return True
        return path == self._directory.finished(export, export.run)
