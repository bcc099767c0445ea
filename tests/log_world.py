"""Lines on their way into a real server, and what is found there afterwards."""

import http.client
import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from acceptance.server_process import PREFIX, ServerProcess, wait_until
from quarterdeck.access.model import Role
from quarterdeck.access.tokens import TokenStore
from quarterdeck.core.clock import utc_now
from quarterdeck.state import Database

SETTINGS = """
[rate_limit]
default = "1000000/minute"
ingest = "1000000/minute"
"""

NOW = utc_now() - timedelta(hours=1)
LEVELS = ("debug", "info", "warning", "error")
AGAIN_S = 0.05

Log = dict[str, Any]
Running = TypeVar("Running", bound=ServerProcess)


def equip(server: ServerProcess, *roles: str) -> None:
    """Make tokens of these roles as another process would, at a tenth of a command's price."""
    key = bytes.fromhex((server.directory / "data" / "secret.key").read_text())

    async def make(database: Database) -> None:
        tokens = TokenStore(database, key)
        for role in roles:
            _, server.tokens[role] = await tokens.create(f"test {role}", Role(role), None)
        await tokens.close()

    server.state(make)


@contextmanager
def running(server: Running, *roles: str) -> Iterator[Running]:
    """The server with tokens, ended well at the end of the block."""
    server.start()
    try:
        equip(server, "ingest", "viewer", *roles)
        yield server
    finally:
        assert server.process
        code = server.stop()
    assert code == 0
    assert "unexpected error" not in server.log


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass
class Batch:
    """Lines of one request, which is sent until it is acknowledged."""

    number: int
    lines: Sequence[Log]
    sent: int = 0
    acknowledged: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(json.dumps(line).encode() + b"\n" for line in self.lines)


def small_batch(sender: str, number: int) -> Batch:
    """A dozen lines, each unmistakable; those of every other batch are of two days."""
    chance = random.Random(f"{sender}-{number}")
    lines = []
    for index in range(12):
        at = NOW + timedelta(seconds=number, microseconds=chance.randrange(10**6))
        if number % 2 and index % 2:
            at -= timedelta(days=1)
        lines.append(
            {
                "timestamp": stamp(at),
                "level": LEVELS[index % 4],
                "service": sender,
                "message": f"{sender} says {number}.{index}: \t{chance.random()} \u00e9\U0001f600",
                "request_id": f"req-{sender}-{number}",
                "tenant_id": f"t{index % 3}",
                "key": f"{sender}-{number}-{index}",
                "deep": {"n": chance.randrange(2**53), "list": [None, True, 1.5, "\u0001"]},
            }
        )
    return Batch(number, lines)


