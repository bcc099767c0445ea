"""How far each file was shipped, kept on disk so that a restart goes on from there."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from quarterdeck.cli.failure import CommandFailed, ExitCode
from quarterdeck.cli.render import say

HEAD = 1024
"""Bytes at the beginning that tell a file from another that got its inode."""

Identity = tuple[int, int]
"""Device and inode."""


class Position(msgspec.Struct, frozen=True):
    """What of one file has been acknowledged."""

    path: str
    """Where it is, or was before it was rotated away."""
    device: int
    inode: int
    offset: int
    part: int
    """Pieces that were sent of an overlong line which goes on at `offset`."""
    head_bytes: int
    head_hash: str
    mtime_ns: int
    """When it was last seen at `path`, this was the time of its last change."""
    is_last: bool
    """Whether it is the newest that was seen at `path`."""

    @property
    def identity(self) -> Identity:
        """Device and inode."""
        return self.device, self.inode

    def fits(self, descriptor: int) -> bool:
        """Whether this is the open file, and it has not been truncated since."""
        head = os.pread(descriptor, self.head_bytes, 0)
        is_long_enough = os.fstat(descriptor).st_size >= self.offset
        return is_long_enough and head_hash(head) == self.head_hash


def head_hash(head: bytes) -> str:
    """The fingerprint of a file's first bytes."""
    return hashlib.sha256(head).hexdigest()


class _Saved(msgspec.Struct):
    version: int = 1
    patterns: list[str] = []
    positions: list[Position] = []


class Positions:
    """All positions, in the order in which their files were found. One process has the directory.

    Raises:
        CommandFailed: the directory cannot be used, is in use, or holds what is no saved state.
    """

    def __init__(self, directory: Path) -> None:
        self._file = directory / "positions.json"
        self._lock: Any = None
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = (directory / "lock").open("wb")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            saved = self._load()
        except BlockingIOError:
            self.close()
            raise CommandFailed(
                f"Another ship uses {directory}. Give each its own --state-dir.", ExitCode.USAGE
            ) from None
        except OSError as error:
            self.close()
            raise CommandFailed(
                f"Cannot use {directory}: {error.strerror}. Give another --state-dir.",
                ExitCode.USAGE,
            ) from None
        self.patterns = set(saved.patterns)
        self._positions = {position.identity: position for position in saved.positions}
        self._is_failing = False

    def close(self) -> None:
        """Let another process have the directory."""
        if self._lock is not None:
            self._lock.close()

    def find(self, identity: Identity) -> Position | None:
        """What is known of this file."""
        return self._positions.get(identity)

    def paths(self) -> list[str]:
        """All paths of which something is known."""
        return list(dict.fromkeys(position.path for position in self._positions.values()))

    def of(self, path: str) -> Iterator[Position]:
        """Those whose files are or were at this path, oldest first."""
        yield from [position for position in self._positions.values() if position.path == path]

    def put(self, position: Position) -> None:
        """Remember until `save`."""
        self._positions[position.identity] = position

    def forget(self, identity: Identity) -> None:
        """Of a file that is no more."""
        self._positions.pop(identity, None)

    def supersede(self, path: str) -> None:
        """None of them is the newest at the path any more."""
        for position in self.of(path):
            self.put(msgspec.structs.replace(position, is_last=False))

    def save(self) -> None:
        """Write them down, all or nothing. A full disk is told, and does not stop the shipping."""
        saved = _Saved(patterns=sorted(self.patterns), positions=list(self._positions.values()))
        try:
            self._write(msgspec.json.format(msgspec.json.encode(saved)))
        except OSError as error:
            if not self._is_failing:
                say(
                    f"quarterdeck: cannot save the position in {self._file}: {error.strerror}. "
                    "Going on; after a restart lines would be sent twice."
                )
            self._is_failing = True
        else:
            self._is_failing = False

    def _write(self, content: bytes) -> None:
        new = self._file.with_suffix(".new")
        with new.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._file)
        directory = os.open(self._file.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _load(self) -> _Saved:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=_Saved)
        except FileNotFoundError:
            return _Saved()
        except msgspec.MsgspecError:
            self.close()
            raise CommandFailed(
                f"{self._file} holds no positions. Remove it to begin anew; what is in the files "
                "up to now is then passed over, or sent again with --from-start.",
                ExitCode.USAGE,
            ) from None
