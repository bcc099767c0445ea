"""How the lines of an export look. The engine writes the text; Python only copies it. Pure.

What the columns hold comes from anybody. So a CSV cell must not be a formula, a text entry must be
one line that a terminal can show, and a JSON object must stay one line.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from quarterdeck.logs.ids import ID_SQL

FIELDS = (
    "id", "timestamp", "level", "service", "message", "request_id", "user_id", "metadata",
    "tenant_id", "level_original", "marks", "original",
)  # fmt: skip
"""The names of the API, in its order."""

FORMULA = "=+-@\t\r\n＝＋－＠"  # noqa: RUF001 - full-width forms are formulas, too
"""What a cell that a spreadsheet might run begins with."""


class ExportFormat(StrEnum):
    """What kind of file."""

    CSV = "csv"
    JSON = "json"
    TXT = "txt"


class JsonShape(StrEnum):
    """How the objects of a JSON file stand together."""

    NDJSON = "ndjson"
    """One a line: readable piece by piece, also when the file is cut short."""
    ARRAY = "array"


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is put together from what the engine streams."""

    select: str
    """The query up to its FROM."""
    form: str
    """The engine's name of the format."""
    suffix: str
    media_type: str
    """Without a charset: text is UTF-8 for whoever serves it."""
    settings: Mapping[str, str | int] = field(default_factory=dict)
    head: bytes = b""
    """Before all rows."""
    opening: bytes = b""
    """Replaces the first byte of the first row."""
    tail: bytes = b""
    """After all rows."""
    empty: bytes = b""
    """The whole file when there is no row."""
    between: bytes = b"\n"
    """Stands once in each row, or (`counts_gaps`) once between two rows, and nowhere else."""
    counts_gaps: bool = False


class RowCounter:
    """Counts the rows of one query's output as it passes."""

    def __init__(self, layout: Layout) -> None:
        self._mark = layout.between
        self._first = layout.counts_gaps
        self._end = b""

    def count(self, piece: bytes) -> int:
        """How many rows more are known to be there."""
        found = 1 if self._first and piece else 0
        self._first = self._first and not piece
        overlap = len(self._mark) - 1
        if overlap:
            found += (self._end + piece[:overlap]).count(self._mark)
            self._end = (self._end + piece[-overlap:])[-overlap:]
        return found + piece.count(self._mark)


TIMESTAMP_SQL = "formatDateTime(timestamp, '%Y-%m-%dT%H:%i:%S.%fZ')"

METADATA_SQL = (
    # A line break or tab as such can only stand between the tokens of JSON; there a space is as
    # good.
    "multiIf(metadata = '', '{}', match(metadata, '[\\n\\r\\t]'), "
    "translate(metadata, '\\n\\r\\t', '   '), metadata)"
)


def _literal(text: str) -> str:
    """A text of our own as SQL."""
    return "'" + "".join(map(_spelt_in_sql, text)) + "'"


def _spelt_in_sql(character: str) -> str:
    if character < " ":
        return f"\\x{ord(character):02x}"
    return f"\\{character}" if character in "\\'" else character


def _csv_columns() -> str:
    # The first byte rules nearly every cell out, at a tenth of the price of the expression.
    first_bytes = ", ".join(map(str, sorted({character.encode()[0] for character in FORMULA})))
    formula = _literal(f"^[{re.escape(FORMULA)}]")

    def cell(column: str) -> str:
        risky = f"ascii({column}) IN ({first_bytes}) AND match({column}, {formula})"
        return f"if({risky}, concat('\\'', {column}), {column})"

    ours = {
        "id": ID_SQL,
        "timestamp": TIMESTAMP_SQL,
        "level": "level",
        "metadata": METADATA_SQL,
        "marks": "marks",
    }
    return "SELECT " + ", ".join(ours.get(name) or cell(name) for name in FIELDS)


