"""What stands in the files of exports: parsed back, it is what was stored, whatever that was."""

import csv
import gzip
import io
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from export_world import ME, World, create_table, line, running, store
from quarterdeck.logs.export_formats import FIELDS, FORMULA, ExportFormat, JsonShape
from quarterdeck.logs.ids import encode_id
from quarterdeck.logs.model import Filter, Place

pytest_plugins = ("export_fixtures",)

HOSTILE = (
    "=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1",
    "\uff1d1+1", "\uff0b1", "\uff0d1",
    "\uff20SUM(A1)", "'=1", " =1", 'a "quoted", cell', '"', '""', "'",
    "a\nb\r\nc\rd", "tab\tinside",
    "nul \x00 inside", "\x00", "\x1b[2J\x07\x7f", "\x85\x9b1m", "line\u2028sep\u2029end",
    "rtl \u202egnp.exe\u202c \u2066x\u2069", "👩\u200d💻 ünï キュー", "back\\slash \\n \\u0041 \\",
    "a  request_id=forged", "</script>", "\ufeff=1", "\ufffd", "x" * 100_000,
    ",", ";", "\\N", "NULL",
)  # fmt: skip

METADATA = (
    '{"a":1,"b":[1.0,1e2,null,true,{"c":"d"}],"big":123456789012345678901234567890}',
    '{\n\t"pretty" : "yes",\r\n  "text": "line\\nbreak \\u0000 \\"q\\" /"\n}',
    '{"dup":1,"dup":2,"":"","=key":"=1","\u202e":"\u202e\x7f\u2028"}',
    '{"nested":' + "[" * 200 + "]" * 200 + "}",
)

TEXTUAL = ("service", "message", "request_id", "user_id", "tenant_id", "level_original", "original")


@pytest.fixture
async def stored(sqlite_world: World) -> AsyncIterator[list[dict[str, str]]]:
    """Hostile lines, one in each textual column, newest first; their worker runs."""
    await create_table(sqlite_world.facts)
    lines = [
        line(timestamp=f"2026-11-24T10:00:{number // 10:02}.{number % 10}00001Z", **{column: text})
        for number, (column, text) in enumerate((c, t) for c in TEXTUAL for t in HOSTILE)
    ]
    lines += [
        line(timestamp=f"2026-11-23T23:59:59.{n:06}Z", metadata=m) for n, m in enumerate(METADATA)
    ]
    lines += [
        line(timestamp="2026-11-22T00:00:00.000000Z", level="warning", marks="cut,repaired"),
        line(timestamp="2026-11-22T00:00:00.000001Z", level="error", metadata=""),
    ]
    await store(sqlite_world.facts, lines)
    async with running(sqlite_world):
        yield sorted(lines, key=lambda each: each["timestamp"], reverse=True)


async def export(world: World, kind: ExportFormat, shape: JsonShape, packed: bool) -> bytes:
    started = await world.exports[0].start(Filter(), kind, shape, packed, ME)
    content = await world.content(started.id)
    done = await world.exports[0].get(started.id, ME)
    assert done.rows == done.total == 7 * len(HOSTILE) + len(METADATA) + 2
    return gzip.decompress(content) if packed else content


@pytest.mark.parametrize("packed", [False, True])
async def test_csv_read_back_is_what_was_stored(
    sqlite_world: World, stored: list[dict[str, str]], packed: bool
) -> None:
    content = (await export(sqlite_world, ExportFormat.CSV, JsonShape.NDJSON, packed)).decode()
    header, *rows = csv.reader(io.StringIO(content, newline=""), strict=True)
    assert tuple(header) == FIELDS
    assert len(rows) == len(stored)
    for cells, expected in zip(rows, stored, strict=True):
        row = dict(zip(FIELDS, cells, strict=True))
        assert not [cell for cell in cells if cell and cell[0] in FORMULA]
        for column in TEXTUAL:
            text = expected[column]
            assert row[column] == (f"'{text}" if text[:1] and text[0] in FORMULA else text)
        assert row["level"] == expected["level"]
        assert json.loads(row["metadata"]) == json.loads(expected["metadata"] or "{}")
        assert row["marks"] == expected["marks"]


