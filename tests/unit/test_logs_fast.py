"""The fast way in gives what the slow one gives, line for line."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.logs import fast
from quarterdeck.logs.fast import Converter
from quarterdeck.logs.model import Line
from quarterdeck.logs.prepared import Prepared
from quarterdeck.logs.rules import LineRejected, read_line

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
OLDEST = NOW - timedelta(days=90)

PLAIN = {
    "timestamp": "2026-11-24T10:00:00.123Z",
    "level": "info",
    "service": "api",
    "message": "hello",
}


def rows(prepared: Prepared) -> list[list[Any]]:
    found: list[list[Any]] = []
    for part in prepared.days.values():
        found.extend(json.loads(line) for line in part.data.splitlines())
        assert part.count == part.data.count(b"\n")
    assert len(found) == prepared.count
    return found


def as_row(line: Line) -> list[Any]:
    values = list(msgspec.structs.astuple(line))
    values[7] = json.loads(bytes(line.metadata))
    return values


def convert(*lines: bytes) -> tuple[list[list[Any]], Converter]:
    converter = Converter(NOW, OLDEST)
    return rows(converter.convert(b"\n".join(lines) + b"\n")), converter


stamps = st.sampled_from(
    [
        "2026-11-24T10:00:00Z", "2026-11-24T10:00:00.5Z", "2026-11-24T23:59:59.999999Z",
        "2026-11-24T10:00:00.123456789Z", "2026-11-24T12:00:00+02:00", "2026-11-24 10:00:00",
        "2026-11-25T11:00:00Z", "2026-11-27T11:00:00Z", "2026-02-30T10:00:00Z", "1900-01-01",
        "2300-01-01T00:00:00Z", "2026-07-01T00:00:00Z", "1764000000", 1764000000, 1764000000123,
        None, "yesterday", "",
    ]
)  # fmt: skip
levels = st.sampled_from(["info", "error", "WARN", "Warning", 30, "7", None, "loud", ""])
texts = st.text(max_size=12) | st.sampled_from(["x" * 300, "\U0001f600", "tab\tline\n", '"\\'])
values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
errors = st.fixed_dictionaries(
    {}, optional={"type": texts, "message": values, "stack_trace": texts, "code": values}
)
objects = st.dictionaries(texts, values, max_size=3)
lines = st.fixed_dictionaries(
    {},
    optional={
        "timestamp": stamps, "level": levels, "service": texts, "message": texts | values,
        "request_id": texts | st.none() | st.integers(), "user_id": texts, "tenant_id": texts,
        "metadata": objects | values, "error": errors | objects | values, "extra": values | objects,
        "msg": texts, "b.c": values, "err": objects | values, "userId": texts, "requestId": values,
    },
)  # fmt: skip


@given(st.lists(lines, min_size=1, max_size=6), st.booleans())
def test_fast_and_slow_agree(records: list[dict[str, Any]], ascii_only: bool) -> None:
    raw = [json.dumps(record, ensure_ascii=ascii_only).encode() for record in records]
    expected, refused = [], []
    for number, line in enumerate(raw, 1):
        try:
            arrival = NOW + timedelta(microseconds=number)
            expected.append(as_row(read_line(line, arrival, OLDEST)))
        except LineRejected as error:
            refused.append((number, error.reason))
    found, converter = convert(*raw)
    normal = [comparable(row) for row in expected]
    assert sorted(map(repr, map(comparable, found))) == sorted(map(repr, normal))
    assert [(each.number, each.reason) for each in converter.rejections] == refused


@pytest.mark.parametrize("name", ["message", "level", "service", "zone", "timestamp"])
def test_a_name_that_stands_twice_keeps_the_line_as_it_came(name: str) -> None:
    first = json.dumps(PLAIN | {"zone": "eu"})
    line = (first[:-1] + f', "{name}": {json.dumps((PLAIN | {"zone": "us"})[name])}}}').encode()
    (row,), _ = convert(json.dumps(PLAIN).encode(), line)[0][1:], None
    assert row[10] == line.decode()


def comparable(row: list[Any]) -> list[Any]:
    """The time as a moment; null, which the engine takes for empty, as empty text."""
    moment = datetime.fromisoformat(row[0])
    return [moment, *("" if value is None else value for value in row[1:])]


@given(st.binary(max_size=200))
def test_any_bytes_are_taken_or_rejected(junk: bytes) -> None:
    converter = Converter(NOW, OLDEST)
    prepared = converter.convert(junk)
    lines_with_text = [line for line in junk.split(b"\n") if line and not line.isspace()]
    assert prepared.count + converter.rejected == len(lines_with_text)


def test_bad_lines_are_named_by_number_across_blocks_and_good_ones_kept() -> None:
    good = json.dumps(PLAIN).encode()
    converter = Converter(NOW, OLDEST)
    first = converter.convert(good + b"\n\n{broken\n" + good + b"\n")
    second = converter.convert(b"[]\n" + good)
    assert (first.count, second.count) == (2, 1)
    assert [each.number for each in converter.rejections] == [3, 5]


def test_values_travel_as_the_bytes_that_arrived() -> None:
    line = (
        b'{"timestamp":"2026-11-24T10:00:00Z","level":"info","service":"a","message":"\\u00e9",'
        b'"n":1.0,"big":123456789012345678901234567890,"e":1e5,"metadata":{"deep": [1, 2]}}'
    )
    converter = Converter(NOW, OLDEST)
    (part,) = converter.convert(line).days.values()
    assert b'"\\u00e9"' in part.data or "é".encode() in part.data
    assert b'"n":1.0' in part.data
    assert b"123456789012345678901234567890" in part.data
    assert b"1e5" in part.data
    assert b'"deep":[1, 2]' in part.data.replace(b'"deep": [', b'"deep":[')


def test_lines_of_two_days_are_kept_apart() -> None:
    early = json.dumps(PLAIN | {"timestamp": "2026-11-23T23:59:59.999Z"}).encode()
    converter = Converter(NOW, OLDEST)
    prepared = converter.convert(early + b"\n" + json.dumps(PLAIN).encode())
    assert sorted(part.count for part in prepared.days.values()) == [1, 1]


def test_only_the_first_hundred_rejections_are_kept_but_all_counted() -> None:
    converter = Converter(NOW, OLDEST)
    converter.convert(b"x\n" * 500)
    assert (len(converter.rejections), converter.rejected) == (fast.KEPT_REJECTIONS, 500)


def test_spellings_of_levels_are_remembered_up_to_a_bound() -> None:
    converter = Converter(NOW, OLDEST)
    for number in range(fast.KEPT_SPELLINGS + 50):
        line = json.dumps(PLAIN | {"level": f"info{' ' * (number % 40)}{'!' * (number // 40)}"})
        assert converter.convert(line.encode()).count == 1
    assert len(converter._spellings) <= fast.KEPT_SPELLINGS
