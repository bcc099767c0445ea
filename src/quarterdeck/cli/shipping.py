"""Sends what the followed files hold, and moves their positions when the server has it."""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Protocol

from quarterdeck.cli.client import ApiClient, Data, Sent
from quarterdeck.cli.failure import CommandFailed, Refused, is_passing, retry_after_of
from quarterdeck.cli.followed import FollowedFile, Piece, parts_of
from quarterdeck.cli.following import Follower
from quarterdeck.cli.positions import Position, Positions
from quarterdeck.cli.render import say
from quarterdeck.contrib.backoff import Backoff

BATCH = 4 * 1024 * 1024
"""Bytes of one request before they are compressed."""
TURN = 64 * 1024 * 1024
"""Bytes after which the files of the next path have their turn."""
TOLD = 5
"""Refused lines of one request that are told one by one."""


class Format(StrEnum):
    """What the lines of the files are."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


class Stop(Protocol):
    """How the end is asked for."""

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until the end is asked for: then it is true."""
        ...


class Stopped(Exception):
    """The end was asked for while the server took nothing."""


class Words(Protocol):
    """How lines of files are sent, and where to."""

    @property
    def segments(self) -> tuple[str, ...]:
        """The path of the door."""
        ...

    @property
    def query(self) -> Mapping[str, object]:
        """What is asked with each request."""
        ...

    @property
    def media(self) -> str:
        """The media type of the lines."""
        ...

    @property
    def is_headed(self) -> bool:
        """Whether a file's first line goes before its others in each request."""
        ...

    def lines(self, path: str, piece: Piece) -> list[bytes]:
        """What is sent for a piece."""
        ...


@dataclass(frozen=True, slots=True)
class Wording:
    """How a line of a file becomes one of NDJSON."""

    format: Format = Format.AUTO
    service: str | None = None
    """Of lines of text; without it the name of their file."""

    segments = ("logs",)
    query: ClassVar[Mapping[str, object]] = {}
    media = "application/x-ndjson"
    is_headed = False

    def lines(self, path: str, piece: Piece) -> list[bytes]:
        """What is sent for it: nothing for a blank line, several for a long one of text."""
        # A file that was truncated under a writer which does not append begins with a hole.
        raw = piece.raw.lstrip(b"\0")
        if not raw.strip():
            return []
        if not piece.part and self._is_json(raw):
            return [raw]
        parts = parts_of(raw.rstrip(b"\r"))
        if not piece.part and len(parts) == 1:
            return [self._text(path, parts[0], None)]
        first = piece.part or 1
        return [self._text(path, part, number) for number, part in enumerate(parts, first)]

    def _is_json(self, raw: bytes) -> bool:
        if self.format is not Format.AUTO:
            return self.format is Format.JSON
        if not raw.lstrip().startswith(b"{"):
            return False
        try:
            return isinstance(json.loads(raw), dict)
        except (ValueError, RecursionError):
            return False

    def _text(self, path: str, raw: bytes, part: int | None) -> bytes:
        line: dict[str, object] = {
            "message": raw.decode("utf-8", "backslashreplace"),
            "service": self.service or Path(path).name.partition(".")[0] or "unknown",
            "metadata": {"file": path} if part is None else {"file": path, "part": part},
        }
        return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(slots=True)
class Batch:
    """Lines of one request, where each is from, and what is done once they are acknowledged."""

    lines: list[bytes] = field(default_factory=list)
    origins: list[tuple[str, int]] = field(default_factory=list)
    """Path, and the offset at which the line begins."""
    reached: dict[FollowedFile, Position] = field(default_factory=dict)
    headed: set[FollowedFile] = field(default_factory=set)
    """Files whose first line is among the lines, where it must be."""
    size: int = 0

    def add(self, file: FollowedFile, start: int, lines: Sequence[bytes]) -> None:
        """Add what is sent for a piece that begins there."""
        self.lines += lines
        self.origins += [(file.path, start)] * len(lines)
        self.size += sum(map(len, lines))

    def halves(self) -> "list[Batch]":
        """Two with half of the lines each, for a server that takes no such large request."""
        middle = len(self.lines) // 2
        parts = (slice(middle), slice(middle, None))
        return [Batch(self.lines[part], self.origins[part]) for part in parts]


