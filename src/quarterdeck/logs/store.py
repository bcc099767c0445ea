"""The room's SQL over the facts: pages, counts, neighbours, what is new.

Every search is one condition (`conditions.where`). A page with its total takes two statements: the
first counts the matching lines of every hour, which gives the exact total and tells between which
hours the page lies; the second reads only these. So a page deep down costs what the first one does.
"""

from dataclasses import replace
from datetime import date
from typing import TypeVar

from msgspec import Raw, Struct

from quarterdeck.facts import Facts, Limits, Param, QueryLimit
from quarterdeck.logs.conditions import Condition
from quarterdeck.logs.model import Bucket, Day, Facet, Level, LogEntry, Place, Value, moment

T = TypeVar("T")

SELECTED = (
    "toUnixTimestamp64Micro(timestamp) AS at_us, level, service, message, request_id, user_id, "
    "tenant_id, metadata, level_original, marks, original, "
    "_block_number AS block, _block_offset AS block_offset"
)
NEWEST_FIRST = "timestamp DESC, _block_number DESC, _block_offset DESC"
OLDEST_FIRST = "timestamp, _block_number, _block_offset"

PAGING = {
    # Above their defaults (1,000 and 10) these keep the page's columns unread until the page is
    # known: an offset of 5,000 took 194 ms without, 51 ms with them.
    "query_plan_max_limit_for_top_k_optimization": 100_000,
    "query_plan_max_limit_for_lazy_materialization": 100_000,
}
SHORTEST_US = 60_000_000
GENEROUS = 4
WIDER = 16
"""A page is first looked for in as short a time as is likely to hold four times of it."""

REACHES_US = (3_600_000_000, 86_400_000_000, 4_000_000_000_000_000)
"""Neighbours are looked for within an hour, then a day, then anywhere."""

SKETCH = 8192
"""Counters of an estimated facet."""

OUR_PARTS = "database = currentDatabase() AND table = 'logs' AND active"

PART_ENDS_AT = "toUInt64OrDefault(splitByChar('_', _part)[3], toUInt64(18446744073709551615))"
"""The last insert in a part, from its name. `system.parts` says it too, but later than the query
has chosen its parts: what was merged in between would be in none."""

EVERYTHING = Condition("1", {})


class StoredLine(Struct, frozen=True):
    """A row as the engine gives it."""

    at_us: int
    level: Level
    service: str
    message: str
    request_id: str
    user_id: str
    tenant_id: str
    metadata: str
    level_original: str
    marks: str
    original: str
    block: int
    block_offset: int


def entry_of(row: StoredLine) -> LogEntry:
    """The line as the room knows it. Empty text in the table: it had no such thing."""
    return LogEntry(
        place=Place(row.at_us, row.block, row.block_offset),
        timestamp=moment(row.at_us),
        level=row.level,
        service=row.service,
        message=row.message,
        request_id=row.request_id or None,
        user_id=row.user_id or None,
        tenant_id=row.tenant_id or None,
        metadata=Raw(row.metadata.encode() or b"{}"),
        level_original=row.level_original or None,
        marks=row.marks.split(",") if row.marks else [],
        original=row.original or None,
    )


class Counted(Struct, frozen=True):
    """One number."""

    lines: int


class Span(Struct, frozen=True):
    """From the oldest to the newest line, in microseconds since 1970."""

    oldest_us: int
    newest_us: int


