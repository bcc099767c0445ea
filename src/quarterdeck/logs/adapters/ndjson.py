"""The platform's log format: one JSON object a line, or a JSON array of them.

The HTTP door reads such bodies piece by piece through `logs.fast`; this is the same for a body
that is there as a whole, and the way of arrays.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import ClassVar

import msgspec
from msgspec import Raw

from quarterdeck.logs.model import Line, Rejection
from quarterdeck.logs.ports import Answer, Reading
from quarterdeck.logs.rules import LineRejected, read_line

WHITE = b" \t\r\n"
BOM = b"\xef\xbb\xbf"

SHOWN = 100
"""Rejections that an answer names; all are counted."""

_elements = msgspec.json.Decoder(list[Raw])
_encode = msgspec.json.Encoder().encode

# All of JSON that matters for where an element ends: strings, brackets, commas.
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},"]', re.DOTALL)


class NdjsonDialect:
    """NDJSON, or one JSON array."""

    paths: ClassVar[Sequence[str]] = ()
    """Its door is a route of the API."""
    media_types: ClassVar[Sequence[str]] = ()

    def read(self, body: bytes, content_type: str, arrival: datetime, oldest: datetime) -> Reading:
        """Lines are numbered as they stand in the body, blank ones too; elements of an array from
        the first one on."""
        del content_type
        start = body.removeprefix(BOM).lstrip(WHITE)
        pieces = elements(start) if start[:1] == b"[" else body.split(b"\n")
        lines: list[Line] = []
        rejections: list[Rejection] = []
        for number, piece in enumerate(pieces, 1):
            if not piece.strip(WHITE):
                continue
            try:
                # Lines that name no time keep their order.
                lines.append(read_line(piece, arrival + timedelta(microseconds=number), oldest))
            except LineRejected as rejected:
                rejections.append(Rejection(number, rejected.reason))
        return Reading(lines, rejections, len(lines) + len(rejections))

    def answer(self, reading: Reading, content_type: str, took_ms: int) -> Answer:
        """Our own envelope."""
        del content_type, took_ms
        data = {
            "accepted": len(reading.lines),
            "rejected": len(reading.rejections),
            "errors": [{"line": r.number, "reason": r.reason} for r in reading.rejections[:SHOWN]],
        }
        body = {"success": True, "data": data}
        return Answer(200, "application/json", _encode(body))


def elements(array: bytes) -> Iterator[bytes]:
    """The JSON texts of an array's elements.

    One that is no JSON, or is nested too deeply, does not hide the others: it is given as it is.
    So is what stands after the end.
    """
    try:
        whole = _elements.decode(array)
    except (msgspec.MsgspecError, RecursionError):
        yield from _split(array)
        return
    for element in whole:
        yield bytes(element)


def _split(array: bytes) -> Iterator[bytes]:
    depth = 0
    begin = array.index(b"[") + 1
    for match in _TOKEN.finditer(array):
        token = match[0]
        if token == b'"':  # a string without an end: nothing behind it can be told apart
            break
        if depth == 1 and token in (b",", b"]"):
            yield array[begin : match.start()]
            begin = match.end()
        depth += (token in (b"[", b"{")) - (token in (b"]", b"}"))
        if depth <= 0:
            break
    if array[begin:].strip(WHITE):
        yield array[begin:]