@pytest.mark.parametrize("shape", list(JsonShape))
async def test_json_read_back_is_what_was_stored(
    sqlite_world: World, stored: list[dict[str, str]], shape: JsonShape
) -> None:
    content = await export(sqlite_world, ExportFormat.JSON, shape, False)
    if shape is JsonShape.ARRAY:
        objects = json.loads(content)
    else:
        *lines, end = content.split(b"\n")
        assert end == b""
        objects = [json.loads(each) for each in lines]
    assert len(objects) == len(stored)
    for found, expected in zip(objects, stored, strict=True):
        assert tuple(found) == FIELDS
        assert_same(found, expected)
    assert len({found["id"] for found in objects}) == len(objects)


def assert_same(found: dict[str, Any], expected: dict[str, str]) -> None:
    assert found["timestamp"] == expected["timestamp"]
    assert found["service"] == expected["service"]
    assert found["message"] == expected["message"]
    for column in ("request_id", "user_id", "tenant_id", "level_original", "original"):
        assert found[column] == (expected[column] or None)
    assert found["marks"] == (expected["marks"].split(",") if expected["marks"] else [])
    assert found["metadata"] == json.loads(expected["metadata"] or "{}")


async def test_metadata_keeps_its_bytes_but_for_line_breaks(
    sqlite_world: World, stored: list[dict[str, str]]
) -> None:
    content = (await export(sqlite_world, ExportFormat.JSON, JsonShape.NDJSON, False)).decode()
    assert METADATA[0] in content
    assert METADATA[1].translate(str.maketrans("\n\r\t", "   ")) in content


async def test_text_has_one_line_for_each_entry_and_nothing_unsafe(
    sqlite_world: World, stored: list[dict[str, str]]
) -> None:
    content = (await export(sqlite_world, ExportFormat.TXT, JsonShape.NDJSON, False)).decode()
    *entries, end = content.split("\n")
    assert end == ""
    assert len(entries) == len(stored)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", content)
    for entry, expected in zip(entries, stored, strict=True):
        stamp, level, rest = entry.split(" ", 2)
        assert stamp == expected["timestamp"][:23] + "Z"
        assert level == expected["level"].upper()
        said = f"{expected['service']} {expected['message']}"
        assert rest.startswith(escaped(said) + " "), (rest, said)
        for column in ("request_id", "user_id", "tenant_id", "level_original", "original"):
            if expected[column]:
                pair = rest[len(escaped(said)) + 1 :]
                name, _, value = pair.strip(" ").partition("=")
                assert name == column
                assert expected[column] in {value, unquoted(value)}


def escaped(text: str) -> str:
    """As the text format spells unsafe characters out."""
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}
    return re.sub(
        r"[\\\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]",
        lambda match: short.get(match[0], f"\\u{ord(match[0]):04x}"),
        text,
    )


def unquoted(value: str) -> str:
    return str(json.loads(value)) if value.startswith('"') else value


async def test_ids_are_those_of_the_api(sqlite_world: World, stored: list[dict[str, str]]) -> None:
    rows = await sqlite_world.facts.fetch(
        "SELECT toUnixTimestamp64Micro(timestamp) AS a, _block_number AS b, _block_offset AS c "
        "FROM logs ORDER BY timestamp DESC, b DESC, c DESC",
        dict[str, int],
    )
    content = await export(sqlite_world, ExportFormat.JSON, JsonShape.NDJSON, False)
    found = [json.loads(each)["id"] for each in content.splitlines()]
    assert found == [encode_id(Place(row["a"], row["b"], row["c"])) for row in rows]


@pytest.mark.parametrize("packed", [False, True])
async def test_export_of_nothing_is_a_valid_file(
    sqlite_world: World, stored: list[dict[str, str]], packed: bool
) -> None:
    expected = {
        (ExportFormat.CSV, JsonShape.NDJSON): ",".join(FIELDS).encode() + b"\r\n",
        (ExportFormat.JSON, JsonShape.NDJSON): b"",
        (ExportFormat.JSON, JsonShape.ARRAY): b"[]\n",
        (ExportFormat.TXT, JsonShape.NDJSON): b"",
    }
    nothing = Filter(service="nobody")
    for (kind, shape), whole in expected.items():
        started = await sqlite_world.exports[0].start(nothing, kind, shape, packed, ME)
        content = await sqlite_world.content(started.id)
        assert content != b"" or not packed
        assert (gzip.decompress(content) if packed else content) == whole
