"""What was acknowledged is there: after a full disk, after a kill, and never twice."""

import os
from pathlib import Path

from facts_world import finish, said, worker

ROWS = 2_000


def test_acknowledged_inserts_survive_a_kill_and_tokens_count_once(tmp_path: Path) -> None:
    with worker("load", tmp_path) as process:
        acknowledged = [said(process)["acknowledged"] for _ in range(10)]
        process.kill()
    with worker("check", tmp_path) as process:
        found = said(process)
        finish(process)
    assert set(acknowledged) <= set(found["before"])
    assert set(found["before"].values()) == {ROWS}
    assert found["after"] == found["before"]


def test_a_full_disk_is_an_error_and_loses_nothing(tmp_path: Path) -> None:
    # A mount of its own, gone with the process; users other than root get one with a namespace.
    namespace = ["--mount"] if os.geteuid() == 0 else ["--mount", "--user", "--map-root-user"]
    script = f'mount -t tmpfs -o size=40m tmpfs "{tmp_path}" && exec "$@"'
    with worker("fill", tmp_path, "unshare", *namespace, "sh", "-c", script, "sh") as process:
        found = said(process)
        finish(process)
    assert "disk of the store of facts is full" in found["message"]
    assert len(found["acknowledged"]) > 2
    assert found["full"] == dict.fromkeys(found["acknowledged"], ROWS)
    assert found["after"] == dict.fromkeys([*found["acknowledged"], found["refused"]], ROWS)


def test_a_second_process_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    with worker("hold", tmp_path) as first:
        assert said(first) == {"rows": 1}
        with worker("hold", tmp_path) as second:
            refused = said(second)["refused"]
            finish(second)
        assert f"Another process ({first.pid}) already has the store of facts" in refused
        assert "facts.url" in refused
        finish(first)


def test_closing_stops_searches_and_finishes_inserts(tmp_path: Path) -> None:
    with worker("end", tmp_path) as process:
        found = said(process)
        finish(process)
    assert found["took_s"] < 5
    stopped, inserted = found["ends"][:22], found["ends"][22:]
    assert set(stopped) == {"The search was stopped.", "The store of facts is closed."}
    assert inserted == [None] * 5


def test_a_process_may_end_without_closing(tmp_path: Path) -> None:
    with worker("leave", tmp_path) as process:
        assert said(process) == {"rows": 1}
        finish(process)
