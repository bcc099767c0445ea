"""Which lines an export holds, and in which bites it is read.

A sort of all lines takes 1.6 GB for five million, so an export goes back in time by bites, newest
first: some hours of a quiet day, half of a busy one. The plan is made once and kept: it freezes the
set, and an interrupted export goes on from the last bite that was finished.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import reduce
from itertools import groupby

import msgspec

from quarterdeck.facts import Facts, Limits, Param
from quarterdeck.logs.conditions import Condition
from quarterdeck.logs.export_formats import Layout

SLOT_US = 900_000_000
"""A quarter of an hour: the least that is counted."""
HOUR_SLOTS = 4
DAY_SLOTS = 24 * HOUR_SLOTS
LIGHT_ROWS = 110_000
"""Up to so many, there is memory for the next bite beside this one."""
CUT_ROWS = HOUR_SLOTS * LIGHT_ROWS
"""An hour of more is not cut: each part of it would read all that the others read."""

BLOCK_ROWS = 8192
PARTS = 16
"""Of a bite that was too large: with lines of a megabyte a few hundred can be."""
FEW_ROWS = 16
"""Handled at a time in such parts; each expression copies what it handles."""

LONGEST_S = 3600
MEMORY = 256_000_000
COUNTING = Limits(seconds=LONGEST_S)

# Measured, five million lines: 140 MB hour by hour with one thread, 1.6 GB in one sort. (Sorting
# only the keys and reading the rest by them, as ClickHouse does for small LIMITs, saves a tenth of
# the work and takes 80 MB more.)
SORTING: Mapping[str, str | int] = {
    "max_threads": 1,
    # An hour of millions of lines is sorted on disk: 200 MB for five million in one hour. Only
    # without the ratio does the engine keep to the bytes.
    "max_bytes_before_external_sort": 80_000_000,
    "max_bytes_ratio_before_external_sort": 0,
    "prefer_external_sort_block_bytes": 1_000_000,
    "temporary_files_buffer_size": 131_072,
}


class Bite(msgspec.Struct, frozen=True, array_like=True):
    """A span of time of one day. What was stored after block `last_block` does not belong to it."""

    start_us: int
    end_us: int
    """Not included."""
    last_block: int
    rows: int
    block_rows: int = BLOCK_ROWS
    """How many rows the engine handles at a time."""

    @property
    def is_light(self) -> bool:
        """Whether another one can be had beside it."""
        return self.rows <= LIGHT_ROWS and self.block_rows == BLOCK_ROWS


class Slot(msgspec.Struct, frozen=True):
    """The lines of a quarter of an hour, counted from 1970."""

    slot: int
    last_block: int
    rows: int

    @property
    def bite(self) -> Bite:
        """The lines as a bite of their own."""
        return Bite(self.slot * SLOT_US, (self.slot + 1) * SLOT_US, self.last_block, self.rows)


_BY_SLOT = (
    f"intDiv(toUnixTimestamp64Micro(timestamp), {SLOT_US}) AS slot, "
    "max(_block_number) AS last_block, count() AS rows"
)


class _Block(msgspec.Struct, frozen=True):
    newest: int


async def newest_block(facts: Facts) -> int:
    """The number of the newest insert, hence a bound between what is there and what will come."""
    sql = (
        "SELECT max(max_block_number) AS newest FROM system.parts "
        "WHERE database = currentDatabase() AND table = 'logs' AND active"
    )
    return (await facts.fetch(sql, _Block))[0].newest


async def plan(facts: Facts, condition: Condition, newest: int) -> list[Bite]:
    """The bites of an export of all matching lines up to the block `newest`, newest first.

    Each day has a bound of its own: replicated tables number the blocks of each day for itself.
    """
    sql = (
        f"SELECT {_BY_SLOT} FROM logs WHERE ({condition.sql}) "  # noqa: S608 - its values are bound
        "AND _block_number <= {export_block:UInt64} GROUP BY slot ORDER BY slot DESC"
    )
    params = {**condition.params, "export_block": newest}
    return joined(await facts.fetch(sql, Slot, params, COUNTING))


def joined(slots: Sequence[Slot]) -> list[Bite]:
    """All slots, newest first, as few bites of one day each.

    Lines of an hour are not stored in order of time: two bites of it both read all of it. So an
    hour is cut only if it is too large to be light, and not if it is too large to be cut.
    """
    bites: list[Bite] = []
    for _, of_hour in groupby(slots, lambda slot: slot.slot // HOUR_SLOTS):
        parts = [slot.bite for slot in of_hour]
        whole = reduce(_both, parts)
        bites += _neighbours(parts) if LIGHT_ROWS < whole.rows <= CUT_ROWS else [whole]
    return _neighbours(bites)


def _neighbours(bites: Sequence[Bite]) -> list[Bite]:
    """Those next to each other as one, while it is light."""
    found: list[Bite] = []
    for bite in bites:
        if found and _day(found[-1]) == _day(bite) and found[-1].rows + bite.rows <= LIGHT_ROWS:
            found[-1] = _both(found[-1], bite)
        else:
            found.append(bite)
    return found


def _both(newer: Bite, older: Bite) -> Bite:
    last_block = max(newer.last_block, older.last_block)
    return Bite(older.start_us, newer.end_us, last_block, newer.rows + older.rows)


def _day(bite: Bite) -> int:
    return bite.start_us // SLOT_US // DAY_SLOTS


def smaller(bite: Bite) -> list[Bite]:
    """The bite as several that take less memory, newest first; empty: it is one moment."""
    step_us = (bite.end_us - bite.start_us) // PARTS
    if step_us == 0:
        return []
    starts = [bite.start_us + step_us * number for number in range(PARTS)]
    ends = [*starts[1:], bite.end_us]
    rows = bite.rows // PARTS
    parts = [
        Bite(start, end, bite.last_block, rows, FEW_ROWS)
        for start, end in zip(starts, ends, strict=True)
    ]
    oldest = Bite(starts[0], ends[0], bite.last_block, bite.rows - rows * (PARTS - 1), FEW_ROWS)
    return [*reversed(parts[1:]), oldest]


def read_bite(
    facts: Facts, layout: Layout, condition: Condition, bite: Bite
) -> AsyncGenerator[bytes]:
    """The rows of one bite in the layout's format, newest first, piece by piece."""
    sql = (
        f"{layout.select} FROM logs WHERE ({condition.sql}) "
        "AND timestamp >= fromUnixTimestamp64Micro({export_start:Int64}) "
        "AND timestamp < fromUnixTimestamp64Micro({export_end:Int64}) "
        "AND _block_number <= {export_block:UInt64} "
        "ORDER BY timestamp DESC, _block_number DESC, _block_offset DESC"
    )
    params: dict[str, Param] = {
        **condition.params,
        "export_start": bite.start_us,
        "export_end": bite.end_us,
        "export_block": bite.last_block,
    }
    settings = {**SORTING, **layout.settings, "max_block_size": bite.block_rows}
    return facts.stream(sql, layout.form, params, Limits(LONGEST_S, MEMORY, settings))
