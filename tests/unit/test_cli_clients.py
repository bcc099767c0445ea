"""The clients of the HTTP API against a real HTTP server: what is sent, shown and exited with."""

import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

import servers
from quarterdeck.cli.main import run

PREFIX = "/api/v1/platform/system"
QUEUE = {
    "name": "queue:email-sending", "priority": "normal", "active_jobs": 5, "waiting_jobs": 250,
    "completed_last_hour": None, "failed_jobs": 0, "status": "warning", "paused": False,
    "source": "demo", "oldest_waiting_age_s": 200.4,
}  # fmt: skip
JOB = {
    "id": "am9iXzEyMwam9iXzEyMwam9iXzEyMwam9iXzEyMwam9iXzEyMwam9iXzEyMw", "status": "failed",
    "queue": "queue:email-sending", "payload": {"campaign_id": "cmp_1"}, "attempts": 3,
    "error": {"message": "SMTP connection timeout", "stack_trace": "..."},
    "created_at": "2025-12-04T10:00:00Z", "updated_at": "2025-12-04T10:15:00Z",
}  # fmt: skip


def ok(data: object) -> tuple[int, bytes]:
    return 200, json.dumps({"success": True, "data": data}).encode()


def refused(status: int, code: str, message: str) -> tuple[int, bytes]:
    error = {"code": code, "message": message, "details": [], "request_id": "req_1"}
    return status, json.dumps({"success": False, "error": error}).encode()


