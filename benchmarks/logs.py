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
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
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
SENDERS = 8
CLIENTS = 50
CROWD_S = 20.0

SETTINGS = """
[rate_limit]
default = "100000000/minute"
ingest = "100000000/minute"
"""


INCIDENT_WORDS = (
    "timeout", "deadlock", "autovacuum", "heartbeat", "refused", "rendered", "complaints",
)  # fmt: skip
INCIDENT_PAIRS = (
    "connection timeout", "deadlock detected", "lease renewed", "password refused",
    "dead tuples", "gave attempts", "schedules late",
)  # fmt: skip


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
        Searches("word", 60, [{"query": word} for word in INCIDENT_WORDS]),
        Searches("rare word", 60, [{"query": word} for word in log_lines.RARE_WORDS[:7]]),
        Searches("two words", 60, [{"query": pair} for pair in INCIDENT_PAIRS]),
        Searches("word in addresses everywhere", 300, [{"query": word} for word in words[:5]]),
        Searches("level", 60, [{"level": name} for name in ("error", "warning", "info", "debug")]),
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
            [
                {"query": r"/\b[45]\d\d \d\.\d\.\d\b/"},
                {"query": r"/\b\d{4,} of [0-9]+/"},
                {"query": r"/(\d{1,3}\.){3}\d{1,3}/"},
            ],
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
        try:
            self._connection.request(method, path, body, self._headers)
            response = self._connection.getresponse()
        except http.client.RemoteDisconnected:  # it was idle for longer than the server keeps it
            self._connection = None
            return self.ask(method, path, body)
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
                time.sleep(0.1)  # told to wait; the server's whole second would idle a sender
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


class Crowd:
    """Fifty clients that ask one search after another for a while."""

    def __init__(self, port: int, token: str, kinds: list[Searches]) -> None:
        self._port, self._token = port, token
        self._mix = [query for kind in kinds for query in kind.queries]
        self.took: list[float] = []

    def run(self, clients: int, seconds: float) -> tuple[float, float, float]:
        """Searches a second, and the 50th and 99th percentile of their time in seconds."""
        end = time.perf_counter() + seconds

        def one(number: int) -> None:
            client = Client(self._port, self._token)
            turn = number * 7
            while (started := time.perf_counter()) < end:
                client.search(self._mix[turn % len(self._mix)])
                self.took.append(time.perf_counter() - started)
                turn += 1

        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(one, range(clients)))
        ranked = sorted(self.took)
        return len(ranked) / seconds, statistics.median(ranked), ranked[int(len(ranked) * 0.99)]


def measure_searches(client: Client, kinds: list[Searches]) -> list[tuple[Searches, float]]:
    """The median of each kind in milliseconds, each query asked once."""
    found = []
    for kind in kinds:
        spent = []
        for query in kind.queries:
            started = time.perf_counter()
            client.search(query)
            spent.append((time.perf_counter() - started) * 1000)
        found.append((kind, statistics.median(spent)))
    return found


def deep_page(client: Client, depth: int) -> float:
    """Milliseconds of a page by cursor after `depth` pages of a hundred."""
    query = {"limit": "100", "query": "delivered"}
    for _ in range(depth):
        page = client.search(query)
        query["cursor"] = page["pagination"]["cursor"]
    started = time.perf_counter()
    client.search(query)
    return (time.perf_counter() - started) * 1000


def export_all(client: Client, pid: int) -> tuple[float, float, int]:
    """Seconds until an export of all lines is there, memory taken for it in MB, bytes."""
    before, most = memory_mb(pid), 0.0
    started = time.perf_counter()
    status, body = client.ask("GET", f"{PREFIX}/logs/export?format=json")
    assert status == 200, body
    name = json.loads(body)["data"]["export_id"]
    while True:
        state = json.loads(client.ask("GET", f"{PREFIX}/logs/export/{name}")[1])["data"]
        most = max(most, memory_mb(pid))
        if state["status"] != "processing":
            assert state["status"] == "completed", state
            return time.perf_counter() - started, most - before, state["bytes"]
        time.sleep(0.05)  # how finely the end of an export is seen


