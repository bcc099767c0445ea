"""Values of the two fields that are no plain text: levels and times. Pure."""

import re
from datetime import UTC, datetime, timedelta

from quarterdeck.logs.model import BY_SEVERITY, Level
from quarterdeck.logs.regex import find_in
from quarterdeck.logs.syntax import (
    Anything,
    Comparison,
    Levels,
    Operator,
    Quoted,
    Regex,
    Span,
    Word,
)

ALIASES = {"warn": Level.WARNING, "err": Level.ERROR}
EARLIEST = datetime(1900, 1, 2, tzinfo=UTC)
LATEST = datetime(2299, 12, 29, tzinfo=UTC)
"""What the column of times can hold, with room for an offset and a day."""

_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(Z|z|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)


class ValueRejected(Exception):
    """The field cannot have such a value; `reason` says what to write."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def levels_of(value: Word | Quoted | Regex | Anything | Comparison) -> Levels:
    """The levels that `level:value` stands for.

    Raises:
        ValueRejected: it names none.
    """
    match value:
        case Anything():
            return Levels(BY_SEVERITY)
        case Regex(pattern, ignores_case):
            return Levels(tuple(x for x in BY_SEVERITY if find_in(x, pattern, ignores_case)))
        case Comparison(operator, text):
            return _compared_levels(operator, _level(text))
        case Word(parts) if len(parts) > 1:
            like = ".*".join(map(re.escape, parts))
            fits = re.compile(like, re.IGNORECASE | re.ASCII).fullmatch
            return Levels(tuple(level for level in BY_SEVERITY if fits(level)))
        case Word((text,)) | Quoted(text):
            return Levels((_level(text),))
    raise AssertionError(value)


def _level(text: str) -> Level:
    name = text.lower()
    try:
        return ALIASES.get(name) or Level(name)
    except ValueError:
        raise ValueRejected("a level is one of error, warning, info, debug.") from None


def _compared_levels(operator: Operator, level: Level) -> Levels:
    index = BY_SEVERITY.index(level)
    match operator:
        case Operator.MORE:
            return Levels(BY_SEVERITY[index + 1 :])
        case Operator.AT_LEAST:
            return Levels(BY_SEVERITY[index:])
        case Operator.LESS:
            return Levels(BY_SEVERITY[:index])
        case Operator.AT_MOST:
            return Levels(BY_SEVERITY[: index + 1])


def span_of(value: Word | Quoted | Regex | Anything | Comparison) -> Span:
    """The times that `timestamp:value` stands for.

    Raises:
        ValueRejected: it is no time.
    """
    match value:
        case Anything():
            return Span(None, None)
        case Comparison(operator, text):
            start, end = _interval(text)
            match operator:
                case Operator.MORE:
                    return Span(end, None)
                case Operator.AT_LEAST:
                    return Span(start, None)
                case Operator.LESS:
                    return Span(None, start)
                case Operator.AT_MOST:
                    return Span(None, end)
        case Word((text,)) | Quoted(text):
            return Span(*_interval(text))
    raise ValueRejected("write a time such as 2026-11-16T10:00, or 2026-11-16 for the whole day.")


def _interval(text: str) -> tuple[datetime, datetime]:
    """From when on and before when: a date is its whole day, a minute all of its seconds."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueRejected("write a time in ISO 8601, such as 2026-11-16T10:00:00Z.")
    year, month, day, hour, minute, second, fraction, _ = match.groups()
    micros = int((fraction or "0").ljust(6, "0")[:6])
    try:
        local = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0),
            micros, UTC,
        )  # fmt: skip
        start = min(max(local, EARLIEST), LATEST) - _offset(match[8])
    except ValueError:
        raise ValueRejected("there is no such time in the calendar.") from None
    return start, start + _unit(hour, second, fraction)


def _offset(text: str | None) -> timedelta:
    if text is None or text in "Zz":
        return timedelta()
    digits = text[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 23 or minutes > 59:
        raise ValueError(text)
    offset = timedelta(hours=hours, minutes=minutes)
    return -offset if text[0] == "-" else offset


def _unit(hour: str | None, second: str | None, fraction: str | None) -> timedelta:
    if hour is None:
        return timedelta(days=1)
    if second is None:
        return timedelta(minutes=1)
    return timedelta(microseconds=10 ** max(0, 6 - len(fraction or "")))
