"""The middlewares inside real servers: uvicorn, and wsgiref with threads."""

import http.client
import io
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import litestar
import pytest
import uvicorn
from litestar.middleware import DefineMiddleware

from quarterdeck.contrib.asgi import QuarterdeckMiddleware as AsgiMiddleware
from quarterdeck.contrib.wsgi import Environ, StartResponse
from quarterdeck.contrib.wsgi import QuarterdeckMiddleware as WsgiMiddleware
from unit.telemetry.metrics_server import MetricsServer, metrics_server


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    with metrics_server() as server:
        yield server


@contextmanager
def serving_asgi(app: Any) -> Iterator[int]:
    """The port of uvicorn with this application."""
    ready = threading.Event()

    class Announced(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready.set()

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="critical", ws="none")
        serving = Announced(config)
        thread = threading.Thread(target=serving.run, args=([listener],))
        thread.start()
        try:
            assert ready.wait(30)
            yield listener.getsockname()[1]
        finally:
            serving.should_exit = True
            thread.join()


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def get_stderr(self) -> Any:
        return io.StringIO()


class _Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = False
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        pass


@contextmanager
def serving_wsgi(app: Any) -> Iterator[int]:
    """The port of wsgiref with this application, a thread for each connection."""
    serving = _Threaded(("127.0.0.1", 0), _Quiet)
    serving.set_app(app)
    thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield serving.server_port
    finally:
        serving.shutdown()
        thread.join()
        serving.server_close()


def get(port: int, path: str) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(), {k.lower(): v for k, v in response.getheaders()}
    finally:
        connection.close()


Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


async def asgi_app(scope: Any, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        for what in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{what}"
            await send({"type": f"lifespan.{what}.complete"})
        return
    if scope["path"] == "/broken":
        raise LookupError("broken")
    status = 404 if scope["path"] == "/missing" else 200
    await send({"type": "http.response.start", "status": status, "headers": []})
    for _ in range(3):
        await send({"type": "http.response.body", "body": b"piece", "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def wsgi_app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/broken":
        raise LookupError("broken")
    status = "404 Not Found" if path == "/missing" else "200 OK"
    start_response(status, [("Content-Type", "text/plain")])
    return [b"piece" * 3] if path == "/one" else iter([b"piece"] * 3)


def visit(port: int) -> None:
    assert get(port, "/")[:2] == (200, b"piece" * 3)
    assert get(port, "/missing")[0] == 404
    assert get(port, "/broken")[0] == 500
    assert get(port, "/one")[:2] == (200, b"piece" * 3)


def check(server: MetricsServer) -> None:
    summary = server.wait_for_count("Shop", 4)
    assert summary.count == 4
    assert summary.error_rate_percent == 25.0
    assert 0 < summary.avg_ms < 30_000


def test_application_in_uvicorn_is_measured(server: MetricsServer) -> None:
    app = AsgiMiddleware(asgi_app, "Shop", server.url, token="t")
    with serving_asgi(app) as port:
        visit(port)
    app.meter.close()
    check(server)


def test_application_in_wsgiref_is_measured(server: MetricsServer) -> None:
    app = WsgiMiddleware(wsgi_app, "Shop", server.url, token="t")
    with serving_wsgi(app) as port:
        visit(port)
        assert get(port, "/one")[2]["content-length"] == "15"
        assert "content-length" not in get(port, "/")[2]
    app.meter.close()
    assert server.wait_for_count("Shop", 6).count == 6


def test_threads_of_a_wsgi_server_lose_nothing(server: MetricsServer) -> None:
    app = WsgiMiddleware(wsgi_app, "Shop", server.url, token="t", interval_s=0.02)

    def work() -> None:
        for _ in range(25):
            assert get(port, "/")[0] == 200

    with serving_wsgi(app) as port:
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    app.meter.close()
    assert server.wait_for_count("Shop", 200).count == 200


def test_middleware_of_litestar_is_measured(server: MetricsServer) -> None:
    made: list[AsgiMiddleware] = []

    class Kept(AsgiMiddleware):
        def __init__(self, app: Any, **options: Any) -> None:
            super().__init__(app, **options)
            made.append(self)

    @litestar.get("/")
    async def hello() -> str:
        return "hello"

    kept: Any = Kept  # Litestar types scopes and messages more narrowly than ASGI does
    middleware = DefineMiddleware(kept, service="Shop", url=server.url, token="t")
    app = litestar.Litestar([hello], middleware=[middleware], openapi_config=None)
    with serving_asgi(app) as port:
        assert get(port, "/")[1] == b"hello"
    for each in made:
        each.meter.close()
    assert server.wait_for_count("Shop", 1).count == 1


def test_client_that_hangs_up_is_no_failure(server: MetricsServer) -> None:
    is_in, is_over = threading.Event(), threading.Event()

    async def waiting(scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await asgi_app(scope, receive, send)
            return
        is_in.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        is_over.set()

    app = AsgiMiddleware(waiting, "Shop", server.url, token="t")
    with serving_asgi(app) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/")
        assert is_in.wait(30)
        connection.close()
        assert is_over.wait(30)
    app.meter.close()
    assert server.wait_for_count("Shop", 1).error_rate_percent == 0.0


def test_application_answers_while_quarterdeck_hangs(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with socket.socket() as silent:  # accepts connections, never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        app = AsgiMiddleware(
            asgi_app, "Shop", url, token="t", interval_s=0.01, close_timeout_s=0.01
        )
        with serving_asgi(app) as port:
            for _ in range(20):
                assert get(port, "/")[0] == 200
        app.meter.close()
    assert app.meter._thread is not None
    app.meter._thread.join(30)  # its connection was reset with the socket
    assert "not delivered: 20." in capfd.readouterr().err