def _json_object(before: str = "") -> str:
    """One object on one line, with `before` in front of it."""

    def or_null(column: str) -> str:
        return f"if({column} = '', 'null', toJSONString({column}))"

    values = {
        "id": f"concat('\"', {ID_SQL}, '\"')",
        "timestamp": f"concat('\"', {TIMESTAMP_SQL}, '\"')",
        "level": "concat('\"', level, '\"')",
        "service": "toJSONString(service)",
        "message": "toJSONString(message)",
        "metadata": METADATA_SQL,
        "marks": "if(marks = '', '[]', concat('[\"', replaceAll(marks, ',', '\",\"'), '\"]'))",
    }
    members = [f"'\"{name}\":', {values.get(name) or or_null(name)}" for name in FIELDS]
    object_sql = ", ',', ".join(members)
    return f"SELECT concat('{before}{{', {object_sql}, '}}')"


_BACKSLASH = "\\"
"""Spelt out where it stands for itself; in JSON it is spelt already."""


def _text_entry() -> str:
    plain = _literal(r"^[!#-<>-\[\]-~]+$")

    def pair(column: str, value: str) -> str:
        return f"if({column} = '', '', concat(' {column}=', {value}))"

    def named(column: str) -> str:
        return pair(column, f"if(match({column}, {plain}), {column}, toJSONString({column}))")

    pairs = [
        *map(named, ("request_id", "user_id", "tenant_id")),
        f"if(metadata IN ('', '{{}}'), '', concat(' metadata=', {METADATA_SQL}))",
        named("level_original"),
        named("marks"),
        pair("original", "toJSONString(original)"),
    ]
    return (
        f"WITH concat(service, ' ', message) AS said, concat(' ', {', '.join(pairs)}) AS known "
        f"SELECT concat(substring({TIMESTAMP_SQL}, 1, 23), 'Z ', upper(level), ' ', "
        f"{_escaped('said', also=_BACKSLASH)}, {_escaped('known')})"
    )


_RANGES = ((0x00, 0x1F), (0x7F, 0x9F), (0x2028, 0x202E), (0x2066, 0x2069))
"""Control characters, line breaks, and what turns the direction of text."""
_UNSAFE = [chr(code) for first, last in _RANGES for code in range(first, last + 1)]
_KIND = "".join(f"\\x{{{first:x}}}-\\x{{{last:x}}}" for first, last in _RANGES)
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}


def _escaped(sql: str, also: str = "") -> str:
    """A text with each unsafe character, and each of `also`, spelt out as in a JSON string."""
    characters = [*_UNSAFE, *also]
    kind = _KIND + re.escape(also)
    given = ", ".join(map(_literal, characters))
    spelt = ", ".join(_literal(_SHORT.get(c, f"\\u{ord(c):04x}")) for c in characters)
    pieces = f"extractAll({sql}, {_literal(f'[^{kind}]+|[{kind}]')})"
    spell = f"arrayMap(piece -> transform(piece, [{given}], [{spelt}], piece), {pieces})"
    return f"if(match({sql}, {_literal(f'[{kind}]')}), arrayStringConcat({spell}), {sql})"


_JSON_SETTINGS = {"output_format_json_escape_forward_slashes": 0}

_CSV = Layout(
    select=_csv_columns(),
    form="CSV",
    suffix="csv",
    media_type="text/csv; header=present",
    settings={"output_format_csv_crlf_end_of_line": 1},
    head=",".join(FIELDS).encode() + b"\r\n",
    between=b'\r\n"log_',
    counts_gaps=True,
)
_NDJSON = Layout(
    select=_json_object(),
    form="TSVRaw",
    suffix="ndjson",
    media_type="application/x-ndjson",
    settings=_JSON_SETTINGS,
)
_ARRAY = Layout(
    select=_json_object(before=","),
    form="TSVRaw",
    suffix="json",
    media_type="application/json",
    settings=_JSON_SETTINGS,
    opening=b"[",
    tail=b"]\n",
    empty=b"[]\n",
)
_TEXT = Layout(
    select=_text_entry(),
    form="TSVRaw",
    suffix="txt",
    media_type="text/plain",
    settings=_JSON_SETTINGS,
)


def layout_of(kind: ExportFormat, shape: JsonShape) -> Layout:
    """The layout of a format; `shape` matters for JSON only."""
    if kind is ExportFormat.JSON:
        return _ARRAY if shape is JsonShape.ARRAY else _NDJSON
    return _CSV if kind is ExportFormat.CSV else _TEXT
