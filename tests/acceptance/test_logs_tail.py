"""Following the log: every line once, in the order of storing, whatever breaks in between."""

import http.client
import time
from collections.abc import Iterator, Sequence
from functools import partial

import pytest

from acceptance.server_process import PREFIX, ServerProcess, wait_until
from log_followers import Follower
from log_world import (
    SETTINGS,
    Sender,
    everything,
    running,
    sending,
    wait_for_more,
)
from quarterdeck.logs.ids import decode_id

FOLLOWERS = 20
STOPPED_WITHIN_S = 10
"""Of the twenty that an answer under way has."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running(ServerProcess(tmp_path_factory.mktemp("tail"), settings=SETTINGS)) as server:
        yield server


def hears_more(follower: Follower, than: int) -> bool:
    return len(follower.events) > than


def ids(followers: Sequence[Follower]) -> list[str]:
    """All that was heard, in the order of hearing."""
    return [event.id for follower in followers for event in follower.events]


def require_order(heard: Sequence[str]) -> None:
    places = [decode_id(name) for name in heard]
    stored = [(place.block, place.offset) for place in places]
    assert stored == sorted(stored)
    assert len(set(stored)) == len(stored)


def require_all(server: ServerProcess, followers: Sequence[Follower], **query: object) -> None:
    """Just what a search finds was heard, each line once, in the order of storing."""
    stored = {log["id"]: log for log in everything(server, **query)}
    wait_until(lambda: len(ids(followers)) >= len(stored))
    heard = ids(followers)
    assert len(heard) == len(stored)
    assert set(heard) == set(stored)
    require_order(heard)
    for follower in followers:
        assert follower.errors == []
        for event in follower.events:
            assert event.log == stored[event.id]


def test_lines_arrive_once_in_storing_order(server: ServerProcess) -> None:
    followers = [
        Follower(server, {"query": "service:once-*"}).start(),
        Follower(server, {"service": "once-1", "min_level": "warning"}).start(),
        Follower(server, {"query": "tenant_id:t2 /says \\d+\\.\\d+/ service:once-0"}).start(),
    ]
    senders = [Sender(server, f"once-{number}") for number in range(3)]
    with sending(*senders):
        wait_for_more(senders, 60)
    queries = [dict(follower.query) for follower in followers]
    for follower, query in zip(followers, queries, strict=True):
        require_all(server, [follower], **query)
    assert len(followers[0].events) == sum(len(sender.lines) for sender in senders)
    # Each sender waits for one batch to be stored before it sends the next.
    for sender in senders:
        mine = [key for key in followers[0].keys if key.startswith(f"{sender.name}-")]
        batches = [int(key.split("-")[2]) for key in mine]
        assert batches == sorted(batches)
    for follower in followers:
        follower.hang_up()


def test_a_follower_that_comes_back_misses_and_doubles_nothing(server: ServerProcess) -> None:
    query = {"query": "service:back-*"}
    senders = [Sender(server, f"back-{number}") for number in range(3)]
    followers = [Follower(server, query).start()]
    with sending(*senders):
        for _ in range(6):
            now, heard = followers[-1], len(followers[-1].events)
            wait_until(partial(hears_more, now, heard))
            now.hang_up()
            wait_for_more(senders, 5)
            followers.append(now.again())
    require_all(server, followers, **query)
    followers[-1].hang_up()


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_restart_misses_and_doubles_nothing(server: ServerProcess, end: str) -> None:
    query = {"query": f"service:{end}-*"}
    senders = [Sender(server, f"{end}-{number}") for number in range(3)]
    followers = [Follower(server, query).start()]
    with sending(*senders):
        wait_for_more(senders, 10)
        wait_until(lambda: len(followers[0].events) > 20)
        assert getattr(server, end)() in {None, 0}
        followers[0].wait_for_end()
        server.start()
        wait_for_more(senders, 10)
        followers.append(followers[0].again())
        wait_for_more(senders, 10)
    assert all(set(sender.statuses) <= {200, 503} for sender in senders)
    assert followers[1].events
    require_all(server, followers, **query)
    followers[1].hang_up()


def test_a_follower_hears_that_the_server_is_alive(server: ServerProcess) -> None:
    follower = Follower(server, {"query": "nothing_is_like_this:1"}).start()
    wait_until(lambda: follower.beats >= 3, 10)
    assert follower.events == []
    follower.hang_up()


def test_twenty_followers_hear_what_each_asked_for_and_a_stop_ends_them(
    server: ServerProcess,
) -> None:
    queries = [
        {"service": f"many-{number % 2}", "query": f"tenant_id:t{number % 3}"}
        for number in range(FOLLOWERS)
    ]
    followers = [Follower(server, query).start() for query in queries]
    senders = [Sender(server, f"many-{number}") for number in range(2)]
    with sending(*senders):
        wait_for_more(senders, 60)
    for follower, query in zip(followers, queries, strict=True):
        require_all(server, [follower], **query)
        assert follower.events
    started = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - started < STOPPED_WITHIN_S
    for follower in followers:
        follower.wait_for_end()
    server.start()


@pytest.mark.parametrize("last_id", ["x", "log_x", "log_" + "-" * 27, "17", "log_" + "A" * 500])
def test_an_id_that_is_none_is_refused(server: ServerProcess, last_id: str) -> None:
    answer = server.get("/logs/tail", role="viewer", headers={"Last-Event-ID": last_id})
    assert answer.status == 400
    assert "Last-Event-ID" in answer.error["message"]


def test_a_wrong_filter_is_refused_before_the_stream_begins(server: ServerProcess) -> None:
    assert server.get("/logs/tail?query=%28", role="viewer").status == 400
    assert server.get("/logs/tail?level=loud", role="viewer").error["code"] == "VALIDATION_ERROR"


def test_senders_may_not_follow(server: ServerProcess) -> None:
    answer = server.get("/logs/tail", role="ingest")
    assert answer.status == 403
    assert answer.error["code"] == "FORBIDDEN"


def test_nobody_follows_without_a_token(server: ServerProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", f"{PREFIX}/logs/tail")
    assert connection.getresponse().status == 401
    connection.close()
