"""Lines as the engine takes them: JSON arrays, one a line, by day of UTC.

An insert of one day is one part of the table, and so all or nothing: a crash left inserts over two
days half done (measured, `docs/adr/0016-log-table.md`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

import msgspec

from quarterdeck.logs.model import Line

encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one day."""

    data: bytes
    count: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """What one request, or a part of it, wants to have stored. Days are proleptic ordinals."""

    days: Mapping[int, Rows]
    count: int
    size: int
    """Bytes."""


def packed(by_day: Mapping[int, list[tuple[object, ...]]]) -> Prepared:
    """Encode rows; their values stand in the order of `COLUMNS`."""
    days = {
        day: Rows(encoder.encode_lines(rows), len(rows)) for day, rows in by_day.items() if rows
    }
    count = sum(rows.count for rows in days.values())
    return Prepared(days, count, sum(len(rows.data) for rows in days.values()))


def prepare(lines: Iterable[Line]) -> Prepared:
    """Encode lines that went through `normalise`."""
    by_day: dict[int, list[tuple[object, ...]]] = {}
    for line in lines:
        day = date.fromisoformat(line.timestamp[:10]).toordinal()
        by_day.setdefault(day, []).append(msgspec.structs.astuple(line))
    return packed(by_day)
