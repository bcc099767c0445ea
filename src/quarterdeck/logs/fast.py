"""NDJSON at the speed of the engine: whole blocks of lines, and one by one only where it must be.

A line of the platform's own form needs nothing but its types checked: its values travel to the
engine as the bytes that arrived, without being unescaped and escaped again. Decoded twice, once
with types and once without, a line of 300 bytes costs 2.5 us; through `normalise`, which takes
anything else (another form of time, an `error` object, a missing field), about six times that.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from quarterdeck.logs.levels import find_level
from quarterdeck.logs.model import MAX_MESSAGE, MAX_NAME, Rejection
from quarterdeck.logs.objects import has_duplicates
from quarterdeck.logs.prepared import Prepared, packed
from quarterdeck.logs.rules import LineRejected, read_line
from quarterdeck.logs.vocabulary import ERROR_NAMES, ID_NAMES

BLOCK = 256 * 1024
"""Bytes converted at a time: some 2 ms, so that nobody else on the event loop waits for long."""

KEPT_SPELLINGS = 1000
"""Levels as they were spelt that are remembered."""

LONGEST_STAMP = len('"2026-11-16T00:00:00.000000Z"')
"""A longer one may have nanoseconds, which a column of microseconds cannot say."""

KEPT_REJECTIONS = 100
"""Of one request; the others are only counted."""

AHEAD = timedelta(days=1)
"""How far a clock may be ahead of ours."""

ABSENT = Raw(b'""')
NAMED = b'":'
SPECIAL = frozenset({"metadata", "error", "err", *ID_NAMES})
"""Names of which more than the value is wanted."""

is_plain = SPECIAL.isdisjoint

OBJECT = ord("{")


Name = Annotated[str, Meta(max_length=MAX_NAME)]


class Typed(Struct, gc=False):
    """The fields that we know, to have their types and lengths checked."""

    timestamp: Annotated[datetime, Meta(tz=True)] | None = None
    level: str | None = None
    service: Name | None = None
    message: Annotated[str, Meta(max_length=MAX_MESSAGE // 4)] | None = None
    request_id: Name | None = None
    user_id: Name | None = None
    tenant_id: Name | None = None


_typed = msgspec.json.Decoder(Typed)
_raw = msgspec.json.Decoder(dict[str, Raw])

Row = tuple[object, ...]
ByDay = dict[int, list[Row]]
_NOT_PLAIN = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def _special(raw: dict[str, Raw]) -> Raw | dict[str, Raw] | None:
    """The metadata of a line that has a `metadata` or an `error` object; None: not so simply."""
    if len(raw) == 1 and "metadata" in raw:
        return raw["metadata"] if memoryview(raw["metadata"])[0] == OBJECT else None
    error = raw.pop("error", None)
    if error is None or memoryview(error)[0] != OBJECT:
        return None
    told = _raw.decode(error)
    if bytes(error).count(NAMED) != len(told) or not told:
        return None
    for name, value in told.items():
        target = ERROR_NAMES.get(name)
        if target is None or target in raw:
            return None
        raw[target] = value
    return raw if is_plain(raw) else None


@dataclass(slots=True)
class Converter:
    """Turns blocks of whole lines into rows, for one request that came at `arrival`."""

    arrival: datetime
    oldest: datetime
    """Before this the retention would remove a line at once."""
    rejections: list[Rejection] = field(default_factory=list)
    rejected: int = 0
    lines: int = 0
    """Seen so far, blank ones too: the number of the last one."""
    _spellings: dict[str | None, tuple[Raw, Raw]] = field(default_factory=dict)

    def reject(self, reason: str) -> None:
        """Count a line that was never held."""
        self.lines += 1
        self._reject(self.lines, reason)

    def convert(self, block: bytes) -> Prepared:
        """Rows of a block; lines that cannot be taken are added to `rejections`."""
        by_day: ByDay = {}
        try:
            odd = self._plain(block, by_day)
        except _NOT_PLAIN:
            by_day.clear()
            self._each(list(_numbered(block, self.lines)), by_day)
        else:
            if odd:
                numbered = list(_numbered(block, self.lines))
                self._slowly([numbered[index] for index in odd], by_day)
        self.lines += block.count(b"\n") + (not block.endswith(b"\n"))
        return packed(by_day)

    def _plain(self, block: bytes, by_day: ByDay) -> list[int]:
        """Fill `by_day`; gives the indexes of lines that want the slow way.

        Its time is written anew: RFC 3339 allows small letters, which the engine does not read.
        All of a line's way is written out here: calls would cost a twentieth of all that it takes.
        """
        if not block.isascii():  # which is told in no time
            block.decode()  # msgspec does not look into strings that it passes on as they are
        odd = []
        days: dict[int, Callable[[Row], None]] = {}
        raws = _raw.decode_lines(block)
        doubled = _doubled(block, raws)
        level_of, adder_of = self._spellings.get, days.get
        for index, (typed, raw) in enumerate(zip(_typed.decode_lines(block), raws, strict=True)):
            at, spelling, pop = typed.timestamp, typed.level, raw.pop
            level = level_of(spelling) or self._spelt(spelling)
            if (
                at is None or level is None or typed.service is None or typed.message is None
                or at.tzinfo is not UTC or index in doubled or len(pop("timestamp")) > LONGEST_STAMP
            ):  # fmt: skip
                odd.append(index)
                continue
            del raw["level"]
            row = (
                at, level[0], pop("service"), pop("message"), pop("request_id", ABSENT),
                pop("user_id", ABSENT), pop("tenant_id", ABSENT), raw, level[1], ABSENT, ABSENT,
            )  # fmt: skip
            special = raw if is_plain(raw) else _special(raw)
            add = adder_of(at.toordinal()) or self._place(at, by_day, days)
            if special is None or add is None:
                odd.append(index)
            else:
                add(row if special is raw else (*row[:7], special, *row[8:]))
        return odd

    def _place(
        self, at: datetime, by_day: ByDay, days: dict[int, Callable[[Row], None]]
    ) -> Callable[[Row], None] | None:
        """What adds rows of that day; None: too old or too far ahead. A day all of which is
        neither is noted in `days`: comparing moments costs more than finding it there."""
        newest = self.arrival + AHEAD
        if not self.oldest <= at <= newest:
            return None
        day = at.toordinal()
        add = by_day.setdefault(day, []).append
        if self.oldest.toordinal() < day < newest.toordinal():
            days[day] = add
        return add

    def _spelt(self, spelling: str | None) -> tuple[Raw, Raw] | None:
        """A level as we have it, and as it was sent if that is something else."""
        level = None if spelling is None else find_level(spelling)
        if level is None or len(self._spellings) >= KEPT_SPELLINGS:
            return None
        original = ABSENT if spelling == level else Raw(msgspec.json.encode(spelling))
        found = (Raw(msgspec.json.encode(level)), original)
        self._spellings[spelling] = found
        return found

    def _each(self, numbered: Sequence[tuple[int, bytes]], by_day: ByDay) -> None:
        """One line in the block is not plain: find out which, at the price of decoding singly."""
        odd = []
        for number, line in numbered:
            try:
                if self._plain(line, by_day):
                    odd.append((number, line))
            except _NOT_PLAIN:
                odd.append((number, line))
        self._slowly(odd, by_day)

    def _slowly(self, numbered: Sequence[tuple[int, bytes]], by_day: ByDay) -> None:
        for number, line in numbered:
            try:
                # Lines that name no time keep their order: each is later than the one before.
                arrival = self.arrival + timedelta(microseconds=number)
                read = read_line(line, arrival, self.oldest)
            except LineRejected as rejected:
                self._reject(number, rejected.reason)
                continue
            day = date.fromisoformat(read.timestamp[:10]).toordinal()
            by_day.setdefault(day, []).append(msgspec.structs.astuple(read))

    def _reject(self, number: int, reason: str) -> None:
        self.rejected += 1
        if len(self.rejections) < KEPT_REJECTIONS:
            self.rejections.append(Rejection(number, reason))


def _doubled(block: bytes, raws: Sequence[dict[str, Raw]]) -> Collection[int]:
    """Indexes of lines that name something twice: it is in the text twice, in the dict once."""
    if block.count(NAMED) == sum(map(len, raws)):
        return ()
    return {
        index
        for index, (raw, (_, line)) in enumerate(zip(raws, _numbered(block, 0), strict=True))
        if line.count(NAMED) != len(raw) and has_duplicates(raw, line.strip())
    }


def _numbered(block: bytes, before: int) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, each with its number."""
    for number, line in enumerate(block.split(b"\n"), before + 1):
        if line and not line.isspace():
            yield number, line
