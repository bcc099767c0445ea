"""Middleware for WSGI applications: measures response times and sends them to Quarterdeck.

    from quarterdeck.contrib.wsgi import QuarterdeckMiddleware

    app = QuarterdeckMiddleware(app, service="API Server", url="https://ops.example", token=token)

A response is measured from the moment the application is called until the server has taken its last
byte and closes it.
"""

from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import Any

from quarterdeck.contrib.metrics import Meter

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

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

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        exchange = _Exchange(self.meter, start_response)
        try:
            body = self.app(environ, exchange.start_response)
        except BaseException:
            exchange.end(500)
            raise
        if _is_file(body, environ):
            # The server knows its own wrapper and sends the file by itself: no other may be around.
            return _watched(body, exchange)
        return _SizedBody(body, exchange) if hasattr(body, "__len__") else _Body(body, exchange)


class _Exchange:
    """One request and its response."""

    __slots__ = ("_is_over", "_meter", "_start_response", "_started", "status")

    def __init__(self, meter: Meter, start_response: StartResponse) -> None:
        self._started = perf_counter()
        self._meter = meter
        self._start_response = start_response
        self._is_over = False
        self.status = 500

    def start_response(self, status: str, headers: Any, *exc_info: Any) -> Any:
        number = status[:3]
        self.status = int(number) if number.isascii() and number.isdigit() else 500
        return self._start_response(status, headers, *exc_info)

    def end(self, status: int | None = None) -> None:
        """It is over, for the first time that this is said."""
        if not self._is_over:
            self._is_over = True
            self._meter.record(
                perf_counter() - self._started, self.status if status is None else status
            )


class _Body:
    """The response's pieces, passed on one by one."""

    __slots__ = ("_body", "_exchange", "_pieces")

    def __init__(self, body: Iterable[bytes], exchange: _Exchange) -> None:
        self._body = body
        self._exchange = exchange
        self._pieces: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            if self._pieces is None:
                self._pieces = iter(self._body)
            return next(self._pieces)
        except StopIteration:
            raise
        except BaseException:
            self._exchange.end(500)
            raise

    def close(self) -> None:
        """Called by the server at the end, however that came."""
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        except BaseException:
            self._exchange.end(500)
            raise
        self._exchange.end()

    def __del__(self) -> None:
        # Of a client that has gone, some servers (wsgiref is one) close nothing.
        self._exchange.end(CLIENT_GONE)


class _SizedBody(_Body):
    """A list or the like: of a single piece, servers tell the length in advance."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type] # chosen for having one


def _is_file(body: object, environ: Environ) -> bool:
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(body, wrapper)


def _watched(body: Any, exchange: _Exchange) -> Iterable[bytes]:
    """The server's file wrapper, whose `close` also ends the exchange."""
    close = getattr(body, "close", None)

    def close_and_end() -> None:
        try:
            if close is not None:
                close()
        finally:
            exchange.end()

    try:
        body.close = close_and_end
    except AttributeError:  # it has slots: what can be measured is when it was handed over
        exchange.end()
    return body  # type: ignore[no-any-return]
