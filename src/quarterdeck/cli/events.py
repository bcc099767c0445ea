"""Server-sent events, as the HTML standard reads them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `id` is the newest that the stream has named; None: none yet."""

    name: str
    data: str
    id: str | None


def read_events(lines: Iterable[bytes]) -> Iterator[Event]:
    """The events of a stream. A bare id is an event without data; one cut off half-way is none."""
    name, identity, is_named = "", None, False
    data: list[str] = []
    for raw in lines:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if not line:
            if data or is_named:
                yield Event(name or "message", "\n".join(data), identity)
            name, data, is_named = "", [], False
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif field == "id" and "\0" not in value:
            identity, is_named = value, True