class LogStore:
    """Reads the table of lines."""

    def __init__(self, facts: Facts, limits: Limits) -> None:
        self._facts = facts
        self._limits = replace(limits, settings={**PAGING, **limits.settings})

    async def count(self, condition: Condition) -> int:
        """How many lines there are, exactly."""
        sql = f"SELECT count() AS lines FROM logs WHERE {condition.sql}"
        rows = await self._fetch(sql, Counted, condition)
        return rows[0].lines

    async def page(
        self, condition: Condition, total: int, limit: int, offset: int, before: Place | None
    ) -> list[LogEntry]:
        """Lines, newest first. `total` (of `count`) tells how far back they are likely to reach."""
        if total <= offset:
            return []
        if before is not None:
            condition = _older(condition, before)
        if total <= offset + limit:
            return await self._page(condition, limit, offset)
        span = await self._span()
        newest_us = min(span.newest_us, before.timestamp_us) if before else span.newest_us
        width_us = likely_width_us(span, total, offset + limit)
        while newest_us - width_us > span.oldest_us:
            found = await self._page(_since(condition, newest_us - width_us), limit, offset)
            if len(found) == limit:
                return found
            width_us *= WIDER
        return await self._page(condition, limit, offset)

    async def find(self, place: Place) -> LogEntry | None:
        """The line of this place."""
        found = await self._select(_at(place), NEWEST_FIRST, 1, 0)
        return found[0] if found else None

    async def neighbours(
        self, condition: Condition, place: Place, before: int, after: int
    ) -> tuple[list[LogEntry], list[LogEntry]]:
        """The nearest lines older and newer than a place, each in the order of time."""
        older: list[LogEntry] = []
        newer: list[LogEntry] = []
        for reach_us in REACHES_US:
            if len(older) < before:
                near = _since(_older(condition, place), place.timestamp_us - reach_us)
                older = await self._select(near, NEWEST_FIRST, before, 0)
            if len(newer) < after:
                near = _until(_newer(condition, place), place.timestamp_us + reach_us)
                newer = await self._select(near, OLDEST_FIRST, after, 0)
        return older[::-1], newer

    async def histogram(self, condition: Condition, step_us: int) -> list[Bucket]:
        """Lines by level in steps of time that begin at multiples of `step_us`; empty ones lack."""
        sql = (
            "SELECT intDiv(toUnixTimestamp64Micro(timestamp), {step_us:Int64}) * {step_us:Int64} "
            f"AS at_us, level, count() AS lines FROM logs WHERE {condition.sql} "
            "GROUP BY at_us, level ORDER BY at_us, level"
        )
        return await self._fetch(sql, Bucket, _with(condition, step_us=step_us))

    async def span(self, condition: Condition) -> Span | None:
        """The oldest and newest of these lines; None: there are none."""
        sql = (
            "SELECT toUnixTimestamp64Micro(min(timestamp)) AS oldest_us, "
            "toUnixTimestamp64Micro(max(timestamp)) AS newest_us "
            f"FROM logs WHERE {condition.sql} HAVING count() > 0"
        )
        rows = await self._fetch(sql, Span, condition)
        return rows[0] if rows else None

    async def facet(self, condition: Condition, value: Condition, top: int) -> Facet:
        """The most frequent values of an expression among these lines, exactly if that can be had.

        Too many different values to be counted in the memory of one query are estimated.
        """
        params = {**condition.params, **value.params, "top": top}
        exact = (
            f"SELECT {value.sql} AS value, count() AS lines FROM logs WHERE {condition.sql} "
            "AND value != '' GROUP BY value ORDER BY lines DESC, value LIMIT {top:UInt32}"
        )
        try:
            return Facet(await self._facts.fetch(exact, Value, params, self._limits), True)
        except QueryLimit:
            sketch = (
                "SELECT tupleElement(item, 1) AS value, tupleElement(item, 2) AS lines FROM "
                f"(SELECT arrayJoin(approx_top_k({int(top)}, {SKETCH})({value.sql})) AS item "
                f"FROM logs WHERE {condition.sql} AND {value.sql} != '')"
            )
            return Facet(await self._facts.fetch(sketch, Value, params, self._limits), False)

    async def newest_block(self) -> int:
        """The number of the last insert; what comes later has a higher one."""
        sql = f"SELECT max(max_block_number) AS lines FROM system.parts WHERE {OUR_PARTS}"
        rows = await self._facts.fetch(sql, Counted)
        return rows[0].lines

    async def since(
        self, condition: Condition, block: int, offset: int, limit: int
    ) -> list[LogEntry]:
        """Lines stored after a line, in the order of storing."""
        newer = _and(
            condition,
            f"{PART_ENDS_AT} >= {{block:UInt64}} "
            "AND (_block_number, _block_offset) > ({block:UInt64}, {block_offset:UInt64})",
            block=block,
            block_offset=offset,
        )
        return await self._select(newer, "_block_number, _block_offset", limit, 0)

    async def days(self) -> list[Day]:
        """Rows and bytes on disk, and the days that they are of."""
        sql = (
            "SELECT partition, sum(rows) AS rows, sum(bytes_on_disk) AS bytes "
            f"FROM system.parts WHERE {OUR_PARTS} GROUP BY partition ORDER BY partition"
        )
        return await self._facts.fetch(sql, Day)

    async def drop_day(self, partition: str) -> None:
        """Remove all lines of one day (`2026-11-24`), at once and for good."""
        day = date.fromisoformat(partition).isoformat()
        await self._facts.execute(f"ALTER TABLE logs DROP PARTITION '{day}'")

    async def _span(self) -> Span:
        return await self.span(EVERYTHING) or Span(0, 0)

    async def _page(self, condition: Condition, limit: int, offset: int) -> list[LogEntry]:
        return await self._select(condition, NEWEST_FIRST, limit, offset)

    async def _select(
        self, condition: Condition, order: str, limit: int, offset: int
    ) -> list[LogEntry]:
        sql = (
            f"SELECT {SELECTED} FROM logs WHERE {condition.sql} ORDER BY {order} "
            "LIMIT {row_limit:UInt64} OFFSET {row_offset:UInt64}"
        )
        paged = _with(condition, row_limit=limit, row_offset=offset)
        return [entry_of(row) for row in await self._fetch(sql, StoredLine, paged)]

    async def _fetch(self, sql: str, row: type[T], condition: Condition) -> list[T]:
        return await self._facts.fetch(sql, row, condition.params, self._limits)


