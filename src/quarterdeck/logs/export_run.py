"""One run of an export: from the plan to a finished file, at flat memory."""

import asyncio
import errno
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import msgspec

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.facts import Facts, QueryLimit
from quarterdeck.logs.conditions import where
from quarterdeck.logs.export_ahead import BiteReader
from quarterdeck.logs.export_files import ExportDirectory, PartFile, boot_id
from quarterdeck.logs.export_formats import RowCounter
from quarterdeck.logs.export_plan import Bite, plan, read_bite, smaller
from quarterdeck.logs.export_state import Checkpoint, ExportRows, Run

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

REPORT_S = 1.0
"""How often a run says how far it is. What was written since is done again after a crash, beside
the bite that was read."""

Report = Callable[[int, int], Awaitable[None]]
"""Told the rows to write and those that are written."""


class Superseded(Exception):
    """The export is cancelled, or another run has it."""


class ExportRun:
    """Writes the file of one export. Whoever calls it decides what a failure means."""

    def __init__(
        self, facts: Facts, table: ExportRows, directory: ExportDirectory, run: Run, report: Report
    ) -> None:
        self._facts = facts
        self._table = table
        self._directory = directory
        self._run = run
        self._report = report
        self._layout = run.export.layout
        self._condition = where(run.export.filter)
        self._reader = BiteReader(self._read)
        self._rows = 0
        self._total = 0
        self._is_empty = True
        self._reported = self._saved = time.monotonic()

    async def write(self, newest: int) -> tuple[int, int]:
        """Write and name the file; gives its rows and bytes. `newest` is the last block to have.

        It is not durable yet: on a disk of 290 MB/s, waiting for that took as long as all the rest.

        Raises:
            Superseded: nobody waits for it any more; the unfinished file is gone.
            OSError: the file cannot be written.
            SourceUnavailable: the engine cannot be had; the file may be continued.
        """
        bites = await self._planned(newest)
        part = PartFile(self._directory, self._part(self._run.name), self._run.export.gzip)
        try:
            done = await self._open(part)
            while done < len(bites):
                bites = await self._copy_or_split(part, bites, done)
                done += 1
                if time.monotonic() - self._saved >= REPORT_S:
                    await self._save(part, done)
            await part.write(self._layout.tail if self._rows else self._layout.empty)
            size = await part.mark()
            await self._tell(part)
        except Superseded:
            part.path.unlink(missing_ok=True)
            raise
        finally:
            await asyncio.shield(self._close(part))
        final = self._directory.finished(self._run.export, self._run.name)
        await asyncio.to_thread(part.path.rename, final)
        return self._rows, size

    async def _planned(self, newest: int) -> list[Bite]:
        bites = self._run.plan
        if bites is None:
            bites = await plan(self._facts, self._condition, newest)
            total = sum(bite.rows for bite in bites)
            await self._change(plan=msgspec.to_builtins(bites), total=total)
        self._total = sum(bite.rows for bite in bites)
        return bites

    async def _open(self, part: PartFile) -> int:
        """Go on from the checkpoint, or begin anew; gives the number of finished bites."""
        earlier = self._part(self._run.earlier) if self._run.earlier else None
        checkpoint = self._run.checkpoint if earlier else Checkpoint()
        if not await part.open(earlier, checkpoint.size):
            checkpoint = Checkpoint()
        self._rows = checkpoint.rows
        self._is_empty = checkpoint.rows == 0
        if checkpoint.size == 0:
            await part.write(self._layout.head)
        await part.mark()
        await self._tell(part, checkpoint=msgspec.to_builtins(self._here(part, checkpoint.bites)))
        if earlier is not None:
            earlier.unlink(missing_ok=True)
        return checkpoint.bites

    async def _copy_or_split(self, part: PartFile, bites: list[Bite], number: int) -> list[Bite]:
        """Copy a bite, or what of it can be had: the plan that is given back has it smaller."""
        start, rows, is_empty = await part.mark(), self._rows, self._is_empty
        while True:
            try:
                await self._copy(part, *bites[number : number + 2])
            except QueryLimit:
                parts = smaller(bites[number])
                if not parts:
                    raise
                await part.rewind(start)
                self._rows, self._is_empty = rows, is_empty
                bites = [*bites[:number], *parts, *bites[number + 1 :]]
                await self._change(plan=msgspec.to_builtins(bites))
            else:
                return bites

    def _read(self, bite: Bite) -> AsyncGenerator[bytes]:
        return read_bite(self._facts, self._layout, self._condition, bite)

    async def _copy(self, part: PartFile, bite: Bite, following: Bite | None = None) -> None:
        counter = RowCounter(self._layout)
        async with aclosing(self._reader.pieces(bite, following)) as pieces:
            async for piece in pieces:
                self._rows += counter.count(piece)
                await part.write(self._opened(piece) if self._is_empty else piece)
                if time.monotonic() - self._reported >= REPORT_S:
                    await self._tell(part)

    def _opened(self, piece: bytes) -> bytes:
        """The first piece as it begins in the file."""
        self._is_empty = False
        opening = self._layout.opening
        return opening + piece[len(opening) :] if opening else piece

    def _here(self, part: PartFile, bites: int) -> Checkpoint:
        return Checkpoint(bites, self._rows, part.size, boot_id())

    async def _save(self, part: PartFile, bites: int) -> None:
        """Make what is written a point to go on from."""
        await part.mark()
        await self._change(checkpoint=msgspec.to_builtins(self._here(part, bites)))
        self._saved = time.monotonic()

    async def _close(self, part: PartFile) -> None:
        await part.close()
        await self._reader.close()

    async def _tell(self, part: PartFile, **more: object) -> None:
        await self._change(rows=self._rows, bytes=part.size, **more)
        await self._report(self._total, self._rows)
        self._reported = time.monotonic()

    async def _change(self, **values: object) -> None:
        if not await self._table.change_run(self._run, **values):
            raise Superseded

    def _part(self, run: str) -> Path:
        return self._directory.part(self._run.export.id, run)


def sentence(error: OSError | InvalidRequest) -> str:
    """Why an export has failed, for who asked for it."""
    if isinstance(error, InvalidRequest):
        return error.message
    if error.errno in _FULL:
        return (
            "The disk for exports is full. Free some space, ask for fewer lines, or for gzip; "
            "then start anew."
        )
    return f"The file could not be written: {error.strerror or error}."
