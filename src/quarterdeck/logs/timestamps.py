"""Every common form of a point in time. Pure."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

AHEAD = timedelta(days=1)
"""How far a sender's clock may be ahead of ours."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

LONGEST = 100
"""Characters; a longer text is no timestamp."""

_LATEST = datetime.max.replace(tzinfo=UTC)
_EARLIEST = datetime.min.replace(tzinfo=UTC)

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

ZONES = {
    "utc": 0, "gmt": 0, "ut": 0, "z": 0, "wet": 0, "west": 1, "cet": 1, "cest": 2, "mez": 1,
    "mesz": 2, "eet": 2, "eest": 3, "msk": 3, "jst": 9, "kst": 9, "aest": 10, "aedt": 11,
    "est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6, "pst": -8, "pdt": -7,
}  # fmt: skip
"""Hours. The American ones as RFC 2822 has them; abbreviations with two meanings are left out."""

_SECONDS = r"(?P<S>\d\d)(?:[.,](?P<f>\d+))?"
_CLOCK = rf"(?P<H>\d\d?):(?P<M>\d\d)(?::{_SECONDS})?(?:\s?(?P<half>[AaPp])\.?[Mm]\.?)?"
_ZONE = r"(?:\s?(?P<z>(?:GMT|UTC)?[+-]\d\d(?::?\d\d(?::?\d\d)?)?(?=\s|\[|$)|[A-Za-z]{1,4}\b))?"
# Go prints `+0000 UTC m=+0.01`, Java `+01:00[Europe/Paris]`; the last bracket is gone by then.
_TAIL = r"(?:\s[A-Za-z+\-\d]{2,5})?(?:\sm=\S+)?(?:\[[\w/+-]+)?"
_FLAGS = re.ASCII

_ISO = re.compile(
    r"(?P<y>\d{4})(?:([-/.]?)(?P<m>\d\d)\2(?P<d>\d\d)|-?(?P<doy>\d{3})|-?[Ww](?P<w>\d\d)-?(?P<wd>\d))"
    rf"(?:[Tt_ :]\s?(?P<H>\d\d)(?::?(?P<M>\d\d)(?::?{_SECONDS})?)?{_ZONE}{_TAIL})?",
    _FLAGS,
)
_COMPACT = re.compile(
    r"(?P<y>(?:19|20)\d\d)(?P<m>\d\d)(?P<d>\d\d)(?P<H>\d\d)(?P<M>\d\d)(?P<S>\d\d)(?P<f>\d{3})?",
    _FLAGS,
)
_WEEKDAY = r"(?:[A-Za-z]{3,9},?\s+)?"
_COMMENT = r"(?:\s\([^()]*)?"
_DAY_FIRST = re.compile(
    rf"{_WEEKDAY}(?P<d>\d\d?)[\s/-](?P<mon>[A-Za-z]{{3,9}})\.?,?[\s/-](?P<y>\d{{4}}|\d\d)"
    rf"(?:[\s:T]+{_CLOCK}{_ZONE}{_COMMENT})?",
    _FLAGS,
)
_MONTH_FIRST = re.compile(
    rf"{_WEEKDAY}(?P<mon>[A-Za-z]{{3,9}})\.?\s+(?P<d>\d\d?)(?:,?\s+(?P<y>\d{{4}}),?)?"
    rf"\s+{_CLOCK}{_ZONE}(?:\s(?P<y2>\d{{4}}))?{_COMMENT}",
    _FLAGS,
)
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d{1,3})?", _FLAGS)
_AROUND = " \t\r\n\"'[]()<>"

_EXACT_TEXT = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:[.,]\d{1,6}0*)?(?:[Zz]|\+00:?00)?", _FLAGS
)


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time that was read from text."""

    at: datetime
    """In UTC. What no datetime can hold is at the nearest end of what it can."""
    assumed_utc: bool = False
    """The text named no time zone."""
    exact: bool = False
    """`at` and `assumed_utc` say all that the text said: it was date and time in UTC, or without a
    zone, in ISO 8601's usual form and no finer than microseconds."""


