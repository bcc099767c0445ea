"""Routes of log search: parse, call, return."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from litestar import Router, get
from litestar.params import Parameter
from msgspec import Raw, Struct

from quarterdeck.api.envelope import Envelope, ok
from quarterdeck.api.ingest import ingest_logs
from quarterdeck.api.log_filter import WANTED
from quarterdeck.api.queues import Limit, Offset
from quarterdeck.core.errors import InvalidRequest, NotFound
from quarterdeck.core.pagination import DEFAULT_LIMIT, MAX_LIMIT
from quarterdeck.logs.ids import decode_id, encode_id
from quarterdeck.logs.model import Filter, Histogram, Level, LogEntry, LogPage, Place, Stats, moment
from quarterdeck.logs.service import LogService


class LogItem(Struct, frozen=True):
    """A log line. `marks` says what was done to it on its way in."""

    id: str
    timestamp: datetime
    level: Level
    service: str
    message: str
    request_id: str | None
    user_id: str | None
    metadata: Raw
    tenant_id: str | None
    level_original: str | None
    marks: list[str]
    original: str | None


class LogPagination(Struct, frozen=True):
    """Which slice this is. `cursor` leads to the next one, however deep; null: there is none."""

    total: int
    limit: int
    offset: int
    cursor: str | None


class LogList(Struct, frozen=True):
    """One page of log lines, newest first."""

    logs: list[LogItem]
    pagination: LogPagination


class LogContext(Struct, frozen=True):
    """A line with its neighbours of the same service and its request's lines, oldest first."""

    log: LogItem
    before: list[LogItem]
    after: list[LogItem]
    same_request: list[LogItem]


class HistogramStep(Struct, frozen=True):
    """One step of time; `counts` by level, and their sum."""

    start: datetime
    counts: dict[Level, int]
    total: int


class LogHistogram(Struct, frozen=True):
    """Lines by level over time. Steps without lines are left out."""

    steps: list[HistogramStep]
    step_s: int
    total: int


class FacetValue(Struct, frozen=True):
    """A value and the number of lines that have it."""

    value: str
    count: int


class LogFacet(Struct, frozen=True):
    """The most frequent values of a field. `exact` is false when there were too many to count."""

    field: str
    values: list[FacetValue]
    exact: bool


class LogStats(Struct, frozen=True):
    """What is kept and how fast it comes in. Rates are this server's, over the last minute."""

    rows: int
    bytes: int
    oldest: datetime | None
    newest: datetime | None
    ingest_lines_per_s: float
    waiting_bytes: int
    retention_days: int
    retention_bytes: int | None
    dropped_datagrams: int


Cursor = Annotated[
    str | None,
    Parameter(description="`pagination.cursor` of the page before; instead of `offset`."),
]
LogId = Annotated[str, Parameter(description="The line's `id`.")]
Around = Annotated[int, Parameter(ge=0, le=MAX_LIMIT, description="How many lines at most.")]
Steps = Annotated[int, Parameter(ge=1, le=1000, description="At most so many steps of time.")]
Field = Annotated[
    str,
    Parameter(
        min_length=1, max_length=256,
        description="level, service, request_id, user_id, tenant_id, or a key of the metadata.",
    ),
]  # fmt: skip
Top = Annotated[int, Parameter(ge=1, le=MAX_LIMIT, description="So many values at most.")]


@get("/logs", operation_id="SearchLogs", summary="Search logs")
async def search_logs(
    logs: LogService,
    wanted: Filter,
    limit: Limit = DEFAULT_LIMIT,
    offset: Offset = 0,
    cursor: Cursor = None,
) -> Envelope[LogList]:
    """Search and filter log lines, newest first; the total is exact."""
    if cursor and offset:
        raise InvalidRequest.of("cursor", "give either a cursor or an offset, not both.")
    page = await logs.search(wanted, limit, offset, _place(cursor))
    return ok(log_list(page, limit, offset))


@get("/logs/histogram", operation_id="GetLogHistogram", summary="Lines over time")
async def get_histogram(
    logs: LogService, wanted: Filter, buckets: Steps = 60
) -> Envelope[LogHistogram]:
    """Counts by level over time, of any search."""
    return ok(log_histogram(await logs.histogram(wanted, buckets)))