def large_batch(sender: str, number: int, lines: int = 40, size: int = 6000) -> Batch:
    """A quarter of a megabyte that no codec makes smaller."""
    chance = random.Random(f"{sender}-{number}")
    at = stamp(NOW + timedelta(seconds=number))
    fields = {"timestamp": at, "level": "info", "service": sender, "message": "large"}
    keys = [f"{sender}-{number}-{index}" for index in range(lines)]
    return Batch(
        number, [fields | {"key": key, "pad": chance.randbytes(size // 2).hex()} for key in keys]
    )


class Sender(threading.Thread):
    """Sends one batch after another, each until it is acknowledged, until told to finish."""

    def __init__(
        self,
        server: ServerProcess,
        name: str,
        make: Callable[[str, int], Batch] = small_batch,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._server = server
        self._make = make
        self._finish = threading.Event()
        self._give_up = threading.Event()
        self._connection: http.client.HTTPConnection | None = None
        self.batches: list[Batch] = []
        self.statuses: Counter[int] = Counter()
        self.refusals: list[tuple[int, dict[str, str], Log]] = []
        """Answers other than 200: status, headers, body."""
        self.broken = 0
        """Requests that had no answer."""
        self.acknowledged = 0
        """Batches."""

    @property
    def lines(self) -> dict[str, tuple[Log, Batch]]:
        """Every line that was sent, by its key, whether or not somebody acknowledged it."""
        return {line["key"]: (line, batch) for batch in self.batches for line in batch.lines}

    def run(self) -> None:
        number = 0
        while not self._finish.is_set():
            batch = self._make(self.name, number)
            self.batches.append(batch)
            number += 1
            while not (batch.acknowledged or self._give_up.is_set()):
                self._send(batch)
        self._hang_up()

    def finish(self, is_lost: bool = False) -> None:
        """End after the present batch, or with `is_lost` even if nobody takes it."""
        self._finish.set()
        if is_lost:
            self._give_up.set()
        self.join(60)
        assert not self.is_alive(), f"{self.name} still waits for an answer"

    def _send(self, batch: Batch) -> None:
        batch.sent += 1
        try:
            status, headers, raw = self._post(batch.body)
        except (OSError, http.client.HTTPException):
            self.broken += 1
            self._hang_up()
            self._give_up.wait(AGAIN_S)
            return
        self.statuses[status] += 1
        if status == 200:
            data = json.loads(raw)["data"]
            assert data == {"accepted": len(batch.lines), "rejected": 0, "rejections": []}
            batch.acknowledged = True
            self.acknowledged += 1
        else:
            self.refusals.append((status, headers, json.loads(raw)))
            self._give_up.wait(AGAIN_S)

    def _post(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._server.port, 60)
        headers = {"Authorization": f"Bearer {self._server.tokens['ingest']}"}
        self._connection.request("POST", f"{PREFIX}/logs", body, headers)
        response = self._connection.getresponse()
        named = {name.lower(): value for name, value in response.getheaders()}
        return response.status, named, response.read()

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@contextmanager
def sending(*senders: Sender) -> Iterator[Sequence[Sender]]:
    """Senders at work; at the end of the block they finish what they have begun."""
    for sender in senders:
        sender.start()
    try:
        yield senders
    except BaseException:
        for sender in senders:
            sender.finish(is_lost=True)
        raise
    for sender in senders:
        sender.finish()


def acknowledged(senders: Sequence[Sender]) -> int:
    return sum(sender.acknowledged for sender in senders)


def wait_for_more(senders: Sequence[Sender], batches: int = 1) -> None:
    """Return once so many further batches are acknowledged."""
    wanted = acknowledged(senders) + batches
    wait_until(lambda: acknowledged(senders) >= wanted)


def search(server: ServerProcess, **query: object) -> Log:
    data: Log = server.get(f"/logs?{urlencode(query)}", role="viewer").data
    return data


def everything(server: ServerProcess, **query: object) -> list[Log]:
    """All lines of a search, page by page; each page says the same exact total."""
    found: list[Log] = []
    total = None
    given: dict[str, object] = {"limit": 100, **query}
    while True:
        page = search(server, **given)
        total = page["pagination"]["total"] if total is None else total
        assert page["pagination"]["total"] == total
        found += page["logs"]
        given["cursor"] = page["pagination"]["cursor"]
        if given["cursor"] is None:
            assert len(found) == total
            return found


def require_kept(found: Sequence[Log], sender: Sender) -> int:
    """Hold what a sender sent against what is found; gives the number of doubled lines.

    Each acknowledged line is there just as it was sent. What was sent once is there once, and
    nothing more often than it was sent.
    """
    counts: Counter[str] = Counter()
    sent = sender.lines
    for log in found:
        line, batch = sent[log["metadata"]["key"]]
        counts[line["key"]] += 1
        assert as_found(line) == {name: log[name] for name in as_found(line)}, batch
        assert log["marks"] == []
    for key, (_, batch) in sent.items():
        least = 1 if batch.acknowledged else 0
        assert least <= counts[key] <= batch.sent, (key, counts[key], batch.sent)
    return sum(count - 1 for count in counts.values() if count)


def as_found(line: Log) -> Log:
    """A line of ours as the API shows it."""
    fields = ("level", "service", "message", "request_id", "user_id", "tenant_id")
    shown = {name: line.get(name) for name in fields}
    shown["timestamp"] = line["timestamp"].replace(".000000Z", "Z")
    known = {"timestamp", *fields}
    return shown | {"metadata": {name: line[name] for name in line if name not in known}}


def peak_mb(server: ServerProcess) -> float:
    return _memory_mb(server, "VmHWM")


def resident_mb(server: ServerProcess) -> float:
    return _memory_mb(server, "VmRSS")


def _memory_mb(server: ServerProcess, name: str) -> float:
    assert server.process
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    (row,) = (row for row in status.splitlines() if row.startswith(name))
    return int(row.split()[1]) / 1000
