"""The documented log routes over HTTP, with lines kept in memory and failures on demand."""

import gzip
import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from acceptance.server_process import wait_until

PATH = "/api/v1/platform/system/logs"
ARRIVAL = "2026-11-24T10:00:00.000000Z"
LONGEST = 16 * 1024 * 1024
NAMES = ("timestamp", "level", "service", "message", "request_id", "user_id", "tenant_id")
EXACT = ("level", "service", "request_id", "user_id", "tenant_id")

Log = dict[str, Any]


@dataclass
class Failure:
    """How the next request of this method goes wrong."""

    status: int = 0
    """Answered so, with an envelope; 0: the connection is closed without an answer."""
    headers: dict[str, str] = field(default_factory=dict)
    after_storing: bool = False
    """The lines are kept all the same, as when only the answer is lost."""
    body: bytes | None = None
    """Instead of an envelope."""


@dataclass
class Request:
    """What was asked."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class IngestServer:
    """The state that tests look at."""

    url: str = ""
    logs: list[Log] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    post_failures: deque[Failure] = field(default_factory=deque)
    get_failures: deque[Failure] = field(default_factory=deque)
    largest_body: int = 1 << 30
    """Unpacked; larger ones are answered 413."""
    gate: threading.Event = field(default_factory=threading.Event)
    """While it is not set, posts are held before they are answered: a slow server."""
    changed: threading.Condition = field(default_factory=threading.Condition)
    tail_error: Log | None = None
    """Sent to all tails, which are closed then."""
    tails_end_after: int = 1 << 30
    """Events after which a tail's connection breaks."""
    tails: int = 0
    """Tails that are open."""

    @property
    def messages(self) -> list[str]:
        return [log["message"] for log in list(self.logs)]

    def posts(self) -> list[Request]:
        return [request for request in list(self.requests) if request.method == "POST"]

    def add(self, **log: Any) -> Log:
        """Keep a line, and tell the tails."""
        with self.changed:
            whole = {
                "timestamp": ARRIVAL, "level": "info", "service": "api", "message": "",
                "request_id": None, "user_id": None, "tenant_id": None, "metadata": {},
                "level_original": None, "marks": [], "original": None,
                "id": f"log_{len(self.logs) + 1}", **log,
            }  # fmt: skip
            self.logs.append(whole)
            self.changed.notify_all()
            return whole

    def take(self, body: bytes) -> dict[str, Any]:
        """What the answer to this NDJSON says."""
        accepted, rejections = 0, []
        for number, line in enumerate(body.split(b"\n"), 1):
            if not line.strip():
                continue
            try:
                assert len(line) <= LONGEST, "longer than 16 MiB"
                given = json.loads(line, parse_constant=_no_constant)
                assert isinstance(given, dict), "not an object"
                assert isinstance(given.get("message"), str), "it has no message"
            except (ValueError, AssertionError) as error:
                rejections.append({"line": number, "reason": str(error)})
                continue
            known = {name: given.pop(name) for name in NAMES if name in given}
            self.add(**known, metadata=given.pop("metadata", {}) | given)
            accepted += 1
        return {"accepted": accepted, "rejected": len(rejections), "rejections": rejections}

    def find(self, query: dict[str, str]) -> list[Log]:
        """Newest first."""
        found = [log for log in self.logs if _is_wanted(log, query)]
        return sorted(found, key=lambda log: (log["timestamp"], _number(log)), reverse=True)

    def wait_for(self, *messages: str, seconds: float = 20) -> None:
        """Return once lines with these messages are there."""
        wait_until(lambda: set(messages) <= set(self.messages), seconds)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _number(log: Log) -> int:
    return int(log["id"].removeprefix("log_"))


def _is_wanted(log: Log, query: dict[str, str]) -> bool:
    return (
        all(query.get(name) in {None, log[name]} for name in EXACT)
        and query.get("query", "").lower() in log["message"].lower()
        and log["timestamp"] >= query.get("start_time", "")
        and log["timestamp"] <= query.get("end_time", "~")
    )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: IngestServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self._note(body)
        self.state.gate.wait(60)
        failure = self.state.post_failures.popleft() if self.state.post_failures else None
        if failure and not failure.after_storing:
            self._fail(failure)
        elif len(body) > self.state.largest_body:
            self._fail(Failure(413))
        else:
            data = self.state.take(body)
            if failure:
                self._fail(failure)
            elif data["rejected"] and not data["accepted"]:
                self._fail(Failure(400))
            else:
                self._answer(200, {"success": True, "data": data})

    def do_GET(self) -> None:
        self._note(b"")
        if self.state.get_failures:
            self._fail(self.state.get_failures.popleft())
            return
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if query.get("query") == "(":
            self._fail(Failure(400))
        elif parts.path == f"{PATH}/tail":
            self._tail(query)
        else:
            self._page(query)

    def _page(self, query: dict[str, str]) -> None:
        found = self.state.find(query)
        limit, start = int(query.get("limit", 50)), int(query.get("cursor", 0))
        assert 1 <= limit <= 100
        end = start + limit
        pagination = {
            "total": len(found), "limit": limit, "offset": 0,
            "cursor": str(end) if end < len(found) else None,
        }  # fmt: skip
        data = {"logs": found[start:end], "pagination": pagination}
        self._answer(200, {"success": True, "data": data})

    def _tail(self, query: dict[str, str]) -> None:
        state = self.state
        with state.changed:
            last = self.headers.get("Last-Event-ID")
            position = int(last.removeprefix("log_")) if last else len(state.logs)
            state.tails += 1
            state.changed.notify_all()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            self._send_events(position, query)
        except OSError:
            pass
        finally:
            self.close_connection = True
            with state.changed:
                state.tails -= 1
                state.changed.notify_all()

    def _send_events(self, position: int, query: dict[str, str]) -> None:
        state, sent = self.state, 0
        self._send(": alive\n\n")
        while True:
            with state.changed:
                new, error = state.logs[position:], state.tail_error
                if not new and not error and not state.changed.wait(0.2):
                    new = []
            for log in new:
                position += 1
                if _is_wanted(log, query):
                    self._send(f"id: {log['id']}\nevent: log\ndata: {json.dumps(log)}\n\n")
                    sent += 1
                if sent >= state.tails_end_after:
                    return
            if error:
                self._send(f"event: error\ndata: {json.dumps(error)}\n\n")
                return
            self._send(": alive\n\n")

    def _send(self, text: str) -> None:
        self.wfile.write(text.encode())
        self.wfile.flush()

    def _note(self, body: bytes) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.state.requests.append(Request(self.command, self.path, headers, body))

    def _fail(self, failure: Failure) -> None:
        if not failure.status:
            self.close_connection = True
            return
        error = {
            "code": "SOME_CODE", "message": f"It said {failure.status}.", "details": [],
            "request_id": "req_1",
        }  # fmt: skip
        envelope = {"success": False, "error": error}
        self._answer(failure.status, envelope, failure.headers, failure.body)

    def _answer(
        self,
        status: int,
        answer: object,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> None:
        raw = json.dumps(answer).encode() if body is None else body
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def ingest_server(port: int = 0) -> Iterator[IngestServer]:
    """A server of one's own, gone at the end of the block."""
    state = IngestServer()
    state.gate.set()
    handler = type("Handler", (_Handler,), {"state": state})
    listening = ThreadingHTTPServer(("127.0.0.1", port), handler)
    listening.daemon_threads = True
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    state.url = f"http://127.0.0.1:{listening.server_port}"
    try:
        yield state
    finally:
        state.gate.set()
        listening.shutdown()
        thread.join()
        listening.server_close()