@get("/logs/facets", operation_id="GetLogFacet", summary="Most frequent values")
async def get_facet(
    logs: LogService, wanted: Filter, field: Field, limit: Top = 10
) -> Envelope[LogFacet]:
    """The most frequent values of a field with their counts, of any search."""
    facet = await logs.facet(wanted, field, limit)
    values = [FacetValue(value.value, value.lines) for value in facet.values]
    return ok(LogFacet(field, values, facet.is_exact))


@get("/logs/stats", operation_id="GetLogStats", summary="What is kept")
async def get_stats(logs: LogService) -> Envelope[LogStats]:
    """Rows, bytes on disk, oldest line, rate of ingest, retention."""
    return ok(log_stats(await logs.stats()))


@get("/logs/{log_id:str}", operation_id="GetLog", summary="Get one line")
async def get_log(logs: LogService, log_id: LogId) -> Envelope[LogItem]:
    """One line, with all of what arrived in `original` where the fields do not say it."""
    return ok(log_item(await logs.get(decode_id(log_id))))


@get("/logs/{log_id:str}/context", operation_id="GetLogContext", summary="Lines around one")
async def get_context(
    logs: LogService, log_id: LogId, before: Around = 10, after: Around = 10
) -> Envelope[LogContext]:
    """What the same service said before and after a line, and the lines of the same request."""
    found = await logs.context(decode_id(log_id), before, after)
    return ok(
        LogContext(
            log_item(found.entry), _items(found.before), _items(found.after),
            _items(found.same_request),
        )
    )  # fmt: skip


def router() -> Router:
    """All routes of log search, and the one that shares its path."""
    return Router(
        path="/",
        tags=["Logs"],
        dependencies=WANTED,
        route_handlers=[
            search_logs, ingest_logs, get_histogram, get_facet, get_stats, get_log, get_context,
        ],
    )  # fmt: skip


def log_list(page: LogPage, limit: int, offset: int) -> LogList:
    """One page as the API shows it."""
    cursor = encode_id(page.next) if page.next else None
    return LogList(_items(page.entries), LogPagination(page.total, limit, offset, cursor))


def log_item(entry: LogEntry) -> LogItem:
    """One line as the API shows it."""
    return LogItem(
        id=encode_id(entry.place),
        timestamp=entry.timestamp,
        level=entry.level,
        service=entry.service,
        message=entry.message,
        request_id=entry.request_id,
        user_id=entry.user_id,
        metadata=entry.metadata,
        tenant_id=entry.tenant_id,
        level_original=entry.level_original,
        marks=entry.marks,
        original=entry.original,
    )


def _items(entries: Sequence[LogEntry]) -> list[LogItem]:
    return [log_item(entry) for entry in entries]


def _place(cursor: str | None) -> Place | None:
    if not cursor:
        return None
    try:
        return decode_id(cursor)
    except NotFound:
        raise InvalidRequest.of(
            "cursor", "give the cursor of a page as it is; this is none"
        ) from None


def log_histogram(histogram: Histogram) -> LogHistogram:
    """A histogram as the API shows it: one step, all its levels."""
    steps: dict[int, dict[Level, int]] = {}
    for bucket in histogram.buckets:
        steps.setdefault(bucket.at_us, {})[bucket.level] = bucket.lines
    shown = [
        HistogramStep(moment(at), counts, sum(counts.values())) for at, counts in steps.items()
    ]
    return LogHistogram(shown, histogram.step_s, histogram.total)


def log_stats(stats: Stats) -> LogStats:
    """What is kept, as the API shows it."""
    return LogStats(
        rows=stats.rows,
        bytes=stats.bytes,
        oldest=stats.oldest,
        newest=stats.newest,
        ingest_lines_per_s=stats.lines_per_s,
        waiting_bytes=stats.waiting_bytes,
        retention_days=stats.retention_days,
        retention_bytes=stats.retention_bytes,
        dropped_datagrams=stats.dropped_datagrams,
    )
