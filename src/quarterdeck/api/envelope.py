"""The documented envelope: `{"success": true, "data": ...}`, and its opposite for every error."""

from typing import Any, Generic, Literal, TypeVar

import msgspec

from quarterdeck.api.asgi import Send
from quarterdeck.core.errors import Detail

T = TypeVar("T")

Headers = list[tuple[bytes, bytes]]


class Envelope(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """What every successful answer looks like."""

    success: Literal[True] = True
    data: T


class ErrorBody(msgspec.Struct, frozen=True):
    """What went wrong, in a sentence that says what to do."""

    code: str
    message: str
    details: list[Detail]
    request_id: str


class ErrorEnvelope(msgspec.Struct, frozen=True, kw_only=True):
    """What every error looks like, also for unknown routes and crashes."""

    success: Literal[False] = False
    error: ErrorBody


def ok(data: T) -> Envelope[T]:
    """The envelope around an answer."""
    return Envelope(data=data)


def encode(value: Any) -> bytes:
    """JSON, with times in ISO 8601."""
    return msgspec.json.encode(value)


async def send_json(send: Send, status: int, body: bytes, headers: Headers) -> None:
    """Send a whole JSON answer over ASGI."""
    fixed = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": [*fixed, *headers]})
    await send({"type": "http.response.body", "body": body, "more_body": False})
