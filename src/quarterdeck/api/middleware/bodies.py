"""Request bodies: bounded, read once, refused where none is expected."""

import asyncio

from quarterdeck.api.asgi import App, Message, Receive, Scope, Send
from quarterdeck.api.context import header
from quarterdeck.api.errors import HttpError, decoded
from quarterdeck.core.errors import InvalidRequest

MAX_BODY = 64 * 1024
READ_TIMEOUT_S = 15.0

KEY = "quarterdeck.body"


class BodyLayer:
    """Reads the body before anything happens. `opt={"body": True}` marks routes that want one;
    `opt={"stream": True}` those that read bodies of any length themselves, piece by piece.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["route_handler"].opt.get("stream"):
            await self._app(scope, receive, send)
            return
        body = await _read(scope, receive)
        if not scope["route_handler"].opt.get("body"):
            _require_none(body)
        scope[KEY] = body
        sent = False

        async def replay() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replay, send)


async def _read(scope: Scope, receive: Receive) -> bytes:
    encoding = header(scope, b"content-encoding")
    if encoding and encoding.lower() != "identity":
        # Never unpacked, so that no small body can become a large one.
        raise HttpError(415, f"Send the body as it is: '{encoding[:40]}' is not read here.")
    length = header(scope, b"content-length")
    if length and length.isdigit() and int(length) > MAX_BODY:
        raise _too_large()
    parts, size = [], 0
    while True:
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                message = await receive()
        except TimeoutError:
            raise HttpError(408, "The body did not arrive in time; send it again.") from None
        if message["type"] != "http.request":
            return b""
        parts.append(message["body"])
        size += len(message["body"])
        if size > MAX_BODY:
            raise _too_large()
        if not message.get("more_body"):
            return b"".join(parts)


def _require_none(body: bytes) -> None:
    """An empty JSON object is what many clients send for "nothing"; anything else is a mistake."""
    if body.strip() and decoded(body, "The body") not in ({}, None):
        raise InvalidRequest.of("body", "this route takes no body; leave it out", "body")


def _too_large() -> HttpError:
    return HttpError(413, f"The body is larger than {MAX_BODY // 1024} KiB; send less.")
