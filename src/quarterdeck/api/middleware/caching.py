"""`ETag` on the routes that consoles poll (`opt={"etag": True}`): unchanged is 304, and free."""

import hashlib

from quarterdeck.api.asgi import App, Message, Receive, Scope, Send
from quarterdeck.api.context import header


class ETagLayer:
    """Hashes the answer's body; answers 304 when the caller has it already."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        handler = scope["route_handler"]
        if not handler.opt.get("etag"):
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        body = b""

        async def hold(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
            elif message["type"] == "http.response.body":
                body += message["body"]
                if not message["more_body"] and start is not None:
                    await self._finish(scope, send, start, body)

        await self._app(scope, receive, hold)

    async def _finish(self, scope: Scope, send: Send, start: Message, body: bytes) -> None:
        if start["type"] == "http.response.start" and start["status"] == 200:
            tag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
            extra = [(b"etag", tag.encode()), (b"cache-control", b"private, no-cache")]
            if _matches(header(scope, b"if-none-match"), tag):
                await send({"type": "http.response.start", "status": 304, "headers": extra})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            start["headers"] = [*start["headers"], *extra]
        await send(start)
        await send({"type": "http.response.body", "body": body, "more_body": False})


def _matches(given: str | None, tag: str) -> bool:
    """RFC 9110, 13.1.2: a list of tags, weak comparison, or `*`."""
    if given is None:
        return False
    tags = {part.strip().removeprefix("W/") for part in given.split(",")}
    return "*" in tags or tag in tags