def stamp(at: datetime) -> str:
    """As a `Line` holds it: `2026-11-24T10:00:00.123456Z`."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def find_moment(text: str, arrival: datetime) -> Moment | None:
    """Read a timestamp; None: it is of no form that we know.

    A year that is not named is the latest one in which the moment is not ahead of `arrival`.
    """
    if len(text) > LONGEST:
        return None
    bare = text.strip(_AROUND)
    try:
        return _read(bare, text, arrival)
    except ValueError:
        return None
    except OverflowError:
        return Moment(_LATEST if bare.startswith("9") else _EARLIEST)


def _read(bare: str, text: str, arrival: datetime) -> Moment | None:
    if _NUMBER.fullmatch(bare):
        return _of_digits(bare)
    if len(bare) >= 19 and bare[4] == "-" and (moment := _of_usual_form(bare, text)):
        return moment
    for pattern in (_ISO, _DAY_FIRST, _MONTH_FIRST):
        if match := pattern.fullmatch(bare):
            return _of_parts(match.groupdict(), arrival)
    return None


def moment_of_ns(nanoseconds: int) -> Moment:
    """Nanoseconds since 1970, as OpenTelemetry and Loki count."""
    microseconds, rest = divmod(nanoseconds, 1000)
    try:
        return Moment(EPOCH + timedelta(microseconds=microseconds), exact=not rest)
    except OverflowError:
        return Moment(_LATEST if nanoseconds > 0 else _EARLIEST)


def _of_usual_form(bare: str, text: str) -> Moment | None:
    try:
        at = datetime.fromisoformat(bare)
    except ValueError:
        return None
    exact = _EXACT_TEXT.fullmatch(text) is not None
    if at.tzinfo is None:
        return Moment(at.replace(tzinfo=UTC), assumed_utc=True, exact=exact)
    return Moment(at.astimezone(UTC), exact=exact)


def _of_digits(text: str) -> Moment | None:
    """Seconds, milliseconds, microseconds or nanoseconds since 1970 by their size, or a date that
    is written without separators: no time of an epoch between 1973 and 2286 looks like one."""
    if match := _COMPACT.fullmatch(text) or (len(text) == 8 and _ISO.fullmatch(text)):
        try:
            return _of_parts(match.groupdict(), EPOCH)
        except ValueError:
            pass
    number = Decimal(text)
    size = abs(number)
    for below, in_ns in ((1e11, 10**9), (1e14, 10**6), (1e17, 10**3), (1e20, 1)):
        if size < below:
            return Moment(moment_of_ns(int(number * in_ns)).at)
    return Moment(_LATEST if number > 0 else _EARLIEST)


def _of_parts(parts: dict[str, str | None], arrival: datetime) -> Moment | None:
    offset = _offset(parts.get("z"))
    if offset is None:
        return None
    fraction = parts.get("f") or ""
    length = timedelta(
        hours=_hour(parts),
        minutes=int(parts.get("M") or 0),
        # A leap second is the second after it.
        seconds=int(parts.get("S") or 0),
        microseconds=int(fraction[:6].ljust(6, "0")),
    )
    if int(parts.get("M") or 0) > 59 or int(parts.get("S") or 0) > 60:
        return None
    year = parts.get("y") or parts.get("y2")
    if year is None:
        at = _nearest(parts, length - offset, arrival)
    else:
        at = _date(parts, _full_year(int(year), len(year))) + length - offset
    return Moment(at, assumed_utc=not parts.get("z"))


def _nearest(parts: dict[str, str | None], rest: timedelta, arrival: datetime) -> datetime:
    for year in range(arrival.year + 1, arrival.year - 9, -1):
        try:
            at = _date(parts, year) + rest
        except ValueError:  # 29 February
            continue
        if at <= arrival + AHEAD:
            return at
    raise ValueError("no such day")


def _date(parts: dict[str, str | None], year: int) -> datetime:
    if ordinal := parts.get("doy"):
        if not 1 <= int(ordinal) <= 366:
            raise ValueError("no such day")
        at = datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=int(ordinal) - 1)
        if at.year != year:
            raise ValueError("no such day")
        return at
    if week := parts.get("w"):
        day = datetime.fromisocalendar(year, int(week), int(parts.get("wd") or 1))
        return day.replace(tzinfo=UTC)
    name = parts.get("mon")
    month = MONTHS.index(name[:3].lower()) + 1 if name else int(parts.get("m") or 0)
    return datetime(year, month, int(parts.get("d") or 0), tzinfo=UTC)


def _full_year(year: int, digits: int) -> int:
    return year if digits == 4 else year + (1900 if year >= 70 else 2000)


def _hour(parts: dict[str, str | None]) -> int:
    hour = int(parts.get("H") or 0)
    if half := parts.get("half"):
        if not 1 <= hour <= 12:
            raise ValueError("no such hour")
        return hour % 12 + (12 if half in "Pp" else 0)
    midnight = hour == 24 and not int(parts.get("M") or 0) and not int(parts.get("S") or 0)
    if hour > 23 and not midnight:
        raise ValueError("no such hour")
    return hour


def _offset(zone: str | None) -> timedelta | None:
    """From UTC; None: we do not know that zone."""
    if not zone:
        return timedelta(0)
    if len(zone) > 3 and zone[3] in "+-":
        zone = zone[3:]
    if zone[0] not in "+-":
        hours = ZONES.get(zone.lower())
        return None if hours is None else timedelta(hours=hours)
    digits = zone[1:].replace(":", "").ljust(6, "0")
    length = timedelta(hours=int(digits[:2]), minutes=int(digits[2:4]), seconds=int(digits[4:6]))
    return -length if zone[0] == "-" else length
