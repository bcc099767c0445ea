"""Large bodies, piece by piece: unpacked on the way, never more than a piece at a time."""

import asyncio
import sys
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Protocol

from quarterdeck.api.asgi import Receive, Scope
from quarterdeck.api.context import header
from quarterdeck.api.errors import HttpError
from quarterdeck.core.errors import InvalidRequest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE = 256 * 1024
"""Bytes that one step of unpacking gives at most, whatever a bomb has in store."""

MAX_UNPACKED = 4 * 1024**3
"""Bytes of a streamed request after unpacking."""

READ_TIMEOUT_S = 60.0
"""Longest silence in the middle of a body."""


class Unpacker(Protocol):
    """Undoes one content encoding."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What `data` unpacks to, in pieces.

        Raises:
            InvalidRequest: it is not of this encoding.
        """
        ...

    def finish(self) -> None:
        """Tell that the body has ended.

        Raises:
            InvalidRequest: it ended in the middle.
        """
        ...


class Plain:
    """No encoding."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """See `Unpacker`."""
        yield data

    def finish(self) -> None:
        """See `Unpacker`."""


class Gzip:
    """gzip (RFC 1952), several members too, and zlib (RFC 1950)."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=47)
        self._is_inside = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """See `Unpacker`."""
        while data:
            self._is_inside = True
            try:
                piece = self._member.decompress(data, PIECE)
            except zlib.error:
                raise _broken("gzip") from None
            data = self._member.unconsumed_tail
            if self._member.eof:
                data = self._member.unused_data
                self._member, self._is_inside = zlib.decompressobj(wbits=47), False
            if piece:
                yield piece

    def finish(self) -> None:
        """See `Unpacker`."""
        if self._is_inside:
            raise _truncated("gzip")


class Zstd:
    """Zstandard (RFC 8878), several frames too."""

    def __init__(self) -> None:
        self._frame = zstd.ZstdDecompressor(options=_ZSTD_LIMITS)
        self._is_inside = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """See `Unpacker`."""
        while data or (self._is_inside and not self._frame.needs_input):
            self._is_inside = True
            try:
                piece = self._frame.decompress(data, PIECE)
            except zstd.ZstdError:
                raise _broken("zstd") from None
            data = b""
            if self._frame.eof:
                data = self._frame.unused_data
                self._frame = zstd.ZstdDecompressor(options=_ZSTD_LIMITS)
                self._is_inside = False
            if piece:
                yield piece

    def finish(self) -> None:
        """See `Unpacker`."""
        if self._is_inside:
            raise _truncated("zstd")


_ZSTD_LIMITS: Mapping[int, int] = {zstd.DecompressionParameter.window_log_max: 23}
"""8 MiB of window, as RFC 8878 recommends to support; a frame may ask for gigabytes."""

UNPACKERS: dict[str, type[Unpacker]] = {
    "": Plain, "identity": Plain, "gzip": Gzip, "x-gzip": Gzip, "deflate": Gzip, "zstd": Zstd,
}  # fmt: skip


async def pieces(scope: Scope, receive: Receive) -> AsyncIterator[bytes]:
    """The request's body, unpacked, as it arrives.

    Raises:
        HttpError: an encoding that we do not know, a silence, too much after unpacking.
        InvalidRequest: the body is not what its encoding says, or ends in the middle.
    """
    encoding = (header(scope, b"content-encoding") or "").strip().lower()
    if encoding not in UNPACKERS:
        known = ", ".join(name for name in UNPACKERS if name)
        raise HttpError(415, f"Content-Encoding '{encoding[:40]}' is not read here; use {known}.")
    unpacker, size = UNPACKERS[encoding](), 0
    async for data in _body(receive):
        for piece in unpacker.feed(data):
            size += len(piece)
            if size > MAX_UNPACKED:
                raise HttpError(413, "The body unpacks to more than 4 GiB; send it in parts.")
            yield piece
    unpacker.finish()


async def whole(body: AsyncIterator[bytes], limit: int) -> bytes:
    """All pieces at once.

    Raises:
        HttpError: they are more than `limit` bytes.
    """
    parts, size = [], 0
    async for piece in body:
        parts.append(piece)
        size += len(piece)
        if size > limit:
            raise HttpError(
                413, f"The body is larger than {limit // 1024**2} MiB; send it in parts."
            )
    return b"".join(parts)


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):  # wait_for makes a task for each piece
                message = await receive()
        except TimeoutError:
            raise HttpError(408, "The body did not arrive in time; send it again.") from None
        if message["type"] != "http.request":
            raise InvalidRequest("The connection was closed in the middle of the body.")
        if message["body"]:
            yield message["body"]
        if not message.get("more_body"):
            return


def _broken(encoding: str) -> InvalidRequest:
    return InvalidRequest.of(
        "body", f"it is not {encoding}, as Content-Encoding says; what came before is kept", "body"
    )


def _truncated(encoding: str) -> InvalidRequest:
    return InvalidRequest.of(
        "body",
        f"the {encoding} stream ends in the middle; its whole lines were kept. Send it again: "
        "they will be there twice, nothing will be missing",
        "body",
    )
