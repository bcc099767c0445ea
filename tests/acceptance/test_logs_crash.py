"""What was acknowledged is kept: across kills, a full disk, too many senders, and a stop.

The guarantee: lines arrive at least once. An acknowledged line is there; a line whose request was
answered otherwise, or not at all, may be there, so that sending it again may double it.
"""

import os
import random
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance.server_process import ServerProcess, wait_until
from log_world import (
    SETTINGS,
    Batch,
    Sender,
    acknowledged,
    everything,
    large_batch,
    peak_mb,
    require_kept,
    resident_mb,
    running,
    search,
    sending,
    small_batch,
    wait_for_more,
)

KILLS = 15
"""In each of the two stores that are tried: thirty in all."""

SMALL_MB = 24
LARGER_MB = 96


class ServerOnSmallDisk(ServerProcess):
    """Its facts are on a disk of their own: a mount that only it sees and that ends with it."""

    def command(self, *arguments: str) -> list[str]:
        plain = super().command(*arguments)
        if arguments[0] != "serve":
            return plain
        facts = self.directory / "data" / "facts"
        facts.mkdir(parents=True, exist_ok=True)
        script = f'mount -t tmpfs -o size={SMALL_MB}m tmpfs "{facts}" && exec "$@"'
        return ["unshare", "--mount", *self._as_root, "sh", "-c", script, "sh", *plain]

    def enlarge_disk(self) -> None:
        assert self.process
        facts = self.directory / "data" / "facts"
        inside = ["--user", "--preserve-credentials"] if self._as_root else []
        subprocess.run(
            ["nsenter", "-t", str(self.process.pid), *inside, "--mount", "mount", "-o",
             f"remount,size={LARGER_MB}m", str(facts)],
            check=True,
        )  # fmt: skip

    @property
    def _as_root(self) -> list[str]:
        return [] if os.geteuid() == 0 else ["--user", "--map-root-user"]


@pytest.fixture(scope="module")
def narrow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One that lets only a megabyte wait."""
    settings = f"{SETTINGS}\n[logs]\nwaiting_mb = 1\n"
    with running(ServerProcess(tmp_path_factory.mktemp("narrow"), settings=settings)) as server:
        yield server


@pytest.mark.parametrize("store", [1, 2])
def test_kills_during_ingest_lose_and_double_nothing_acknowledged(
    tmp_path: Path, store: int
) -> None:
    chance = random.Random(store)
    with running(ServerProcess(tmp_path, settings=SETTINGS)) as server:
        senders = [Sender(server, f"sender-{number}") for number in range(6)]
        with sending(*senders):
            for _ in range(KILLS):
                wait_for_more(senders)
                threading.Event().wait(chance.uniform(0.05, 0.4))
                server.kill()
                server.start()
            wait_for_more(senders, 10)
        doubled = 0
        for sender in senders:
            assert set(sender.statuses) <= {200, 503}
            assert all(batch.acknowledged for batch in sender.batches)
            doubled += require_kept(everything(server, service=sender.name), sender)
        stored = search(server)["pagination"]["total"]
    sent = sum(len(sender.lines) for sender in senders)
    assert stored == sent + doubled
    assert sum(sender.broken for sender in senders) >= KILLS
    # Of each kill's requests in flight some were stored, but not all of all batches ever sent.
    assert doubled <= KILLS * len(senders) * 12


def test_a_full_disk_refuses_lines_and_keeps_those_acknowledged(tmp_path: Path) -> None:
    server = ServerOnSmallDisk(tmp_path, settings=SETTINGS)
    with running(server):
        senders = [Sender(server, f"filler-{number}", large_batch) for number in range(3)]
        with sending(*senders):
            wait_until(lambda: all(sender.statuses[503] >= 2 for sender in senders), 60)
            taken = acknowledged(senders)
            assert taken > 5
            for sender in senders:
                done = sum(len(batch.lines) for batch in sender.batches if batch.acknowledged)
                assert search(server, service=sender.name)["pagination"]["total"] >= done
            found = search(server, query=f"key:{senders[0].name}-0-7")["logs"]
            assert [log["metadata"]["key"] for log in found] == [f"{senders[0].name}-0-7"]
            assert server.call("GET", "/readyz", prefix="").status == 200
            server.enlarge_disk()
            wait_for_more(senders, 6)
        for sender in senders:
            assert set(sender.statuses) <= {200, 503}
            require_kept(everything(server, service=sender.name), sender)
        for _, headers, body in [refusal for sender in senders for refusal in sender.refusals]:
            assert headers["retry-after"].isdigit()
            error = require_envelope(headers, body)
            assert error["code"] == "SOURCE_UNAVAILABLE"
            assert "disk of the store of facts is full" in error["message"]


def test_too_many_senders_are_told_to_wait_and_lose_nothing(narrow_server: ServerProcess) -> None:
    senders = [Sender(narrow_server, f"pusher-{number:02}", pushed) for number in range(16)]
    with sending(*senders):
        wait_for_more(senders, 40)
        warm = resident_mb(narrow_server)
        wait_for_more(senders, 160)
    # Two inserts may run side by side, each with its rows as text, as columns and compressed.
    assert peak_mb(narrow_server) < warm + 200
    assert sum(sender.statuses[429] for sender in senders) > 0
    for sender in senders:
        assert set(sender.statuses) <= {200, 429}
        assert require_kept(everything(narrow_server, service=sender.name), sender) == 0
        for _, headers, body in sender.refusals:
            assert headers["retry-after"] == "1"
            assert require_envelope(headers, body)["code"] == "RATE_LIMIT_EXCEEDED"


def test_a_stop_during_ingest_ends_well_and_keeps_what_was_acknowledged(
    narrow_server: ServerProcess,
) -> None:
    senders = [Sender(narrow_server, f"stopped-{number}", mixed) for number in range(6)]
    with sending(*senders):
        wait_for_more(senders, 30)
        assert narrow_server.stop() == 0
        for sender in senders:
            sender.finish(is_lost=True)
    before = sum(batch.acknowledged for sender in senders for batch in sender.batches)
    assert before >= 30
    narrow_server.start()
    for sender in senders:
        assert set(sender.statuses) <= {200, 429, 503}
        assert require_kept(everything(narrow_server, service=sender.name), sender) == 0


def pushed(sender: str, number: int) -> Batch:
    return large_batch(sender, number, lines=20, size=12_000)


def mixed(sender: str, number: int) -> Batch:
    return (large_batch if number % 5 == 4 else small_batch)(sender, number)


def require_envelope(headers: dict[str, str], body: dict[str, object]) -> dict[str, str]:
    assert set(body) == {"success", "error"}
    assert body["success"] is False
    error = body["error"]
    assert isinstance(error, dict)
    assert set(error) == {"code", "message", "details", "request_id"}
    assert error["request_id"] == headers["x-request-id"]
    return error