def likely_width_us(span: Span, total: int, wanted: int) -> int:
    """How far back from the newest line `wanted` of `total` lines reach, generously guessed."""
    whole = span.newest_us - span.oldest_us + 1
    return max(SHORTEST_US, whole * wanted * GENEROUS // total)


def _with(condition: Condition, **params: Param) -> Condition:
    return Condition(condition.sql, {**condition.params, **params})


def _and(condition: Condition, sql: str, **params: Param) -> Condition:
    return Condition(f"({condition.sql}) AND {sql}", {**condition.params, **params})


def _since(condition: Condition, at_us: int) -> Condition:
    return _and(
        condition, "timestamp >= fromUnixTimestamp64Micro({since_us:Int64})", since_us=at_us
    )


def _until(condition: Condition, at_us: int) -> Condition:
    return _and(
        condition, "timestamp <= fromUnixTimestamp64Micro({until_us:Int64})", until_us=at_us
    )


_PLACE = "(timestamp, _block_number, _block_offset)"
_GIVEN = "(fromUnixTimestamp64Micro({at_us:Int64}), {at_block:UInt64}, {at_offset:UInt64})"


def _at(place: Place) -> Condition:
    moment = "timestamp = fromUnixTimestamp64Micro({at_us:Int64})"
    return _placed(EVERYTHING, f"{moment} AND {_PLACE} = {_GIVEN}", place)


def _older(condition: Condition, place: Place) -> Condition:
    bound = _until(condition, place.timestamp_us)
    return _placed(bound, f"{_PLACE} < {_GIVEN}", place)


def _newer(condition: Condition, place: Place) -> Condition:
    bound = _since(condition, place.timestamp_us)
    return _placed(bound, f"{_PLACE} > {_GIVEN}", place)


def _placed(condition: Condition, sql: str, place: Place) -> Condition:
    return _and(
        condition, sql, at_us=place.timestamp_us, at_block=place.block, at_offset=place.offset
    )
