"""Start, stop, and what breaks in between."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from acceptance.seeding import execute, seed
from acceptance.server_process import ServerProcess, wait_until


def test_second_server_on_the_data_directory_is_refused(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server()
    second = server.run("serve", "--port", "0")
    assert second.returncode == 2
    assert "Another server" in second.stderr
    assert "Traceback" not in second.stderr
    assert server.get("/queues").status == 200


def test_taken_port_is_refused_with_a_hint(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server()
    other = ServerProcess(server.directory.parent / "other")
    other.directory.mkdir()
    refused = other.run("serve", "--port", str(server.port))
    assert refused.returncode == 2
    assert "--port" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_sigterm_ends_with_zero_and_the_next_start_works(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server()
    seed(server, "kept", waiting=2)
    assert server.stop() == 0
    server.start()
    assert server.get("/queues/queue:kept").data["waiting_jobs"] == 2


def test_own_log_is_json_lines(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server()
    server.get("/queues")
    server.stop()
    lines = [json.loads(line) for line in server.log.splitlines()]
    assert {"timestamp", "level", "service", "message"} <= set(lines[0])
    request = next(line for line in lines if "/queues" in line["message"])
    assert request["request_id"].startswith("req_")
    assert request["principal"].startswith("token:")
    assert request["duration_ms"] > 0


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ("[server]\nlog_level = 'loud'\n", "server.log_level"),
        ("[server]\nprot = 1\n", "server.prot"),
        ("[queues]\n[[queues.sources]]\nname = 'x'\nkind = 'nope'\n", "nope"),
        ("[[queues.sources]]\nname = 'x'\nkind = 'sql'\n", "url"),
        ("[state]\nurl = 'postgresql://x/y'\n", "access.secret"),
        ("[state]\nurl = 'oracle://x/y'\n[access]\nsecret = 'x'\n", "oracle"),
        ("[server\n", "TOML"),
    ],
)
def test_wrong_settings_stop_the_start(tmp_path: Path, settings: str, complaint: str) -> None:
    server = ServerProcess(tmp_path, settings)
    for command in (("serve", "--port", "0"), ("config", "check")):
        refused = server.run(*command)
        assert refused.returncode == 2, (command, refused.stdout)
        assert complaint in refused.stderr
        assert "Traceback" not in refused.stderr


def test_locked_state_database_is_503_and_recovers(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server()
    seed(server, "locked", waiting=1)
    server.token("ops")
    other = sqlite3.connect(server.directory / "data" / "quarterdeck.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answer = server.post("/queues/queue:locked/pause")
    assert answer.status == 503
    assert answer.error["code"] == "SOURCE_UNAVAILABLE"
    assert answer.error["details"][0]["source"] == "state"
    assert server.get("/queues").status == 200
    other.execute("ROLLBACK")
    other.close()
    assert server.post("/queues/queue:locked/pause").status == 200


def test_vanished_state_database_is_503_and_recovers(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server()
    seed(server, "vanished", waiting=1)
    server.token("ops")
    data = server.directory / "data"
    names = [path.name for path in data.glob("quarterdeck.sqlite3*")]
    for name in names:
        (data / name).rename(data / f"away-{name}")
    answer = server.get("/queues")
    assert answer.status == 503
    assert answer.error["details"][0]["source"] == "state"
    assert server.call("GET", "/healthz", prefix="").status == 200
    ready = server.call("GET", "/readyz", prefix="")
    assert ready.status == 503
    assert "gone" in ready.json["data"]["checks"]["state"]
    for name in names:
        (data / f"away-{name}").rename(data / name)
    assert server.get("/queues/queue:vanished").data["waiting_jobs"] == 1
    wait_until(lambda: server.call("GET", "/readyz", prefix="").status == 200)


def test_dead_source_does_not_hide_the_others(
    start_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    platform = tmp_path / "platform"
    platform.mkdir()
    other = ServerProcess(platform)
    assert other.run("migrate").returncode == 0
    seed(other, "mail", waiting=3)
    settings = f"[[queues.sources]]\nname = 'platform'\nkind = 'sql'\nurl = '{other.state_url}'\n"
    server = start_server(settings=settings)
    seed(server, "own", waiting=1)

    def rows() -> dict[str, tuple[int | None, str]]:
        queues = server.get("/queues").data["queues"]
        return {q["name"]: (q["waiting_jobs"], q["status"]) for q in queues}

    assert rows()["queue:mail"] == (3, "healthy")
    database = platform / "data" / "quarterdeck.sqlite3"
    database.rename(platform / "away")
    assert rows() == {"queue:mail": (None, "unknown"), "queue:own": (1, "healthy")}
    sources = {s["name"]: s for s in server.get("/queues").data["sources"]}
    assert sources["platform"]["health"] == "unavailable"
    assert "gone" in sources["platform"]["error"]
    assert sources["quarterdeck"]["health"] == "ok"
    answer = server.get("/queues/queue:mail/jobs")
    assert answer.status == 503
    assert answer.error["details"][0]["source"] == "platform"
    assert server.get("/queues/queue:own/jobs").status == 200
    (platform / "away").rename(database)
    assert rows()["queue:mail"] == (3, "healthy")


def test_two_sources_with_one_name_are_told_apart(
    start_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    other = ServerProcess(tmp_path / "platform")
    other.directory.mkdir()
    other.run("migrate")
    seed(other, "shared", waiting=3)
    settings = f"[[queues.sources]]\nname = 'platform'\nkind = 'sql'\nurl = '{other.state_url}'\n"
    server = start_server(settings=settings)
    seed(server, "shared", waiting=1)
    answer = server.get("/queues/queue:shared")
    assert answer.status == 409
    assert {d["message"] for d in answer.error["details"]} == {"platform", "quarterdeck"}
    assert server.get("/queues/queue:shared?source=platform").data["waiting_jobs"] == 3
    assert server.get("/queues/queue:shared?source=quarterdeck").data["waiting_jobs"] == 1
    assert server.get("/queues/queue:shared?source=nope").status == 404
    only = server.get("/queues?source=platform").data["queues"]
    assert [(q["name"], q["source"]) for q in only] == [("queue:shared", "platform")]


def test_broken_row_is_no_500(server: ServerProcess) -> None:
    seed(server, "broken", waiting=1)
    execute(server, "UPDATE jobs SET created_at = 'not a time' WHERE queue_name = 'broken'")
    answer = server.get("/queues/queue:broken/jobs")
    assert answer.status == 200
    assert answer.data["jobs"][0]["created_at"] is None
