"""Where a frame ends on a connection: RFC 6587, both ways, told apart frame by frame."""

import re

LARGEST = 1024 * 1024 + 8 * 1024
"""Bytes of a frame: a message of 1 MiB and its header; what is longer is cut."""

Frame = tuple[bytes, bool]
"""Its bytes, and whether it was cut."""

# With more digits, nobody means a length: that would be a gigabyte.
_COUNT = re.compile(rb"([1-9][0-9]{0,8}) ")
_MAYBE_COUNT = re.compile(rb"[1-9][0-9]{0,8} ?\Z")
BETWEEN = b"\r\n\x00"
"""What senders put between frames."""


class Splitter:
    """Cuts the bytes of one connection into frames; holds at most one, and no more than `largest`.

    A frame that begins with digits, a space and `<` has its length before it (octet counting);
    after such a frame the `<` may be missing. Any other ends at a line end.
    """

    def __init__(self, largest: int = LARGEST) -> None:
        self._largest = largest
        self._buffer = bytearray()
        self._at = 0
        self._searched = 0
        self._skip = 0
        self._skip_line = False
        self._counted = False

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete now."""
        self._buffer += data
        frames: list[Frame] = []
        while self._step(frames):
            pass
        del self._buffer[: self._at]
        self._searched = max(0, self._searched - self._at)
        self._at = 0
        return frames

    def end(self) -> list[Frame]:
        """What is left when the connection ends: a line without its end, or a piece of a frame."""
        rest = bytes(self._buffer).strip(BETWEEN)
        self._buffer.clear()
        if not rest:
            return []
        count = self._count(rest, 0)
        return [(rest, False)] if count is None else [(rest[count[1] :], True)]

    def _step(self, frames: list[Frame]) -> bool:
        """Whether this led anywhere; else more bytes are needed."""
        buffer, size = self._buffer, len(self._buffer)
        if self._skip or self._skip_line:
            return self._skipped()
        while self._at < size and buffer[self._at] in BETWEEN:
            self._at += 1
        if self._at == size:
            return False
        count = self._count(buffer, self._at)
        if count is not None:
            return self._take_counted(*count, frames)
        if _MAYBE_COUNT.match(buffer, self._at, self._at + 11):
            return False
        return self._take_line(frames)

    def _count(self, buffer: bytes | bytearray, at: int) -> tuple[int, int] | None:
        """The length that stands here, and where the frame begins."""
        match = _COUNT.match(buffer, at, at + 10)
        if match is None or len(buffer) == match.end():
            return None
        if not self._counted and buffer[match.end()] != ord("<"):
            return None
        return int(match[1]), match.end()

    def _take_counted(self, size: int, begin: int, frames: list[Frame]) -> bool:
        taken = min(size, self._largest)
        if len(self._buffer) - begin < taken:
            return False
        frames.append((bytes(self._buffer[begin : begin + taken]), size > taken))
        self._at = self._searched = begin + taken
        self._skip = size - taken
        self._counted = True
        return True

    def _take_line(self, frames: list[Frame]) -> bool:
        at = self._at
        end = self._buffer.find(b"\n", max(at, self._searched))
        stop = len(self._buffer) if end < 0 else end
        self._searched = stop
        cut = stop - at > self._largest
        if end < 0 and not cut:
            return False
        frames.append((bytes(self._buffer[at : at + self._largest if cut else stop]), cut))
        self._at = stop
        self._skip_line = end < 0
        self._counted = False
        return True

    def _skipped(self) -> bool:
        if self._skip_line:
            end = self._buffer.find(b"\n", self._at)
            self._at = len(self._buffer) if end < 0 else end + 1
            self._skip_line = end < 0
        else:
            step = min(self._skip, len(self._buffer) - self._at)
            self._at += step
            self._skip -= step
        return self._at < len(self._buffer)
