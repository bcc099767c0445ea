"""`quarterdeck logs` against a real HTTP server: what is asked, shown, followed, exited with."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

import servers
from acceptance.server_process import wait_until
from ingest_server import PATH, Failure, IngestServer, ingest_server
from quarterdeck.cli.events import Event, read_events
from quarterdeck.cli.log_lines import rendered
from quarterdeck.cli.logs import moment
from quarterdeck.cli.main import run

TRACE = 'Traceback (most recent call last):\n\tFile "x.py"\nValueError: no'


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[IngestServer]:
    with ingest_server() as running:
        monkeypatch.setenv("QUARTERDECK_URL", running.url)
        monkeypatch.setenv("QUARTERDECK_TOKEN", "qd_ops_secret")
        yield running


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


Cli = Callable[..., Outcome]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    def call(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["quarterdeck", *arguments])
        with pytest.raises(SystemExit) as ended:
            run()
        captured = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), captured.out, captured.err)

    return call


def asked(server: IngestServer, number: int = 0) -> dict[str, str]:
    """The parameters of a request."""
    query = parse_qs(urlsplit(server.requests[number].path).query)
    return {name: values[0] for name, values in query.items()}


def test_lines_are_readable_and_newest_first(server: IngestServer, cli: Cli) -> None:
    server.add(message="older", timestamp="2026-11-24T09:00:00.000000Z")
    server.add(
        message="refused by mx1", level="error", service="smtp", request_id="req_1", user_id="u",
        metadata={"attempt": 3, "ok": None, "why": "too busy", "peer": {"host": "mx1"}, "e": ""},
        marks=["cut"],
    )  # fmt: skip
    outcome = cli("logs")
    assert outcome.code == 0
    assert outcome.out.splitlines() == [
        "2026-11-24T10:00:00.000000Z  ERROR    smtp  refused by mx1  request_id=req_1  user_id=u"
        '  attempt=3  ok=null  why="too busy"  peer.host=mx1  e=""  marks=cut',
        "2026-11-24T09:00:00.000000Z  INFO     api  older",
    ]
    assert outcome.err == "2 of 2 lines\n"
    assert server.requests[0].headers["authorization"] == "Bearer qd_ops_secret"


def test_stack_traces_and_further_lines_are_indented_below(server: IngestServer, cli: Cli) -> None:
    metadata = {"error": {"type": "ValueError", "stack_trace": TRACE}}
    server.add(message="failed\r\n  because", metadata=metadata)
    assert cli("logs").out.splitlines()[1:] == [
        "      because",
        "    error.stack_trace:",
        "        Traceback (most recent call last):",
        '            File "x.py"',
        "        ValueError: no",
    ]


def test_all_filters_are_sent(server: IngestServer, cli: Cli) -> None:
    outcome = cli(
        "logs", "level:error timeout", "--since", "2026-11-24", "--until",
        "2026-11-25T01:00:00+02:00", "--level", "error", "--min-level", "info", "--service", "a b",
        "--request-id", "r", "--user-id", "u", "--tenant-id", "t", "--limit", "7",
    )  # fmt: skip
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "0 of 0 lines\n")
    assert asked(server) == {
        "query": "level:error timeout", "start_time": "2026-11-24T00:00:00Z",
        "end_time": "2026-11-24T23:00:00Z", "level": "error", "min_level": "info",
        "service": "a b", "request_id": "r", "user_id": "u", "tenant_id": "t", "limit": "7",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "ago"),
    [("90s", timedelta(seconds=90)), ("15m", timedelta(minutes=15)), ("1h", timedelta(hours=1)),
     ("2d", timedelta(days=2)), ("3w", timedelta(weeks=3)), ("0s", timedelta())],
)  # fmt: skip
def test_spans_count_back_from_now(text: str, ago: timedelta) -> None:
    before = datetime.now(UTC)
    found = datetime.fromisoformat(moment(text, "--since") or "")
    assert before - ago <= found <= datetime.now(UTC) - ago


@pytest.mark.parametrize("text", ["yesterday", "", "1y", "-1h", "999999w", "2026-13-01", "1 h"])
def test_what_is_no_time_is_wrong_usage(server: IngestServer, cli: Cli, text: str) -> None:
    outcome = cli("logs", "--since", text)
    assert (outcome.code, server.requests) == (2, [])
    with pytest.raises(typer.BadParameter, match="is no time"):
        moment(text, "--since")


def test_more_than_a_page_is_paged_by_cursor(server: IngestServer, cli: Cli) -> None:
    for number in range(300):
        server.add(message=str(number))
    outcome = cli("logs", "--limit", "250", "--json")
    assert outcome.err == "250 of 300 lines\n"
    messages = [json.loads(line)["message"] for line in outcome.out.splitlines()]
    assert messages == [str(number) for number in range(299, 49, -1)]
    wanted = [asked(server, n) for n in range(3)]
    assert [(query["limit"], query.get("cursor")) for query in wanted] == [
        ("100", None), ("100", "100"), ("50", "200"),
    ]  # fmt: skip


def test_rate_limit_between_pages_is_waited_for(server: IngestServer, cli: Cli) -> None:
    for number in range(150):
        server.add(message=str(number))
    server.get_failures.append(Failure(429, {"Retry-After": "0"}))
    assert cli("logs", "--limit", "150").code == 1  # at once: that is the user's to know

    server.requests.clear()
    original = server.find

    def limited(query: dict[str, str]) -> list[dict[str, Any]]:
        if "cursor" not in query:
            server.get_failures.append(Failure(429, {"Retry-After": "0"}))
        return original(query)

    server.find = limited  # type: ignore[method-assign]
    outcome = cli("logs", "--limit", "150")
    assert outcome.code == 0
    assert outcome.err.splitlines() == [
        "The server's rate limit is reached; going on in 0 s.", "150 of 150 lines",
    ]  # fmt: skip


def test_json_is_one_object_a_line_in_ascii(server: IngestServer, cli: Cli) -> None:
    log = server.add(message="été\n\x1b[2J", metadata={"a": {"b": [1]}})
    outcome = cli("logs", "--json")
    assert outcome.out.isascii()
    (line,) = outcome.out.splitlines()
    assert json.loads(line) == log


def test_bad_query_is_told_in_the_servers_words(server: IngestServer, cli: Cli) -> None:
    outcome = cli("logs", "(")
    assert (outcome.code, outcome.out, outcome.err) == (1, "", "quarterdeck: It said 400.\n")


@pytest.mark.parametrize(
    "arguments", [("--limit", "0"), ("--follow", "--until", "1h"), ("--nope",), ("a", "b")]
)
def test_wrong_usage_asks_nothing(
    server: IngestServer, cli: Cli, arguments: tuple[str, ...]
) -> None:
    assert cli("logs", *arguments).code == 2
    assert server.requests == []


def test_nothing_there_is_unreachable(cli: Cli) -> None:
    nowhere = f"http://127.0.0.1:{servers.free_port()}"
    for more in ([], ["--follow"]):
        assert cli("logs", "--url", nowhere, *more).code == 3


def test_terminal_escapes_are_not_obeyed(server: IngestServer, cli: Cli) -> None:
    evil = "\x1b]0;owned\x07[red]\u202e\x85\x9b31m"
    server.add(message=evil, service=evil, metadata={evil: evil, "block": f"{evil}\n{evil}"})
    server.add(message="a\n" + evil, level=evil, timestamp=evil, request_id=evil)
    out = cli("logs").out
    assert "\\x1b]0;owned\\x07[red]\\u202e\\x85\\x9b31m" in out
    assert all(char.isprintable() or char == "\n" for char in out)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.none() | st.text() | st.integers() | st.dictionaries(
                st.text(), st.text() | st.dictionaries(st.text(), st.text()) | st.lists(st.text())
            )
            for name in ("timestamp", "level", "service", "message", "metadata", "marks", "user_id")
        },
    )
)  # fmt: skip
def test_whatever_a_server_says_can_be_shown(log: dict[str, Any]) -> None:
    assert all(char.isprintable() or char == "\n" for char in rendered(log).plain)


def test_terminal_gets_colour(server: IngestServer) -> None:
    server.add(message="x", level="error", metadata={"a": 1})
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "60", "TERM": "xterm-256color", "NO_COLOR": ""}
    with servers.running(
        [sys.executable, "-m", "quarterdeck", "logs"],
        stdout=theirs, stderr=subprocess.DEVNULL, env=environment,
    ) as process:  # fmt: skip
        assert process.wait(60) == 0
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "\x1b[1;31mERROR  \x1b[0m" in shown
    assert "\x1b[2m  a=1\x1b[0m" in shown


# Following. The command runs as a process of its own, as it does for people.


class Running:
    """A command with its output in files."""

    def __init__(self, directory: Path, process: "subprocess.Popen[bytes]") -> None:
        self._directory = directory
        self.process = process

    @property
    def messages(self) -> list[str]:
        text = (self._directory / "out").read_text()
        lines = text.splitlines(keepends=True)
        return [json.loads(line)["message"] for line in lines if line.endswith("\n")]

    @property
    def err(self) -> str:
        return (self._directory / "err").read_text()

    def wait_for(self, *messages: str) -> None:
        wait_until(lambda: self.messages == list(messages))


@contextmanager
def following(directory: Path, *arguments: str) -> Iterator[Running]:
    with (directory / "out").open("wb") as out, (directory / "err").open("wb") as err:
        command = [sys.executable, "-m", "quarterdeck", "logs", "--follow", "--json", *arguments]
        with servers.running(command, stdout=out, stderr=err) as process:
            yield Running(directory, process)


def test_follow_shows_the_page_and_then_what_comes(server: IngestServer, tmp_path: Path) -> None:
    for number in range(5):
        server.add(message=f"before {number}")
    with following(tmp_path, "--limit", "2", "--service", "api") as running:
        running.wait_for("before 3", "before 4")
        server.add(message="after 0")
        server.add(message="of another", service="other")
        server.add(message="after 1")
        running.wait_for("before 3", "before 4", "after 0", "after 1")
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(30) == 130
        assert running.err == ""


def test_follow_shows_once_what_comes_between_tail_and_page(
    server: IngestServer, tmp_path: Path
) -> None:
    original = server.find

    def late(query: dict[str, str]) -> list[dict[str, Any]]:
        # The tail is open already: this line is in it and in the page.
        wait_until(lambda: server.tails == 1)
        server.add(message="between")
        return original(query)

    server.find = late  # type: ignore[method-assign]
    with following(tmp_path) as running:
        running.wait_for("between")
        server.add(message="after")
        running.wait_for("between", "after")


@pytest.mark.slow
def test_follow_misses_and_doubles_nothing_when_connections_break(
    server: IngestServer, tmp_path: Path
) -> None:
    server.tails_end_after = 3
    server.add(message="0")
    expected = ["0"]
    with following(tmp_path) as running:
        running.wait_for("0")
        for number in range(1, 11):
            if number == 5:
                server.get_failures.extend([Failure(503), Failure(), Failure(429)])
            server.add(message=str(number))
            expected.append(str(number))
        running.wait_for(*expected)
        tails = [r for r in server.requests if r.path.startswith(f"{PATH}/tail")]
        assert "last-event-id" not in tails[0].headers
        assert all("last-event-id" in request.headers for request in tails[1:])
        assert len(tails) >= 4


def test_follow_from_nothing_resumes_when_the_connection_breaks(
    server: IngestServer, tmp_path: Path
) -> None:
    with following(tmp_path) as running:
        wait_until(lambda: server.tails == 1)
        server.tail_error = {"code": "SOURCE_UNAVAILABLE", "message": "It goes down.\x1b"}
        with server.changed:
            server.changed.notify_all()
        wait_until(lambda: "It goes down.\\x1b" in running.err)
        server.add(message="while away")
        server.tail_error = None
        running.wait_for("while away")


@pytest.mark.slow
def test_follow_ends_when_trying_again_is_no_use(server: IngestServer, tmp_path: Path) -> None:
    server.tails_end_after = 2
    with following(tmp_path) as running:
        wait_until(lambda: server.tails == 1)
        server.add(message="w")
        # By now it has asked for all that it asks for at first: the failure is for what follows.
        wait_until(lambda: running.messages == ["w"])
        server.get_failures.append(Failure(401))
        server.add(message="x")
        assert running.process.wait(30) == 4
        assert running.messages == ["w", "x"]
        assert "QUARTERDECK_TOKEN" in running.err


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_broken_pipe_is_quiet(server: IngestServer, more: list[str]) -> None:
    for number in range(3000):
        server.add(message=f"{number} " + "x" * 100)
    command = f"{sys.executable} -m quarterdeck logs --limit 3000 {' '.join(more)}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{command} | head -n 2"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"", []),
        (b": alive\n\n", []),
        (b"data: a\n\n", [("message", "a", None)]),
        (b"id: 1\nevent: log\ndata: a\ndata:b\ndata:  c\n\n", [("log", "a\nb\n c", "1")]),
        (b"id: 1\n\ndata: x\n\n", [("message", "", "1"), ("message", "x", "1")]),
        (b"id: 1\r\ndata: x\r\n\r\n", [("message", "x", "1")]),
        (b"id: 2\ndata: cut o", []),
        (b"event: log\n\ndata: x\n\n", [("message", "x", None)]),
        (b"id: a\0b\nretry: 5\nfoo\ndata\n\n", [("message", "", None)]),
        (b"data: \xff\n\n", [("message", "\ufffd", None)]),
    ],
)
def test_events_are_read_as_the_standard_says(
    stream: bytes, events: list[tuple[str, str, str | None]]
) -> None:
    assert list(read_events(stream.splitlines(keepends=True))) == [Event(*e) for e in events]
