"""`quarterdeck ship` against a real HTTP server: what is sent, saved, waited for, exited with."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import servers
from acceptance.server_process import wait_until
from ingest_server import Failure, IngestServer, ingest_server
from quarterdeck.cli import followed
from quarterdeck.cli.followed import FollowedFile, Piece, parts_of
from quarterdeck.cli.main import run
from quarterdeck.cli.rotation import rotated_since
from quarterdeck.cli.shipping import Format, Wording

MIB = 1024 * 1024


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[IngestServer]:
    with ingest_server() as running:
        monkeypatch.setenv("QUARTERDECK_URL", running.url)
        monkeypatch.setenv("QUARTERDECK_TOKEN", "qd_ingest_secret")
        yield running


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


Once = Callable[..., Outcome]


@pytest.fixture
def once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Once:
    def call(*arguments: object) -> Outcome:
        state = ("--state-dir", str(tmp_path / "state"))
        monkeypatch.setattr(
            sys, "argv", ["quarterdeck", "ship", "--once", *state, *map(str, arguments)]
        )
        with pytest.raises(SystemExit) as ended:
            run()
        captured = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), captured.out, captured.err)

    return call


class Running:
    """A `ship` of its own process."""

    def __init__(self, directory: Path, process: "subprocess.Popen[bytes]") -> None:
        self._directory = directory
        self.process = process

    @property
    def err(self) -> str:
        return (self._directory / "err").read_text()

    def wait_until_it_follows(self) -> None:
        wait_until((self._directory / "state" / "positions.json").exists)

    def end(self, name: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(name)
        return self.process.wait(30)


Ship = Callable[..., AbstractContextManager[Running]]


@pytest.fixture
def ship(tmp_path: Path) -> Ship:
    @contextmanager
    def running(*arguments: object) -> Iterator[Running]:
        command = [
            sys.executable, "-m", "quarterdeck", "ship", "--state-dir", str(tmp_path / "state"),
        ]  # fmt: skip
        with (tmp_path / "err").open("ab") as err:
            process = servers.running([*command, *map(str, arguments)], stderr=err)
            with process as child:
                yield Running(tmp_path, child)

    return running


def saved(directory: Path) -> list[dict[str, Any]]:
    positions = json.loads((directory / "state" / "positions.json").read_text())["positions"]
    assert isinstance(positions, list)
    return positions


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_text_and_json_are_told_apart(server: IngestServer, once: Once, tmp_path: Path) -> None:
    log = tmp_path / "billing.prod.log"
    log.write_text(
        'plain é\n\n  \n{"message":"json","service":"api","level":"error","n":1}\n'
        "{not json}\n[1]\r\n\t at x.py\nno line feed"
    )
    outcome = once(log)
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    assert server.messages == [
        "plain é", "json", "{not json}", "[1]", "\t at x.py", "no line feed",
    ]  # fmt: skip
    text, sent = server.logs[0], server.logs[1]
    assert (text["service"], text["metadata"]) == ("billing", {"file": str(log)})
    assert (sent["service"], sent["level"], sent["metadata"]) == ("api", "error", {"n": 1})
    (request,) = server.requests
    assert request.headers["content-type"] == "application/x-ndjson"
    assert request.headers["content-encoding"] == "gzip"
    assert request.headers["authorization"] == "Bearer qd_ingest_secret"


def test_service_and_format_are_as_told(server: IngestServer, once: Once, tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    line = '{"message":"m","service":"own"}'
    log.write_text(f"{line}\n")
    assert once(log, "--format", "text", "--service", "mail").code == 0
    assert (server.messages, server.logs[0]["service"]) == ([line], "mail")
    append(log, f"{line}\n")
    assert once(log, "--format", "json").code == 0
    assert (server.messages[1], server.logs[1]["service"]) == ("m", "own")


def test_second_run_goes_on_where_the_first_ended(
    server: IngestServer, once: Once, tmp_path: Path
) -> None:
    log = tmp_path / "x.log"
    log.write_text("1\n2\n")
    once(log)
    once(log)
    append(log, "3\n")
    once(log)
    assert server.messages == ["1", "2", "3"]
    assert [(p["path"], p["offset"]) for p in saved(tmp_path)] == [(str(log), 6)]
    assert len(server.requests) == 2


def test_refused_lines_are_named_and_passed_over(
    server: IngestServer, once: Once, tmp_path: Path
) -> None:
    log = tmp_path / "x.log"
    log.write_text('{"message":"a"}\n{"no":"message"}\n{"message":"b"}\n')
    outcome = once(log, "--format", "json")
    assert server.messages == ["a", "b"]
    assert outcome.err.splitlines() == [
        f"quarterdeck: {log}: the line at byte 16 was refused: it has no message",
        f"quarterdeck: 1 lines from byte 0 of {log} on were refused.",
    ]
    append(log, "garbage\n")
    outcome = once(log, "--format", "json")
    assert "1 lines from byte 49" in outcome.err
    assert outcome.err.endswith("were refused: It said 400.\n")
    assert saved(tmp_path)[0]["offset"] == log.stat().st_size


def test_request_that_is_too_large_is_halved(
    server: IngestServer, once: Once, tmp_path: Path
) -> None:
    server.largest_body = 1000
    log = tmp_path / "x.log"
    log.write_text("".join(f"{number:03d} {'x' * 100}\n" for number in range(50)) + "y" * 2000)
    outcome = once(log)
    assert [int(message[:3]) for message in server.messages] == list(range(50))
    assert "lines from byte 5250" in outcome.err


@pytest.mark.parametrize(
    "failure",
    [Failure(429, {"Retry-After": "0"}), Failure(503), Failure(), Failure(502, body=b"<html>")],
    ids=str,
)
def test_server_that_takes_nothing_is_waited_for(
    server: IngestServer, once: Once, tmp_path: Path, failure: Failure
) -> None:
    server.post_failures.append(failure)
    log = tmp_path / "x.log"
    log.write_text("1\n")
    outcome = once(log)
    assert (outcome.code, server.messages) == (0, ["1"])
    first, second = outcome.err.splitlines()
    assert first.endswith("Waiting; nothing is lost.")
    assert second == "quarterdeck: the server takes lines again."


@pytest.mark.parametrize(("status", "code"), [(401, 4), (403, 1), (404, 1)])
def test_refusal_that_stays_ends_it(
    server: IngestServer, once: Once, tmp_path: Path, status: int, code: int
) -> None:
    server.post_failures.append(Failure(status))
    log = tmp_path / "x.log"
    log.write_text("1\n")
    outcome = once(log)
    assert outcome.code == code
    assert outcome.err.startswith(f"quarterdeck: It said {status}.")
    once(log)
    assert server.messages == ["1"]


def test_wrong_usage_sends_nothing(server: IngestServer, once: Once, tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("1\n")
    assert once().code == 2
    assert once(tmp_path / "missing.log").code == 2
    assert once(tmp_path).code == 2
    assert once(log, "--format", "xml").code == 2
    assert once(log, "--url", "ftp://x").code == 2
    assert server.requests == []


def test_damaged_positions_are_not_guessed(
    server: IngestServer, once: Once, tmp_path: Path
) -> None:
    log = tmp_path / "x.log"
    log.write_text("1\n")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "positions.json").write_text('{"positions": [{"path": 1}]}')
    outcome = once(log)
    assert (outcome.code, server.requests) == (2, [])
    assert "holds no positions" in outcome.err
    (tmp_path / "state" / "positions.json").unlink()
    (tmp_path / "state").rename(tmp_path / "elsewhere")
    (tmp_path / "state").write_text("a file")
    assert once(log).code == 2


# Following.


@pytest.mark.slow
def test_new_lines_are_sent_and_old_ones_are_not(
    server: IngestServer, ship: Ship, tmp_path: Path
) -> None:
    log = tmp_path / "x.log"
    log.write_text("old\nhal")
    with ship(log) as running:
        running.wait_until_it_follows()
        append(log, "f\nnew\nunfinished")
        server.wait_for("half", "new")
        append(log, " business\n")
        server.wait_for("unfinished business")
        assert running.end() == 0
        assert running.err == ""
    assert server.messages == ["half", "new", "unfinished business"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_with_the_position_saved(
    server: IngestServer, ship: Ship, tmp_path: Path, name: signal.Signals
) -> None:
    log = tmp_path / "x.log"
    log.write_text("1\n")
    with ship(log, "--from-start") as running:
        server.wait_for("1")
        server.gate.clear()
        append(log, "2\n")
        wait_until(lambda: len(server.requests) == 2)
        running.process.send_signal(name)  # in the middle of a request: its answer is awaited
        server.gate.set()
        assert running.process.wait(30) == 0
    append(log, "3\n")
    with ship(log):
        server.wait_for("3")
    assert server.messages == ["1", "2", "3"]


@pytest.mark.slow
def test_signal_ends_the_waiting_for_a_server(ship: Ship, tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("1\n")
    nowhere = f"http://127.0.0.1:{servers.free_port()}"
    with ship(log, "--from-start", "--url", nowhere, "--token", "t") as running:
        wait_until(lambda: "Waiting; nothing is lost" in running.err)
        assert running.end() == 0
        assert "ended before the server had everything" in running.err


@pytest.mark.slow
def test_killed_ship_loses_nothing(server: IngestServer, ship: Ship, tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("0\n")
    for round_number in range(5):
        with ship(log, "--from-start") as running:
            append(log, "".join(f"{round_number}-{number}\n" for number in range(100)))
            wait_until(lambda: bool(server.requests))
            running.process.kill()
            running.process.wait()
        server.requests.clear()
    with ship(log):
        server.wait_for("4-99")
    wanted = ["0", *(f"{r}-{n}" for r in range(5) for n in range(100))]
    assert list(dict.fromkeys(server.messages)) == wanted


@pytest.mark.slow
def test_patterns_take_in_files_that_come_later(
    server: IngestServer, ship: Ship, tmp_path: Path
) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.log").write_text("old\n")
    with ship(tmp_path / "logs" / "*.log") as running:
        running.wait_until_it_follows()
        append(tmp_path / "logs" / "b.log", "b1\n")
        append(tmp_path / "logs" / "a.log", "a1\n")
        server.wait_for("a1", "b1")
        (tmp_path / "logs" / "b.log").unlink()
        append(tmp_path / "logs" / "b.log", "b2\n")
        server.wait_for("b2")
        running.end()
    assert sorted(server.messages) == ["a1", "b1", "b2"]


@pytest.mark.slow
def test_file_that_is_not_there_yet_is_waited_for(
    server: IngestServer, ship: Ship, tmp_path: Path
) -> None:
    log = tmp_path / "x.log"
    with ship(log) as running:
        running.wait_until_it_follows()
        append(log, "first\n")
        server.wait_for("first")
        assert running.err.count("No such file or directory") == 1


@pytest.mark.slow
def test_state_directory_is_for_one_at_a_time(
    server: IngestServer, ship: Ship, once: Once, tmp_path: Path
) -> None:
    log = tmp_path / "x.log"
    log.write_text("1\n")
    with ship(log) as running:
        running.wait_until_it_follows()
        outcome = once(log)
        assert outcome.code == 2
        assert "Another ship uses" in outcome.err


@pytest.mark.slow
def test_idle_ship_takes_no_processor_time(
    server: IngestServer, ship: Ship, tmp_path: Path
) -> None:
    log = tmp_path / "x.log"
    log.write_text("1\n")
    with ship(log, "--from-start") as running:
        server.wait_for("1")
        stat = Path(f"/proc/{running.process.pid}/stat")

        def ticks() -> list[int]:
            fields = stat.read_text().rpartition(")")[2].split()
            return [int(fields[11]) + int(fields[12]), int(fields[19])]

        before = ticks()[0]
        started = os.times().elapsed
        wait_until(lambda: os.times().elapsed - started > 2)
        assert (ticks()[0] - before) / os.sysconf("SC_CLK_TCK") < 0.1
        assert len(server.requests) == 1


# Lines.


def pieces_of(path: Path, *, is_final: bool = True) -> list[Piece]:
    file, pieces = FollowedFile(path, str(path)), []
    try:
        while found := file.pull(is_final=is_final):
            pieces += found
    finally:
        file.close()
    return pieces


@given(
    st.lists(st.text(st.characters(exclude_characters="\n"), max_size=60), min_size=1),
    st.integers(8, 64), st.integers(16, 64), st.integers(8, 16),
)  # fmt: skip
def test_pieces_are_the_file_whatever_the_limits(
    texts: list[str], read: int, longest: int, part: int
) -> None:
    content = "\n".join(texts).encode("utf-8", "surrogatepass")
    with servers.own_directory("qd-ship-") as directory, pytest.MonkeyPatch.context() as patch:
        for name, value in (("READ", read), ("LONGEST", longest), ("PART", part)):
            patch.setattr(followed, name, value)
        path = directory / "x.log"
        path.write_bytes(content)
        pieces = pieces_of(path)
    end = 0
    for piece in pieces:
        assert piece.start == end
        assert content[piece.start : piece.end].removesuffix(b"\n") == piece.raw
        end = piece.end
    assert end == len(content)
    lines = [b""]
    for piece in pieces:
        lines[-1] += piece.raw
        if not piece.next_part:
            lines.append(b"")
    assert [line for line in lines if line] == [line for line in content.split(b"\n") if line]


@given(st.text(), st.integers(4, 9))
def test_parts_cut_no_character(text: str, size: int) -> None:
    raw = text.encode("utf-8", "surrogatepass")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(followed, "PART", size)
        parts = parts_of(raw)
    assert b"".join(parts) == raw
    assert all(part.decode("utf-8", "surrogatepass") for part in parts)


@pytest.mark.slow
def test_overlong_line_is_sent_in_parts_that_do_not_wait_for_its_end(
    server: IngestServer, ship: Ship, tmp_path: Path
) -> None:
    log = tmp_path / "x.log"
    log.write_text("before\n" + "é" * (9 * MIB))  # 18 MiB, and no line feed
    with ship(log, "--from-start") as running:
        wait_until(lambda: len(server.logs) == 18)
        assert running.end() == 0
    append(log, "the end\nafter\n")
    with ship(log) as running:
        server.wait_for("after")
        running.end()
    assert server.messages[0] == "before"
    assert server.messages[-1] == "after"
    parts = server.logs[1:-1]
    assert "".join(log["message"] for log in parts) == "é" * (9 * MIB) + "the end"
    assert [log["metadata"]["part"] for log in parts] == list(range(1, len(parts) + 1))


def test_long_text_is_cut_and_long_json_is_not(
    server: IngestServer, once: Once, tmp_path: Path
) -> None:
    log = tmp_path / "x.log"
    log.write_text("x" * (3 * MIB) + "\n" + json.dumps({"message": "y" * (3 * MIB)}) + "\n")
    once(log)
    assert [len(message) for message in server.messages] == [MIB, MIB, MIB, 3 * MIB]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\xff\xfe x", "\\xff\\xfe x"), (b"\0\0\0hello", "hello"), (b"a\0b", "a\0b"),
        (b"x\r", "x"), (b'{"message": "\xff"}', '{"message": "\\xff"}'),
        (b"[" * 100_000, "[" * 100_000), (b'{"a":' * 100_000, '{"a":' * 100_000),
    ],
    ids=range(7),
)  # fmt: skip
def test_text_of_any_bytes_can_be_read(raw: bytes, message: str) -> None:
    piece = Piece(raw, 0, len(raw), 0, 0)
    (line,) = Wording(Format.AUTO, "s").lines("/x.log", piece)
    assert json.loads(line) == {"message": message, "service": "s", "metadata": {"file": "/x.log"}}


def test_names_of_rotated_files_are_known(tmp_path: Path) -> None:
    rotated = [
        "app.log.1", "app.log.12", "app.log-20261124", "app.log.2026-11-24", "app-2026-11-24.log",
        "app.1.log", "app.log.old", "app.log.2026-11-24_10:00:00",
    ]  # fmt: skip
    others = ["app.log", "app.log.1.gz", "app.log.swp", "other.log.1", "app.log.lock", "app2.log"]
    for name in (*rotated, *others):
        (tmp_path / name).touch()
    found = rotated_since(str(tmp_path / "app.log"), 0)
    assert sorted(path.name for path in found) == sorted(rotated)
