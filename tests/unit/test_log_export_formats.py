"""Layouts of exports, the count of rows that pass, and the plan. What the engine makes of a layout
is tested in integration/test_log_export_contents.py."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as some

from quarterdeck.logs.export_formats import (
    FIELDS,
    ExportFormat,
    JsonShape,
    Layout,
    RowCounter,
    layout_of,
)
from quarterdeck.logs.export_plan import (
    DAY_SLOTS,
    LIGHT_ROWS,
    PARTS,
    SLOT_US,
    Bite,
    Slot,
    joined,
    smaller,
)

CSV = layout_of(ExportFormat.CSV, JsonShape.NDJSON)
NDJSON = layout_of(ExportFormat.JSON, JsonShape.NDJSON)


def counted(layout: Layout, content: bytes, cuts: list[int]) -> int:
    """The rows of content that comes in pieces."""
    counter, found, last = RowCounter(layout), 0, 0
    for cut in [*sorted(cuts), len(content)]:
        found += counter.count(content[last:cut])
        last = cut
    return found


CELLS = some.lists(
    some.lists(some.text(alphabet='ab"\r\n,log_', max_size=8), min_size=1, max_size=3), max_size=6
)


@given(CELLS, some.data())
def test_rows_of_csv_are_counted_whatever_their_cells_hold(
    rows: list[list[str]], data: some.DataObject
) -> None:
    content = "".join(
        ",".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in ["log_x", *row]) + "\r\n"
        for row in rows
    ).encode()
    cuts = data.draw(some.lists(some.integers(0, len(content)), max_size=12))
    assert counted(CSV, content, cuts) == len(rows)


@given(some.lists(some.binary(max_size=5)), some.data())
def test_rows_that_are_lines_are_counted(rows: list[bytes], data: some.DataObject) -> None:
    lines = [row.replace(b"\n", b" ") + b"\n" for row in rows]
    content = b"".join(lines)
    cuts = data.draw(some.lists(some.integers(0, len(content)), max_size=12))
    assert counted(NDJSON, content, cuts) == len(rows)


def test_shape_matters_for_json_only() -> None:
    for kind in (ExportFormat.CSV, ExportFormat.TXT):
        assert layout_of(kind, JsonShape.ARRAY) == layout_of(kind, JsonShape.NDJSON)
    array = layout_of(ExportFormat.JSON, JsonShape.ARRAY)
    assert (array.suffix, array.media_type) == ("json", "application/json")
    assert (NDJSON.suffix, NDJSON.media_type) == ("ndjson", "application/x-ndjson")


def test_header_of_csv_names_the_fields_of_the_api() -> None:
    assert CSV.head == ",".join(FIELDS).encode() + b"\r\n"


def slots(rows_of: dict[int, int], block: int = 1) -> list[Slot]:
    """Quarters of hours with so many rows each, newest first."""
    return [Slot(slot, block, rows_of[slot]) for slot in sorted(rows_of, reverse=True)]


def test_small_hours_of_a_day_are_read_together() -> None:
    day = 100 * DAY_SLOTS
    found = joined([Slot(day + 96, 7, 1), Slot(day + 92, 3, 10), Slot(day + 35, 9, 10)])
    assert found == [
        Bite((day + 96) * SLOT_US, (day + 97) * SLOT_US, 7, 1),
        Bite((day + 35) * SLOT_US, (day + 93) * SLOT_US, 9, 20),
    ]


def test_busy_hours_are_cut_and_the_busiest_are_not() -> None:
    even = dict.fromkeys(range(4), LIGHT_ROWS // 2)
    assert [bite.rows for bite in joined(slots(even))] == [LIGHT_ROWS, LIGHT_ROWS]
    assert all(bite.is_light for bite in joined(slots(even)))
    too_many = even | {3: 3 * LIGHT_ROWS}
    assert [bite.rows for bite in joined(slots(too_many))] == [sum(too_many.values())]
    assert joined([]) == []


def test_an_hour_that_is_light_is_not_cut_to_fill_another_bite() -> None:
    rows = LIGHT_ROWS // 6
    assert [bite.rows for bite in joined(slots(dict.fromkeys(range(8), rows)))] == [4 * rows] * 2


@given(some.lists(some.tuples(some.integers(-400, 40_000), some.integers(1, LIGHT_ROWS))))
def test_bites_cover_every_slot_once_newest_first(given_slots: list[tuple[int, int]]) -> None:
    rows_of = dict(given_slots)
    bites = joined(slots(rows_of))
    assert sum(bite.rows for bite in bites) == sum(rows_of.values())
    for newer, older in pairwise(bites):
        assert older.end_us <= newer.start_us
    for number in rows_of:
        start = number * SLOT_US
        assert sum(b.start_us <= start and start + SLOT_US <= b.end_us for b in bites) == 1
    for bite in bites:
        day_us = DAY_SLOTS * SLOT_US
        assert bite.start_us // day_us == (bite.end_us - 1) // day_us


@given(some.integers(0, 10**16), some.integers(1, 4 * SLOT_US), some.integers(0, 10**7))
def test_smaller_bites_cover_the_same_time(start: int, span: int, rows: int) -> None:
    parts = smaller(Bite(start, start + span, 5, rows))
    if span < PARTS:
        assert parts == []
        return
    assert [part.end_us for part in parts[1:]] == [part.start_us for part in parts[:-1]]
    assert (parts[0].end_us, parts[-1].start_us) == (start + span, start)
    assert sum(part.rows for part in parts) == rows
    assert {part.last_block for part in parts} == {5}
