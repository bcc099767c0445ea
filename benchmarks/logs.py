"""Logs: ingest, search, crowds, export, memory. Ours, the bare engine and ripgrep in one run.

A server is started, loaded over HTTP and asked over HTTP. The bare engine is ClickHouse without us:
the same table, the same rows, inserts of the same size, each durable. Searches use words, users and
ids that nobody asked for before, so that no cache of conditions answers; a number is the median of
them. With VICTORIALOGS_URL set, the same lines are sent there too.
"""

import argparse
import http.client
import json
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from rich.console import Console
from rich.table import Table

from acceptance.server_process import ServerProcess
from support import log_lines

BARE = Path(__file__).parent / "support" / "bare_engine.py"
PREFIX = "/api/v1/platform/system"
BODY = 4 * 1024 * 1024
SENDERS = 3
CLIENTS = 50
CROWD_S = 20.0

SETTINGS = """
[rate_limit]
default = "100000000/minute"
ingest = "100000000/minute"
"""


@dataclass
class Searches:
    """One kind of search: what is asked, as often as there are different needles, and the goal."""

    name: str
    target_ms: float
    queries: list[dict[str, str]]


def searches(number_of_hours: int = 168) -> list[Searches]:
    """The kinds of the issue, each with needles of its own."""
    words, users = log_lines.WORDS, log_lines.USERS
    hours = [f"2026-11-{16 + n // 24:02}T{n % 24:02}" for n in range(0, number_of_hours, 24)]
    return [
        Searches("no filter", 60, [{} for _ in range(7)]),
        Searches("word", 60, [{"query": word} for word in words[:7]]),
        Searches("rare word", 60, [{"query": word} for word in log_lines.RARE_WORDS[:7]]),
        Searches("two words", 60, [{"query": f"lease {word}"} for word in words[1:8]]),
        Searches("level", 60, [{"level": level} for level in ("error", "warning", "info", "debug")]),
        Searches(
            "level and service", 60,
            [{"level": "error", "service": s} for s in ("api", "smtp", "worker", "database")],
        ),
        Searches("request id", 60, [{"request_id": f"req_{n:012x}"} for n in range(7)]),
        Searches(
            "an hour", 60,
            [{"start_time": f"{h}:00:00Z", "end_time": f"{h}:59:59Z"} for h in hours],
        ),
        Searches(
            "word in 11 % of lines", 160,
            [{"query": "delivered"}, {"query": "DELIVERED -zzz"}, {"query": "delivered queued"}],
        ),
        Searches("user id", 170, [{"user_id": user} for user in users[100:107]]),
        Searches("metadata pair", 170, [{"query": f"host:node-{n}"} for n in range(1, 8)]),
        Searches("substring", 110, [{"query": f'"loop lag {n} ms"'} for n in range(9, 37, 4)]),
        Searches(
            "regex with literals", 110,
            [{"query": f"/failed to renew lease after {n}[0-9]1 sec/"} for n in range(1, 8)],
        ),
        Searches(
            "regex without literals", 450,
            [{"query": f"/[a-z]+ [0-9]{{{n}}} [a-z]+ [0-9]{{2}}\\b/"} for n in (2, 3, 4)],
        ),
    ]  # fmt: skip


class Client:
    """One connection to the server; reads whole answers."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._headers = {"Authorization": f"Bearer {token}"}
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """One request and its answer's status and body."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=300)
        self._connection.request(method, path, body, self._headers)
        response = self._connection.getresponse()
        return response.status, response.read()

    def search(self, query: dict[str, str]) -> Any:
        """A first page with its total."""
        status, body = self.ask("GET", f"{PREFIX}/logs?{urlencode(query)}")
        assert status == 200, body
        return json.loads(body)["data"]


def bodies(file: Path) -> Iterator[bytes]:
    """Whole lines, `BODY` bytes at a time."""
    rest = b""
    with file.open("rb") as source:
        while data := source.read(BODY):
            end = data.rfind(b"\n") + 1
            yield rest + data[:end]
            rest = data[end:]
    if rest:
        yield rest


def send_all(file: Path, port: int, token: str, path: str = f"{PREFIX}/logs") -> tuple[int, float]:
    """Send all lines over a few connections; gives lines acknowledged and seconds."""
    lock, source, accepted = threading.Lock(), bodies(file), [0]

    def sender() -> None:
        client = Client(port, token)
        while True:
            with lock:
                body = next(source, None)
            if body is None:
                return
            while True:
                status, answer = client.ask("POST", path, body)
                if status != 429:
                    break
                time.sleep(0.1)
            assert status < 300, answer
            if answer.startswith(b"{"):
                with lock:
                    accepted[0] += json.loads(answer)["data"]["accepted"]

    started = time.perf_counter()
    threads = [threading.Thread(target=sender) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return accepted[0], time.perf_counter() - started


def memory_mb(pid: int, what: str = "VmRSS") -> float:
    """Resident memory of a process, or another line of its status."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) / 1000
    raise LookupError(what)