@dataclass
class Server:
    """Answers what `answers` says for "METHOD path", and notes what it was asked."""

    url: str = ""
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)

    def answer(self, method: str, path: str, reply: tuple[int, bytes]) -> None:
        self.answers[f"{method} {PREFIX}{path}"] = reply


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def _reply(self) -> None:
            request = f"{self.command} {self.path}"
            state.asked.append(request.replace(PREFIX, ""))
            state.authorizations.append(self.headers.get("Authorization"))
            missing = refused(404, "NOT_FOUND", "There is no such queue.")
            status, body = state.answers.get(request, missing)
            self.send_response(status)
            self.send_header("Location", "http://203.0.113.1/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = _reply  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            pass

    listening = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    state.url = f"http://127.0.0.1:{listening.server_port}"
    monkeypatch.setenv("QUARTERDECK_URL", state.url)
    monkeypatch.setenv("QUARTERDECK_TOKEN", "qd_ops_secret")
    yield state
    listening.shutdown()
    thread.join()
    listening.server_close()


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


def test_queues_prints_a_table_without_colour(server: Server, cli: Cli) -> None:
    server.answer("GET", "/queues", ok({"queues": [QUEUE], "sources": []}))
    outcome = cli("queues")
    assert outcome.code == 0
    header, row = outcome.out.splitlines()
    assert header.split() == [
        "queue", "status", "paused", "waiting", "active", "failed", "completed/h", "oldest",
    ]  # fmt: skip
    # Unknown is a question mark, zero is zero.
    assert row.split() == ["queue:email-sending", "warning", "no", "250", "5", "0", "?", "3", "min"]
    assert "\x1b" not in outcome.out
    assert server.authorizations == ["Bearer qd_ops_secret"]


def test_queues_with_a_dead_source_warns_and_succeeds(server: Server, cli: Cli) -> None:
    dead = QUEUE | dict.fromkeys(("active_jobs", "waiting_jobs", "failed_jobs", "paused"))
    source = {"name": "pg", "kind": "sql", "health": "unavailable", "error": "Connection refused."}
    alive = {"name": "demo", "kind": "sql", "health": "ok", "error": None}
    server.answer("GET", "/queues", ok({"queues": [dead], "sources": [source, alive]}))
    outcome = cli("queues")
    assert outcome.code == 0
    assert outcome.err == "Warning: source pg does not answer: Connection refused.\n"
    assert outcome.out.splitlines()[1].split()[2:7] == ["?"] * 5


def test_json_prints_the_data_object(server: Server, cli: Cli) -> None:
    data = {"queues": [QUEUE | {"name": "queue:été"}], "sources": []}
    server.answer("GET", "/queues?source=de%2Fmo", ok(data))
    outcome = cli("queues", "--json", "--source", "de/mo")
    assert (outcome.code, json.loads(outcome.out), outcome.err) == (0, data, "")


def test_jobs_passes_the_filters_and_keeps_ids_whole(server: Server, cli: Cli) -> None:
    long = JOB | {"error": {"message": "x" * 300, "stack_trace": None}}
    page = {"total": 125, "limit": 2, "offset": 50, "total_kind": "exact"}
    server.answer(
        "GET", "/queues/queue%3Aa%2Fb%20%25/jobs?status=failed&limit=2&offset=50&q=cmp+1",
        ok({"jobs": [JOB, long], "pagination": page}),
    )  # fmt: skip
    outcome = cli(
        "jobs", "queue:a/b %", "--status", "failed", "--limit", "2", "--offset", "50",
        "--q", "cmp 1",
    )  # fmt: skip
    assert outcome.code == 0
    header, first, second = outcome.out.splitlines()
    assert header.split() == ["id", "status", "attempts", "created", "updated", "error"]
    assert first.split()[:3] == [JOB["id"], "failed", "3"]
    assert second.endswith("x" * 300)
    assert outcome.err == "jobs 51-52 of 125\n"


def test_jobs_total_that_was_capped_is_a_lower_bound(server: Server, cli: Cli) -> None:
    page = {"total": 10000, "limit": 50, "offset": 0, "total_kind": "capped"}
    jobs = ok({"jobs": [], "pagination": page})
    server.answer("GET", "/queues/queue%3Aa/jobs", jobs)
    assert cli("jobs", "queue:a").err == "no jobs here, of at least 10000\n"


def test_queue_name_without_prefix_is_tried_as_given_first(server: Server, cli: Cli) -> None:
    paused = ok({"queue": "queue:mail", "status": "paused", "timestamp": "2025-12-04T12:00:00Z"})
    server.answer("POST", "/queues/queue%3Amail/pause", paused)
    outcome = cli("pause", "mail")
    assert (outcome.code, outcome.out) == (0, "queue:mail is paused\n")
    assert server.asked == ["POST /queues/mail/pause", "POST /queues/queue%3Amail/pause"]


def test_a_pause_says_how_far_it_may_reach(server: Server, cli: Cli) -> None:
    paused = ok({"queue": "queue:mail", "status": "paused", "affected": ["queue:a", "queue:mail"]})
    server.answer("POST", "/queues/queue%3Amail/pause?source=rq&scope=global", paused)
    outcome = cli("pause", "queue:mail", "--source", "rq", "--scope", "global")
    assert (outcome.code, outcome.err) == (0, "Also paused: queue:a\n")


def test_queue_that_does_not_exist_is_refused(server: Server, cli: Cli) -> None:
    outcome = cli("resume", "queue:nope")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == "quarterdeck: There is no such queue.\n"
    assert len(server.asked) == 1


def test_resume_tells_that_nothing_changed_and_what_else_did(server: Server, cli: Cli) -> None:
    data = {
        "queue": "queue:mail", "status": "resumed", "changed": False,
        "affected": ["queue:mail", "queue:mail:low"], "notes": ["Workers see it within 5 s."],
    }  # fmt: skip
    server.answer("POST", "/queues/queue%3Amail/resume", ok(data))
    outcome = cli("resume", "queue:mail")
    assert outcome.out == "queue:mail is resumed (it was already)\n"
    assert outcome.err == "Also resumed: queue:mail:low\nNote: Workers see it within 5 s.\n"


@pytest.mark.parametrize(
    ("reset", "told"),
    [(True, "start from zero"), (False, "go on from where they were"), (None, "are unknown")],
)
def test_retry_tells_what_happened_to_the_attempts(
    server: Server, cli: Cli, reset: bool | None, told: str
) -> None:
    data = {"job_id": "a/b", "status": "queued", "attempts_reset": reset}
    server.answer("POST", "/jobs/a%2Fb/retry", ok(data))
    outcome = cli("retry", "a/b")
    assert (outcome.code, outcome.out) == (0, f"a/b is queued; its attempts {told}\n")


SERVICE = {
    "name": "API Server", "status": "degraded", "stale": False, "since": "2025-12-04T10:00:00Z",
    "reason": "p95 is 1200 ms", "response_time_ms": {"avg": 300.0, "p95": 1200.5, "p99": 2000.0},
    "error_rate_percent": None,
}  # fmt: skip
ALERT = {
    "id": "alert_1", "timestamp": "2025-12-04T11:30:00Z", "severity": "error", "service": "SMTP",
    "message": "Queue size exceeded", "acknowledged": True, "status": "firing",
}  # fmt: skip


def test_health_shows_what_is_measured_and_who_is_offline(server: Server, cli: Cli) -> None:
    monitor = {"online": False, "reason": "This monitor has lost its network."}
    server.answer("GET", "/infrastructure/health", ok({"services": [SERVICE], "monitor": monitor}))
    outcome = cli("health")
    assert outcome.code == 0
    row = outcome.out.splitlines()[1]
    assert row.split()[:6] == ["API", "Server", "degraded", "yes", "1200.5", "-"]
    assert row.endswith("p95 is 1200 ms")
    assert outcome.err == "Warning: This monitor has lost its network.\n"
    assert json.loads(cli("health", "--json").out)["services"] == [SERVICE]


def test_alerts_are_listed_and_one_is_acknowledged(server: Server, cli: Cli) -> None:
    path = "/infrastructure/alerts?hours=48&severity=error"
    server.answer("GET", path, ok({"alerts": [ALERT]}))
    outcome = cli("alerts", "--hours", "48", "--severity", "error")
    assert outcome.out.splitlines()[1].split()[3:5] == ["acknowledged", "SMTP"]
    assert json.loads(cli("alerts", "--hours", "48", "--severity", "error", "--json").out)
    done = ok(ALERT | {"acknowledged_by": "ops laptop"})
    server.answer("POST", "/infrastructure/alerts/alert_1/acknowledge", done)
    outcome = cli("acknowledge", "alert_1", "--note", "on it")
    assert (outcome.code, outcome.out) == (0, "alert_1 is acknowledged by ops laptop\n")


def test_delete_with_yes_deletes(server: Server, cli: Cli) -> None:
    server.answer("DELETE", "/jobs/j1", ok({"job_id": "j1", "status": "cancel_requested"}))
    outcome = cli("delete", "j1", "--yes")
    assert (outcome.code, outcome.out) == (0, "j1 is cancel requested\n")


def test_delete_where_nobody_can_answer_needs_yes(
    server: Server, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path(os.devnull).open(encoding="utf-8") as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        outcome = cli("delete", "j1")
    assert (outcome.code, server.asked) == (2, [])
    assert "--yes" in outcome.err


@pytest.mark.parametrize(("answer", "code", "calls"), [(b"y\n", 0, 1), (b"n\n", 1, 0)])
def test_delete_on_a_terminal_asks(server: Server, answer: bytes, code: int, calls: int) -> None:
    server.answer("DELETE", "/jobs/j1", ok({"job_id": "j1", "status": "deleted"}))
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    command = [sys.executable, "-m", "quarterdeck", "delete", "j1"]
    done = subprocess.run(command, stdin=theirs, capture_output=True, timeout=60, check=False)
    os.close(ours)
    os.close(theirs)
    assert (done.returncode, len(server.asked)) == (code, calls)
    assert b"Delete j1 for good?" in done.stderr


def test_terminal_gets_colour_beside_the_text(server: Server) -> None:
    job = JOB | {"error": {"message": "first\nsecond " + "x" * 300, "stack_trace": None}}
    data = {"jobs": [job], "pagination": {"total": 1, "limit": 50, "offset": 0}}
    server.answer("GET", "/queues/q/jobs", ok(data))
    ours, theirs = pty.openpty()
    with servers.running(
        [sys.executable, "-m", "quarterdeck", "jobs", "q"],
        stdout=theirs, stderr=subprocess.DEVNULL,
        env={**os.environ, "COLUMNS": "160", "TERM": "xterm-256color", "NO_COLOR": ""},
    ) as process:  # fmt: skip
        assert process.wait(60) == 0
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    row = shown.splitlines()[1]
    assert "\x1b[1;31mfailed\x1b[0m" in row
    assert str(JOB["id"]) in row
    assert "first\\nsecond" in row
    assert "x" * 100 not in row


def test_terminal_escapes_of_the_server_are_not_obeyed(server: Server, cli: Cli) -> None:
    evil = QUEUE | {"name": "queue:\x1b]0;owned\x07[red]\u202e", "status": "new\nline"}
    server.answer("GET", "/queues", ok({"queues": [evil], "sources": []}))
    outcome = cli("queues")
    assert "queue:\\x1b]0;owned\\x07[red]\\u202e" in outcome.out
    assert "new\\nline" in outcome.out
    server.answer("GET", "/queues", refused(403, "FORBIDDEN", "no \x1b[2J way"))
    assert cli("queues").err == "quarterdeck: no \\x1b[2J way\n"


@pytest.mark.parametrize(
    ("status", "code"), [(400, 1), (403, 1), (404, 1), (409, 1), (429, 1), (503, 1), (401, 4)]
)
def test_refusals_have_exit_codes(server: Server, cli: Cli, status: int, code: int) -> None:
    server.answer("POST", "/jobs/j1/retry", refused(status, "SOME_CODE", "It said no."))
    outcome = cli("retry", "j1", "--json")
    assert (outcome.code, outcome.out) == (code, "")
    assert outcome.err.startswith("quarterdeck: It said no.")
    assert ("req_1" in outcome.err) == (status >= 500)


@pytest.mark.parametrize(
    "reply",
    [
        (200, b"<html>hello</html>"), (502, b"<html>bad gateway</html>"), (200, b"[]"), (200, b""),
        (200, b'{"success": true}'), (200, b"\xff\xfe"), (302, b""), (500, b'{"error": "no"}'),
    ],
)  # fmt: skip
def test_answers_of_other_programs_are_no_answers(
    server: Server, cli: Cli, reply: tuple[int, bytes]
) -> None:
    server.answer("GET", "/queues", reply)
    outcome = cli("queues")
    assert (outcome.code, outcome.out) == (3, "")
    assert f"status {reply[0]}, but not as Quarterdeck does" in outcome.err
    assert len(server.asked) == 1  # no redirect was followed, so the token went nowhere


def test_server_that_is_not_there_is_unreachable(cli: Cli) -> None:
    outcome = cli("queues", "--url", f"http://127.0.0.1:{servers.free_port()}", "--token", "t")
    assert outcome.code == 3
    assert "Connection refused" in outcome.err
    assert len(outcome.err.splitlines()) == 1


@pytest.mark.parametrize(
    "url",
    ["ftp://x", "127.0.0.1:8080", "http://", "http://x:99999", "http://me:secret@x", "http://[::1"],
)
def test_wrong_url_is_a_usage_error_that_repeats_no_secret(cli: Cli, url: str) -> None:
    outcome = cli("queues", "--url", url)
    assert outcome.code == 2
    assert "must look like http://127.0.0.1:8080" in outcome.err
    assert "secret" not in outcome.err


def test_token_with_a_line_break_is_a_usage_error(server: Server, cli: Cli) -> None:
    outcome = cli("queues", "--token", "qd_a\r\nX-Evil: 1")
    assert (outcome.code, server.asked) == (2, [])


def test_url_may_have_a_path_and_flags_win(server: Server, cli: Cli) -> None:
    server.answers[f"GET /ops{PREFIX}/queues"] = ok({"queues": [], "sources": []})
    outcome = cli("queues", "--url", f"{server.url}/ops/", "--token", "other")
    assert (outcome.code, server.authorizations) == (0, ["Bearer other"])


def test_unknown_fields_are_question_marks(server: Server, cli: Cli) -> None:
    bare: dict[str, Any] = {"queues": [{}], "sources": []}
    server.answer("GET", "/queues", ok(bare))
    assert cli("queues").out.splitlines()[1].split() == ["?"] * 8


def test_wrong_usage_is_exit_code_2(cli: Cli) -> None:
    assert cli("jobs").code == 2
    assert cli("queues", "--nope").code == 2
    assert cli("nope").code == 2


def test_help_documents_the_exit_codes(cli: Cli) -> None:
    for arguments in (["--help"], ["queues", "--help"], ["token", "create", "--help"]):
        outcome = cli(*arguments)
        assert outcome.code == 0
        for words in ("0 done", "1 the server refused", "2 wrong usage", "3 the", "4 not signed"):
            assert words in " ".join(outcome.out.split())


def test_help_imports_no_server(cli: Cli) -> None:
    code = (
        "import sys, quarterdeck.cli.main;"
        "print([m for m in ('litestar', 'sqlalchemy', 'aiohttp', 'uvicorn') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
