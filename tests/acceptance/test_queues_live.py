"""Queues over time and as they change, and a source that stands still beside one that does not."""

import http.client
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import servers
from acceptance.seeding import seed
from acceptance.server_process import PREFIX, ServerProcess, wait_until
from quarterdeck.state import migrate
from servers import MIGRATIONS


def listed(server: ServerProcess, name: str, source: str = "quarterdeck") -> Any:
    found = server.get("/queues").data["queues"]
    return next(each for each in found if (each["name"], each["source"]) == (name, source))


def test_history_has_the_samples_of_this_server(server: ServerProcess) -> None:
    seed(server, "sampled", waiting=7, failed=2)

    def last() -> Any:
        series = server.get("/queues/queue%3Asampled/history?hours=1", role="viewer").data["series"]
        return next((point for point in reversed(series) if point["waiting"] is not None), None)

    wait_until(lambda: last() is not None, 60)
    point = last()
    assert (point["waiting"], point["waiting_max"], point["failed"]) == (7, 7, 2)
    assert point["completed_per_minute"] == 0


@pytest.mark.parametrize("hours", ["0", "2161", "-1", "x"])
def test_hours_out_of_range_are_refused(server: ServerProcess, hours: str) -> None:
    error = server.get(f"/queues/queue%3Asampled/history?hours={hours}")
    assert error.status == 400
    assert error.error["details"][0]["field"] == "hours"


def test_history_of_a_queue_that_is_none_is_not_found(server: ServerProcess) -> None:
    assert server.get("/queues/queue%3Anever/history").status == 404


def test_little_known_has_no_trend_and_no_end(server: ServerProcess) -> None:
    seed(server, "young", waiting=5)
    queue = listed(server, "queue:young")
    assert (queue["trend"], queue["eta_s"]) == (None, None)


def test_unchanged_queues_cost_nothing_to_ask_for(server: ServerProcess) -> None:
    first = server.get("/queues")
    again = server.get("/queues", headers={"If-None-Match": first.headers["etag"]})
    assert again.status == 304


def test_followers_see_all_first_and_then_what_changes(server: ServerProcess) -> None:
    seed(server, "followed", waiting=1)
    with following(server) as events:
        first = next(events)
        assert "queue:followed" in {queue["name"] for queue in first["queues"]}
        assert {source["name"] for source in first["sources"]} == {"quarterdeck"}
        seed(server, "followed", waiting=2)
        changed = next(
            queue
            for event in events
            for queue in event["queues"]
            if queue["name"] == "queue:followed"
        )
    assert changed["waiting_jobs"] == 3


def test_following_needs_the_right_to_read(server: ServerProcess) -> None:
    assert server.call("GET", "/queues/stream").status == 401
    assert server.call("GET", "/queues/stream", role="ingest").status == 403


@contextmanager
def following(server: ServerProcess) -> Iterator[Iterator[Any]]:
    headers = {"Authorization": f"Bearer {server.token('viewer')}"}
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        connection.request("GET", f"{PREFIX}/queues/stream", headers=headers)
        response = connection.getresponse()
        assert response.status == 200
        yield (json.loads(line[6:]) for line in response if line.startswith(b"data: "))


def test_source_that_stands_still_changes_nothing_for_the_others(
    start_server: Callable[..., ServerProcess],
) -> None:
    with servers.postgres() as database:
        url = database.create_database()
        migrate(url, MIGRATIONS)
        source = f'[[queues.sources]]\nname = "still"\nkind = "sql"\nurl = "{url}"\n'
        server = start_server(settings=source)
        seed(server, "own", waiting=1)
        assert {each["health"] for each in server.get("/queues").data["sources"]} == {"ok"}
        with standing_still(database):
            wait_until(lambda: health(server, "still") == "slow")
            own = listed(server, "queue:own")
            assert (own["waiting_jobs"], own["status"]) == (1, "healthy")
            # One queue by its name, too: the source that is silent never had one like it.
            assert server.get("/queues/queue%3Aown").data["waiting_jobs"] == 1
            wait_until(lambda: health(server, "still") == "unavailable")
            assert listed(server, "queue:own")["waiting_jobs"] == 1
        wait_until(lambda: health(server, "still") == "ok")


@contextmanager
def standing_still(database: servers.PostgresServer) -> Iterator[None]:
    """All of its processes are stopped: connections stay, and nothing is answered."""
    assert database.process is not None
    postmaster = database.process.pid
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    processes = [postmaster, *map(int, children)]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


def health(server: ServerProcess, source: str) -> str:
    found = server.get("/queues").data["sources"]
    return next(str(each["health"]) for each in found if each["name"] == source)
