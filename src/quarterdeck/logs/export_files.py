"""Files of exports: grown under a name that nobody may download, then renamed."""

import asyncio
import errno
import os
import re
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

T = TypeVar("T")

GZIP_LEVEL = 3
"""Measured on log lines: 115 MB/s at 5.4 : 1; level 6 gives 6.1 : 1 at 68 MB/s."""

_COPY = 1024 * 1024
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_OURS = re.compile(r"(export_logs_[0-9A-Z]+)\..+")


class Named(Protocol):
    """Something that has a file."""

    @property
    def id(self) -> str:
        """Begins the file's name."""
        ...

    @property
    def suffix(self) -> str:
        """Ends the file's name."""
        ...


def boot_id() -> str:
    """Of this run of the machine: what was written in it is there as long as it runs, also for
    other processes. Empty where the system does not tell: then only what was synced counts."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class ExportDirectory:
    """Where the files are. Several servers of one state database share it, or serve their own."""

    path: Path
    reserve_bytes: int = 256 * 1024 * 1024
    """So much stays free on this disk: the databases that may live there need it more."""

    def finished(self, export: "Named", run: str) -> Path:
        """The file that a run has finished. Each has a name of its own: none replaces another."""
        return self.path / f"{export.id}.{run}.{export.suffix}"

    def part(self, export_id: str, run: str) -> Path:
        """The growing file of one run of an export."""
        return self.path / f"{export_id}.{run}.part"

    def remove(self, export_id: str) -> None:
        """Remove all files of an export, if there are any."""
        for path in self.path.glob(f"{export_id}.*"):
            path.unlink(missing_ok=True)

    def list_files(self) -> list[tuple[str, Path]]:
        """Our files with the ids of their exports; whatever else lies there is not ours."""
        if not self.path.is_dir():
            return []
        found = ((_OURS.fullmatch(path.name), path) for path in self.path.iterdir())
        return [(match[1], path) for match, path in found if match]

    def make_durable(self, file: Path) -> None:
        """See that a finished file and its name are there after a loss of power, too."""
        for path in (file, self.path):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def require_space(self, size: int) -> None:
        """Refuse to write `size` bytes when too few would stay free.

        Raises:
            OSError: ENOSPC.
        """
        disk = os.statvfs(self.path)
        if disk.f_bavail * disk.f_frsize < self.reserve_bytes + size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class PartFile:
    """A growing file. Writes happen on a thread of its own, one behind the caller.

    Compressed, it is a chain of gzip members, which is a gzip file: `mark` ends one, so that the
    file can be cut there and continued.
    """

    def __init__(self, directory: ExportDirectory, path: Path, gzip: bool) -> None:
        self.path = path
        self.size = 0
        """Bytes of the file so far."""
        self._directory = directory
        self._thread = ThreadPoolExecutor(1, "export-file")
        self._pending: asyncio.Future[None] | None = None
        self._deflate: zlib._Compress | None = None
        self._is_in_member = False
        self._descriptor = -1
        if gzip:
            self._begin_member()

    async def open(self, earlier: Path | None, keep: int) -> bool:
        """Create the file, with the first `keep` bytes of an earlier one. False: that one is gone,
        or shorter; the file is empty."""
        return await self._call(lambda: self._open(earlier, keep))

    async def write(self, piece: bytes) -> None:
        """Append; errors may show at the next call only."""
        await self._settled()
        loop = asyncio.get_running_loop()
        self._pending = loop.run_in_executor(self._thread, self._write, piece)

    async def mark(self) -> int:
        """A point to which `rewind` can go back; gives the size."""
        await self._settled()
        return await self._call(self._end_member)

    async def rewind(self, size: int) -> None:
        """Forget what was written since `mark` gave this size."""
        await self._settled()
        await self._call(lambda: self._rewind(size))

    async def close(self) -> None:
        """Close it, after what is being written."""
        loop = asyncio.get_running_loop()
        closing = loop.run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)
        await asyncio.gather(*filter(None, (self._pending, closing)), return_exceptions=True)

    async def _settled(self) -> None:
        if self._pending is not None:
            await self._pending

    async def _call(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _open(self, earlier: Path | None, keep: int) -> bool:
        self._directory.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Log lines are nobody else's business.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        self._descriptor = os.open(self.path, flags, 0o600)
        if earlier is None:
            return True
        # Copied, not taken over: a run that lost its lease may still be writing there.
        try:
            source = earlier.open("rb")
        except FileNotFoundError:
            return False
        with source:
            if os.fstat(source.fileno()).st_size < keep:
                return False
            while self.size < keep:
                self._append(source.read(min(_COPY, keep - self.size)))
        return True

    def _write(self, piece: bytes) -> None:
        if self._deflate is None:
            self._append(piece)
        else:
            self._is_in_member = True
            self._append(self._deflate.compress(piece))

    def _append(self, data: bytes) -> None:
        self._directory.require_space(len(data))
        rest = memoryview(data)
        while rest:
            written = os.write(self._descriptor, rest)
            self.size += written
            rest = rest[written:]

    def _end_member(self) -> int:
        if self._deflate is not None and self._is_in_member:
            self._append(self._deflate.flush())
            self._begin_member()
        return self.size

    def _begin_member(self) -> None:
        self._deflate = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
        self._is_in_member = False

    def _rewind(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)
        os.lseek(self._descriptor, size, os.SEEK_SET)
        self.size = size
        if self._deflate is not None:
            self._begin_member()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
