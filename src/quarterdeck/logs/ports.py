"""What a log protocol must be able to do. One that sends whole bodies is a `Dialect`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Protocol, runtime_checkable

from quarterdeck.logs.model import Line, Rejection


@dataclass(frozen=True, slots=True)
class Reading:
    """What was in a body. `total` is the number of lines in it, taken or not."""

    lines: Sequence[Line]
    rejections: Sequence[Rejection]
    total: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What a protocol wants to hear; an empty body has no content type."""

    status: int
    content_type: str = ""
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = ()


class Dialect(Protocol):
    """A protocol that sends its lines in HTTP bodies, decompressed as far as HTTP says so."""

    paths: ClassVar[Sequence[str]]
    """Where its senders post them; `{name:str}` stands for a segment that does not matter."""
    media_types: ClassVar[Sequence[str]]
    """Of the bodies; the first one is assumed where none is named."""

    def read(self, body: bytes, content_type: str, arrival: datetime, oldest: datetime) -> Reading:
        """The lines of a body. A line that cannot be taken is a rejection, the others are kept.

        Raises:
            InvalidRequest: the body is not of this protocol; nothing of it can be read.
        """
        ...

    def answer(self, reading: Reading, content_type: str, took_ms: int) -> Answer:
        """What the sender is told once the lines are durable; `content_type` is the request's."""
        ...


@runtime_checkable
class Greeter(Protocol):
    """A dialect whose senders ask something before they send."""

    home: ClassVar[str]
    """The path below which they ask."""

    def greet(self, method: str, path: str) -> Answer | None:
        """The answer to such a question; None: it is none. `path` is below the dialect's own."""
        ...


class DialectFactory(Protocol):
    """How the registry calls an adapter."""

    def __call__(self) -> Dialect:
        """Build it; it keeps no state."""
        ...
