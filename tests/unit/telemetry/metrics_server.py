"""A small HTTP server whose `POST /v1/metrics` is the real intake, with failures on demand."""

import gzip
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from quarterdeck.core.clock import utc_now
from quarterdeck.core.errors import InvalidRequest
from quarterdeck.health.otlp_metrics import MetricsAnswer, MetricsIntake
from quarterdeck.health.windows import TelemetrySummary, Windows


@dataclass
class MetricsServer:
    """The state that tests look at."""

    url: str = ""
    windows: Windows = field(default_factory=lambda: Windows(utc_now))
    answers: list[MetricsAnswer] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    failures: deque[int] = field(default_factory=deque)
    """Statuses that the next requests are answered with, instead of being counted."""
    changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self.intake = MetricsIntake(self.windows, utc_now)

    def summary(self, *names: str) -> TelemetrySummary | None:
        with self.changed:
            return self.windows.summary(names, utc_now())

    def wait_for_count(self, name: str, count: int, seconds: float = 20) -> TelemetrySummary:
        """The summary, once it holds that many requests."""
        with self.changed:
            assert self.changed.wait_for(
                lambda: (s := self.windows.summary([name], utc_now())) and s.count >= count, seconds
            ), f"not {count} requests but {self.windows.summary([name], utc_now())}"
        summary = self.summary(name)
        assert summary is not None
        return summary

    def take(self, body: bytes, content_type: str) -> MetricsAnswer:
        if self.failures:
            return MetricsAnswer(self.failures.popleft(), "application/json", b"{}")
        try:
            return self.intake.take(body, content_type)
        except InvalidRequest as error:
            return MetricsAnswer(400, "text/plain", error.message.encode())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: MetricsServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        state = self.state
        with state.changed:
            if self.path == "/v1/metrics":
                answer = state.take(body, self.headers["Content-Type"])
            else:
                answer = MetricsAnswer(404, "text/plain", b"no such path")
            state.tokens.append(self.headers.get("Authorization", ""))
            state.answers.append(answer)
            state.changed.notify_all()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def metrics_server(port: int = 0) -> Iterator[MetricsServer]:
    """A server of one's own, gone at the end of the block."""
    state = MetricsServer()
    handler = type("Handler", (_Handler,), {"state": state})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
