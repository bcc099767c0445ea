"""What a log line is, and what a search asks for. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import msgspec

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

MAX_MESSAGE = 1024 * 1024
"""Bytes of one message as UTF-8; longer ones are cut and marked."""

MAX_NAME = 256
"""Characters of a service, request id, user id or tenant id; longer ones are cut and marked."""


class Level(StrEnum):
    """The four levels of the API; every dialect's own is mapped to one of them."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    DEBUG = "debug"


BY_SEVERITY = (Level.DEBUG, Level.INFO, Level.WARNING, Level.ERROR)
"""`min_level=warning` means warning and what stands behind it."""


class Mark(StrEnum):
    """What was done to a line on its way in; the line says so in `marks`."""

    TIMESTAMP_MISSING = "timestamp_missing"
    """It had none: `timestamp` is the time of arrival."""
    TIMESTAMP_UNREADABLE = "timestamp_unreadable"
    """Of no known form: `timestamp` is the time of arrival, `original` holds what was sent."""
    TIMESTAMP_OUT_OF_RANGE = "timestamp_out_of_range"
    """More than a day ahead, or before 1970: `timestamp` is the time of arrival."""
    TIMESTAMP_ASSUMED_UTC = "timestamp_assumed_utc"
    """It named no time zone."""
    LEVEL_MISSING = "level_missing"
    """It had none: `info`."""
    LEVEL_UNKNOWN = "level_unknown"
    """A name that we do not know: `info`, and `level_original` holds it."""
    CUT = "cut"
    """A message longer than 1 MiB, or a name longer than 256 characters."""
    REPAIRED = "repaired"
    """Bytes that are no UTF-8, or characters that no text may hold, were replaced."""


class Line(msgspec.Struct, frozen=True, gc=False):
    """A line as it is to be stored. Empty text: it has no such thing."""

    timestamp: str
    """`2026-11-24T10:00:00.123456Z`."""
    level: str
    service: str
    message: str
    request_id: str = ""
    user_id: str = ""
    tenant_id: str = ""
    metadata: msgspec.Raw = msgspec.Raw(b"{}")
    """A JSON object, byte for byte as it came; without entries: `{}`."""
    level_original: str = ""
    """As sent, where that is not `level`."""
    marks: str = ""
    """Members of `Mark`, separated by commas, in alphabetical order."""
    original: str = ""
    """All of what arrived, where the fields do not say it already."""


COLUMNS = {
    "timestamp": "DateTime64(6,'UTC')",
    "level": "LowCardinality(String)",
    "service": "LowCardinality(String)",
    "message": "String",
    "request_id": "String",
    "user_id": "String",
    "tenant_id": "String",
    "metadata": "String",
    "level_original": "LowCardinality(String)",
    "marks": "LowCardinality(String)",
    "original": "String",
}
"""The fields of `Line`, in order, and their types in ClickHouse."""


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a stored line is: unique, for ever the same, and the order of lines of one moment."""

    timestamp_us: int
    block: int
    offset: int


class LogEntry(msgspec.Struct, frozen=True):
    """A stored line."""

    place: Place
    timestamp: datetime
    level: Level
    service: str
    message: str
    request_id: str | None
    user_id: str | None
    tenant_id: str | None
    metadata: msgspec.Raw
    """A JSON object."""
    level_original: str | None
    marks: list[str]
    original: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a line must be like. None: does not matter. All given ones must hold."""

    query: str | None = None
    """Of the query language; see docs/query-language.md."""
    level: Level | None = None
    min_level: Level | None = None
    service: str | None = None
    start: datetime | None = None
    """At or after."""
    end: datetime | None = None
    """Before or at, as the spec's `end_time`."""
    request_id: str | None = None
    user_id: str | None = None
    tenant_id: str | None = None


@dataclass(frozen=True, slots=True)
class LogPage:
    """Lines, newest first, of `total` in all; those after `next` follow, if there are more."""

    entries: Sequence[LogEntry]
    total: int
    next: Place | None


@dataclass(frozen=True, slots=True)
class Rejection:
    """A line that was not taken. `number` counts from 1 in the request."""

    number: int
    reason: str


def moment(at_us: int) -> datetime:
    """Microseconds since 1970 as an aware time."""
    return _EPOCH + timedelta(microseconds=at_us)


class Bucket(msgspec.Struct, frozen=True):
    """Lines of one level in one step of time, which begins at `at_us` (microseconds since 1970)."""

    at_us: int
    level: Level
    lines: int


class Value(msgspec.Struct, frozen=True):
    """A value of a field, and how many lines have it."""

    value: str
    lines: int


@dataclass(frozen=True, slots=True)
class Facet:
    """The most frequent values; estimated when there were too many different ones to count."""

    values: Sequence[Value]
    is_exact: bool


class Day(msgspec.Struct, frozen=True):
    """What one day's lines take on disk."""

    partition: str
    """`2026-11-24`."""
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Context:
    """The neighbours of a line in its service, and the lines of its request; oldest first."""

    entry: LogEntry
    before: Sequence[LogEntry]
    after: Sequence[LogEntry]
    same_request: Sequence[LogEntry]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Lines by level over steps of `step_s` seconds; steps without lines lack."""

    buckets: Sequence[Bucket]
    step_s: int
    total: int


@dataclass(frozen=True, slots=True)
class Stats:
    """What is kept, and how fast it comes in."""

    rows: int
    bytes: int
    """On disk, compressed."""
    oldest: datetime | None
    newest: datetime | None
    lines_per_s: float
    """Of the last minute, on this server."""
    waiting_bytes: int
    retention_days: int
    retention_bytes: int | None
    dropped_datagrams: int
    """Syslog over UDP that came faster than it could be taken, since this server's start."""


@dataclass(frozen=True, slots=True)
class Intake:
    """What this server has taken in since its start; `waiting_bytes` is now."""

    stored: int
    failed: int
    inserts: int
    waiting_bytes: int
    dropped_datagrams: int
