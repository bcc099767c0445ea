"""Sending a file, or the part of it that was asked for (RFC 9110, 14)."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from litestar.response import Stream

from quarterdeck.api.asgi import Scope
from quarterdeck.api.context import context_of, header
from quarterdeck.api.errors import HttpError
from quarterdeck.logs.exports import ExportFile

PIECE = 256 * 1024

_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.IGNORECASE | re.ASCII)


class Unsatisfiable(Exception):
    """The range lies behind the end of the file."""


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes from `first` up to, not including, `end`."""

    first: int
    end: int


def asked_part(given: str | None, size: int) -> Part | None:
    """The part that a Range header asks for; None: the whole file.

    Several ranges, other units and what cannot be read are answered with the whole file, as the
    RFC allows.

    Raises:
        Unsatisfiable: there are no such bytes.
    """
    match = _RANGE.fullmatch(given) if given else None
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        first, end = max(0, size - int(match[2])), size
    else:
        first, end = int(match[1]), int(match[2]) + 1 if match[2] else size
        if match[2] and int(match[2]) < first:
            return None
    if first >= size:
        raise Unsatisfiable
    return Part(first, min(end, size))


def send_file(file: ExportFile, scope: Scope) -> Stream:
    """The answer to a request for the file."""
    tag = f'"{file.path.name}-{file.size}"'
    headers = {
        "accept-ranges": "bytes",
        "etag": tag,
        "cache-control": "private, no-store",
        "content-disposition": f'attachment; filename="{file.name}"',
    }
    # Another tag: the client has a part of another file, and needs the whole of this one.
    unchanged = header(scope, b"if-range") in {None, tag}
    try:
        part = asked_part(header(scope, b"range"), file.size) if unchanged else None
    except Unsatisfiable:
        context_of(scope).headers.append((b"content-range", f"bytes */{file.size}".encode()))
        raise HttpError(416, f"The file has {file.size} bytes; ask for a part of them.") from None
    sent = part or Part(0, file.size)
    headers["content-length"] = str(sent.end - sent.first)
    if part:
        headers["content-range"] = f"bytes {part.first}-{part.end - 1}/{file.size}"
    return Stream(
        _pieces(file, sent),
        media_type=file.media_type,
        headers=headers,
        status_code=206 if part else 200,
    )


async def _pieces(file: ExportFile, part: Part) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(file.path.open, "rb") as opened:
        opened.seek(part.first)
        left = part.end - part.first
        while left and (piece := await asyncio.to_thread(opened.read, min(PIECE, left))):
            left -= len(piece)
            yield piece
