"""Middleware for ASGI applications: measures response times and sends them to Quarterdeck.

    from quarterdeck.contrib.asgi import QuarterdeckMiddleware

    app = QuarterdeckMiddleware(app, service="API Server", url="https://ops.example", token=token)

A response is measured from the moment the application is called to the end of its last byte's
being handed to the server. Web sockets and the lifespan pass through untouched.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any

from quarterdeck.contrib.metrics import Meter

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

CLIENT_GONE = 499
"""The client went before its answer was complete: nobody's failure. The number is nginx's."""


class QuarterdeckMiddleware:
    """Wraps an application. `service` is the name of the service, as in Quarterdeck's settings;
    `token` one of the role `ingest`; `options` are those of `Meter`.
    """

    def __init__(
        self,
        app: Application,
        service: str = "API Server",
        url: str = "http://127.0.0.1:8080",
        *,
        token: str,
        **options: float,
    ) -> None:
        self.app = app
        self.meter = Meter(service, url, token, **options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(self.meter, receive, send)
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except Exception:
            exchange.end(CLIENT_GONE if exchange.is_gone else 500)
            raise
        except BaseException:  # asyncio's and trio's ways to say that it was cancelled
            exchange.end(CLIENT_GONE)
            raise
        if not exchange.is_over:  # the server answers for an application that did not
            exchange.end(CLIENT_GONE if exchange.is_gone else 500)


class _Exchange:
    """One request and its response."""

    __slots__ = ("_meter", "_receive", "_send", "_started", "has_trailers", "is_gone", "is_over",
                 "status")  # fmt: skip

    def __init__(self, meter: Meter, receive: Receive, send: Send) -> None:
        self._started = perf_counter()
        self._meter = meter
        self._receive = receive
        self._send = send
        self.status = 500
        self.has_trailers = self.is_gone = self.is_over = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.is_gone = True
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self.status = message["status"]
            self.has_trailers = message.get("trailers", False)
        try:
            await self._send(message)
        except OSError:  # what servers raise when there is nobody to send to
            self.is_gone = True
            raise
        if self._is_last(kind, message):
            self.end(self.status)

    def end(self, status: int) -> None:
        """It is over, for the first time that this is said."""
        if not self.is_over:
            self.is_over = True
            self._meter.record(perf_counter() - self._started, status)

    def _is_last(self, kind: str, message: Message) -> bool:
        if kind == "http.response.body":
            return not self.has_trailers and not message.get("more_body", False)
        if kind == "http.response.trailers":
            return not message.get("more_trailers", False)
        return kind == "http.response.pathsend" and not self.has_trailers