def bare(verb: str, directory: Path, file: Path) -> float:
    """Seconds that the engine alone needs; see `support/bare_engine.py`."""
    command = [sys.executable, str(BARE), verb, str(directory), str(file)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return float(done.stdout)


def ripgrep_ms(file: Path, pattern: str) -> float | None:
    """What it takes to look through the raw file; None: ripgrep is not installed."""
    if shutil.which("rg") is None:
        return None
    started = time.perf_counter()
    subprocess.run(["rg", "-c", "-i", pattern, str(file)], check=False, capture_output=True)
    return (time.perf_counter() - started) * 1000


def victoria_rows(file: Path, lines: int) -> float | None:
    """Lines a second into VictoriaLogs, where there is one."""
    url = os.environ.get("VICTORIALOGS_URL")
    if not url:
        return None
    parts = urlsplit(url)
    fields = "_time_field=timestamp&_msg_field=message&_stream_fields=service,level"
    _, seconds = send_all(file, parts.port or 80, "", f"/insert/jsonline?{fields}")
    return lines / seconds


def cpu_s(pid: int) -> float:
    """CPU that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until_idle(pid: int) -> None:
    """Return when the server has merged what there was to merge: it uses a tenth of a core."""
    last, still = cpu_s(pid), 0
    while still < 5:
        time.sleep(1)  # over which the CPU is counted
        now = cpu_s(pid)
        still = still + 1 if now - last < 0.1 else 0
        last = now


def run(directory: Path, lines: int) -> Iterator[Table]:
    """Everything, in order; gives the tables as they are known."""
    file = directory / "lines.ndjson"
    log_lines.write(str(file), lines)
    bare_s = bare("load", directory / "bare", file)
    server = ServerProcess(directory, settings=SETTINGS)
    server.start()
    assert server.process
    pid, port = server.process.pid, server.port
    ingest, viewer = server.token("ingest"), server.token("ops")
    accepted, seconds = send_all(file, port, ingest)
    assert accepted == lines, (accepted, lines)
    peak = memory_mb(pid, "VmHWM")
    client = Client(port, viewer)
    wait_until_idle(pid)
    size = json.loads(client.ask("GET", f"{PREFIX}/logs/stats")[1])["data"]["bytes"]
    load = Table("measure", "value", "target", title=f"{lines:,} lines, {file.stat().st_size:,} B")
    load.add_row("bare engine, rows/s", f"{lines / bare_s:,.0f}", "")
    load.add_row("ours over HTTP, rows/s", f"{lines / seconds:,.0f}", ">= 150,000")
    load.add_row("ours / bare engine, time", f"{seconds / bare_s:.2f}x", "<= 1.35x")
    victoria = victoria_rows(file, lines)
    load.add_row("VictoriaLogs, rows/s", f"{victoria:,.0f}" if victoria else "no URL", "")
    load.add_row("disk", f"{size / 1e6:,.1f} MB", "<= 140 MB")
    load.add_row("most resident memory while loading", f"{peak:,.0f} MB", "< 1,024 MB")
    yield load
    kinds = searches()
    pages = Table("search: first page + exact total", "ours", "target", "ripgrep", title="Median")
    needles = {"word": "quota", "rare word": "xenolith", "word in 11 % of lines": "delivered"}
    for kind, median in measure_searches(client, kinds):
        raw = ripgrep_ms(file, needles[kind.name]) if kind.name in needles else None
        shown = f"{raw:.0f} ms" if raw else ""
        pages.add_row(kind.name, f"{median:.0f} ms", f"< {kind.target_ms:.0f} ms", shown)
    pages.add_row("page 2 by cursor", f"{deep_page(client, 1):.0f} ms", "flat", "")
    pages.add_row("page 200 by cursor", f"{deep_page(client, 200):.0f} ms", "flat", "")
    yield pages
    rate, median, p99 = Crowd(port, viewer, kinds).run(CLIENTS, CROWD_S)
    crowd = Table("measure", "value", "target", title="Crowds and exports")
    crowd.add_row("50 clients, searches/s", f"{rate:.1f}", ">= 15")
    crowd.add_row("50 clients, p50 / p99", f"{median:.1f} s / {p99:.1f} s", "p99 < 4 s")
    wait_until_idle(pid)
    export_s, extra, out = export_all(client, pid)
    to_file = bare("export", directory / "bare", directory / "bare.ndjson")
    to_nothing = bare("export", directory / "bare", Path(os.devnull))
    crowd.add_row("export, seconds and bytes", f"{export_s:.1f} s, {out:,} B", "")
    crowd.add_row("export, ours / engine into a file", f"{export_s / to_file:.2f}x", "<= 1.3x")
    crowd.add_row("export, ours / engine into nothing", f"{export_s / to_nothing:.2f}x", "<= 1.3x")
    crowd.add_row("export, more memory", f"{extra:,.0f} MB", "< 250 MB")
    both = Crowd(port, viewer, kinds)
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(send_all, file, port, ingest)
        crowded, _, _ = both.run(CLIENTS, min(CROWD_S, seconds))
        _, loaded_s = sent.result()
    during = f"{crowded:.1f}, {crowded / rate:.0%}"
    crowd.add_row("50 clients during ingest, searches/s", during, ">= 10.5 (70% of 15)")
    crowd.add_row("ingest during searches", f"{seconds / loaded_s:.0%}", ">= 60%")
    wait_until_idle(pid)
    time.sleep(60)  # what is measured is what is left after a minute of rest
    crowd.add_row("a minute later, resident", f"{memory_mb(pid):,.0f} MB", "< 400 MB")
    server.stop()
    yield crowd


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=5_000_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="quarterdeck-bench-") as directory:
        for table in run(Path(directory), given.lines):
            Console(width=100).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