class Shipper:
    """Reads, sends, and saves the positions: each line arrives at least once."""

    def __init__(
        self,
        client: ApiClient,
        follower: Follower,
        positions: Positions,
        wording: Words,
        stop: Stop,
        backoff: Backoff,
    ) -> None:
        self._client = client
        self._follower = follower
        self._positions = positions
        self._wording = wording
        self._stop = stop
        self._backoff = backoff

    def round(self, *, is_final: bool = False) -> None:
        """Look at all files once and send what is new.

        `is_final`: nothing is waited for, last lines are whole as they are.

        Raises:
            Stopped: the end was asked for before the server had it all.
            CommandFailed: trying again would not help.
        """
        self._follower.scan()
        batch = Batch()
        for files in self._follower:
            batch = self._ship_path(files, batch, is_final=is_final)
        self._send(batch)

    def _ship_path(self, files: Sequence[FollowedFile], batch: Batch, *, is_final: bool) -> Batch:
        """Read the files in their order, each to its end; gives the batch that is not sent yet."""
        size = 0
        for file in files:
            is_ending = is_final or self._follower.is_ending(file)
            while pieces := file.pull(is_final=is_ending):
                for piece in pieces:
                    self._add(batch, file, piece)
                    if batch.size >= BATCH:
                        batch.reached[file] = file.position(piece)
                        self._send(batch)
                        batch = Batch()
                batch.reached[file] = file.position()
                size += pieces[-1].end - pieces[0].start
                if size > TURN and not is_final:
                    return batch
        return batch

    def _add(self, batch: Batch, file: FollowedFile, piece: Piece) -> None:
        if self._wording.is_headed and file not in batch.headed:
            batch.headed.add(file)
            if piece.start > 0:
                batch.add(file, 0, [file.first_line()])
        batch.add(file, piece.start, self._wording.lines(file.path, piece))

    def _send(self, batch: Batch) -> None:
        if batch.lines:
            if self._stop.wait(0):
                raise Stopped
            self._deliver(batch)
        for position in batch.reached.values():
            self._positions.put(position)
        if batch.reached:
            self._positions.save()

    def _deliver(self, batch: Batch) -> None:
        """Send until the server has the lines, or has said that it never will."""
        body = b"\n".join(batch.lines) + b"\n"
        headers = {"Content-Type": self._wording.media, "Content-Encoding": "gzip"}
        sent = Sent(gzip.compress(body, 1), headers)
        while True:
            try:
                answer = self._client.call(
                    "POST", self._wording.segments, self._wording.query, sent
                )
            except CommandFailed as failure:
                if self._is_settled(batch, failure):
                    return
                if self._stop.wait(self._backoff.next_s(retry_after_of(failure))):
                    raise Stopped from None
            else:
                self._note_success(batch, answer)
                return

    def _is_settled(self, batch: Batch, failure: CommandFailed) -> bool:
        """Whether nothing of the batch is to be sent again."""
        status = failure.status if isinstance(failure, Refused) else None
        if status == 413 and len(batch.lines) > 1:
            for half in batch.halves():
                self._deliver(half)
            return True
        if status in {400, 413}:
            _tell_refused(batch, len(batch.lines), [], f": {failure.message}")
            return True
        if not is_passing(failure):
            raise failure
        if self._backoff.failures == 0:
            say(f"quarterdeck: {failure.message} Waiting; nothing is lost.")
        return False

    def _note_success(self, batch: Batch, answer: Data) -> None:
        if self._backoff.failures > 0:
            say("quarterdeck: the server takes lines again.")
            self._backoff.reset()
        rejected = answer.get("rejected")
        if isinstance(rejected, int) and rejected > 0:
            _tell_refused(batch, rejected, answer.get("rejections"), ".")


def _tell_refused(batch: Batch, rejected: int, rejections: object, reason: str) -> None:
    """Name the lines, so that people find them in their files."""
    for rejection in rejections[:TOLD] if isinstance(rejections, list) else []:
        number = rejection.get("line", 0)
        if 0 < number <= len(batch.origins):
            path, start = batch.origins[number - 1]
            why = rejection.get("reason")
            say(f"quarterdeck: {path}: the line at byte {start} was refused: {why}")
    path, start = batch.origins[0]
    say(f"quarterdeck: {rejected} lines from byte {start} of {path} on were refused{reason}")
