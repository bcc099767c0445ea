"""One file that is read as it grows: whole lines, and overlong ones in pieces."""

import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from quarterdeck.cli.positions import HEAD, Identity, Position, head_hash

READ = 1024 * 1024
"""Bytes read at once."""
LONGEST = 16 * 1024 * 1024
"""Bytes of a line that the server takes; a longer one is read in pieces."""
PART = 1024 * 1024
"""Bytes of such a piece: what fits into one message."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A line without its line feed, or a part of an overlong one."""

    raw: bytes
    start: int
    end: int
    """Offset at which the next one begins."""
    part: int
    """0: a whole line; else this is the first, second... of it."""
    next_part: int
    """Pieces that were read of a line that is not at its end."""


class FollowedFile:
    """An open file, found again by its inode wherever it is renamed to.

    `is_last`: it is the newest that was seen at `path`; `is_there`: it still is there.

    Raises:
        OSError: it cannot be opened, or is no regular file.
    """

    def __init__(self, where: Path, path: str, offset: int = 0, part: int = 0) -> None:
        self.path = path
        self._file = where.open("rb", buffering=0)
        state = os.fstat(self._file.fileno())
        if not stat.S_ISREG(state.st_mode):
            self._file.close()
            raise OSError(0, "it is no regular file")
        self.identity: Identity = (state.st_dev, state.st_ino)
        self.is_last = False
        self.is_there = False
        self.mtime_ns = state.st_mtime_ns
        self._size = -1
        self._changed_at = 0.0
        self._stuck_at = -1
        self.move_to(offset, part)

    @property
    def offset(self) -> int:
        """Where the next line begins."""
        return self._offset

    def move_to(self, offset: int, part: int = 0) -> None:
        """Read on from there."""
        self._offset, self._part = offset, part
        self._head = os.pread(self._file.fileno(), min(HEAD, offset), 0)

    def first_line(self) -> bytes:
        """The line that the file begins with, or the first `READ` bytes of it."""
        return os.pread(self._file.fileno(), READ, 0).partition(b"\n")[0]

    def skip_to_last_line(self) -> None:
        """Go to the end, but not into the middle of a line that is being written."""
        end = os.fstat(self._file.fileno()).st_size
        start = max(0, end - READ)
        tail = os.pread(self._file.fileno(), end - start, start)
        feed = tail.rfind(b"\n")
        self.move_to(start + feed + 1 if feed >= 0 or start == 0 else end)

    def fits(self, position: Position) -> bool:
        """Whether the position is one in this file."""
        return position.fits(self._file.fileno())

    def current_mtime_ns(self) -> int:
        """When it was last changed."""
        return os.fstat(self._file.fileno()).st_mtime_ns

    def is_truncated(self) -> bool:
        """Whether what was read is there no more."""
        descriptor = self._file.fileno()
        if os.fstat(descriptor).st_size < self._offset:
            return True
        return os.pread(descriptor, len(self._head), 0) != self._head

    def is_quiet_for(self, seconds: float) -> bool:
        """Whether nothing was written since so long."""
        now, size = time.monotonic(), os.fstat(self._file.fileno()).st_size
        if size != self._size:
            self._size, self._changed_at = size, now
        return now - self._changed_at >= seconds

    def is_read(self) -> bool:
        """Whether nothing is left, not even a piece of a line."""
        return os.fstat(self._file.fileno()).st_size <= self._offset

    def pull(self, *, is_final: bool = False) -> list[Piece]:
        """The next lines, some `READ` bytes; the last line only once its line feed is there.

        `is_final`: no more will be written, so what lacks its line feed is a line, too.
        """
        descriptor = self._file.fileno()
        size = os.fstat(descriptor).st_size
        if size <= self._offset or (size == self._stuck_at and not is_final):
            return []
        # Of an overlong line more than one piece: only what has something behind it is whole.
        data = os.pread(descriptor, READ + PART if self._part else READ, self._offset)
        if b"\n" not in data and not self._part and len(data) == READ:
            data = os.pread(descriptor, LONGEST + 1, self._offset)
        pieces = self._cut(data, is_last=is_final and self._offset + len(data) >= size)
        if self.is_truncated():
            return []  # what was read may be of another time than where it was read
        if pieces:
            consumed = pieces[-1].end - self._offset
            self._head += data[: min(consumed, HEAD - len(self._head))]
            self._offset, self._part = pieces[-1].end, pieces[-1].next_part
        self._stuck_at = -1 if pieces else size
        return pieces

    def position(self, piece: Piece | None = None) -> Position:
        """Where it is now, or after this piece."""
        offset = self._offset if piece is None else piece.end
        head = self._head[:offset]
        return Position(
            path=self.path,
            device=self.identity[0],
            inode=self.identity[1],
            offset=offset,
            part=self._part if piece is None else piece.next_part,
            head_bytes=len(head),
            head_hash=head_hash(head),
            mtime_ns=self.mtime_ns,
            is_last=self.is_last,
        )

    def close(self) -> None:
        """Let it go."""
        self._file.close()

    def _cut(self, data: bytes, *, is_last: bool) -> list[Piece]:
        feed = data.rfind(b"\n")
        if feed < 0:
            if is_last:
                return self._line(data, self._offset, self._part, feeds=0)
            is_overlong = self._part > 0 or len(data) > LONGEST
            return self._whole_parts(data) if is_overlong else []
        pieces, start, part = [], self._offset, self._part
        for raw in data[:feed].split(b"\n"):
            pieces += self._line(raw, start, part, feeds=1)
            start, part = start + len(raw) + 1, 0
        return pieces

    def _line(self, raw: bytes, start: int, part: int, *, feeds: int) -> list[Piece]:
        """A line; when pieces of it were read before, the rest of it in pieces."""
        if not part:
            return [Piece(raw, start, start + len(raw) + feeds, 0, 0)]
        pieces = []
        texts = parts_of(raw) or [b""]
        for number, text in enumerate(texts, part + 1):
            is_end = number == part + len(texts)
            end = start + len(text) + (feeds if is_end else 0)
            pieces.append(Piece(text, start, end, number, 0 if is_end else number))
            start = end
        return pieces

    def _whole_parts(self, data: bytes) -> list[Piece]:
        """All pieces but the last, which may grow."""
        pieces, start = [], self._offset
        for number, text in enumerate(parts_of(data)[:-1], self._part + 1):
            pieces.append(Piece(text, start, start + len(text), number, number))
            start += len(text)
        return pieces


def parts_of(raw: bytes) -> list[bytes]:
    """Pieces of at most `PART` bytes that cut no character of UTF-8 in two."""
    parts, start = [], 0
    while start < len(raw):
        end = min(start + PART, len(raw))
        for back in range(4):
            if end == len(raw) or raw[end - back] & 0xC0 != 0x80:
                end -= back
                break
        parts.append(raw[start:end])
        start = end
    return parts
