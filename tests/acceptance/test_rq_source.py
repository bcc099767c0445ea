"""A source of RQ over HTTP: its pause is asked for as what it is; a bad one is named."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue

import servers
from acceptance.seeding import seed
from acceptance.server_process import ServerProcess

SOURCE = '[[queues.sources]]\nname = "{name}"\nkind = "rq"\nurl = "{url}"\n'
BOTH = ["queue:bulk", "queue:mail"]


@pytest.fixture(scope="module")
def redis(redis_server: servers.RedisServer) -> Iterator[Redis]:
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
        for name in ("mail", "bulk"):
            Queue(name, connection=client).enqueue("workers.rq_tasks.act")
        yield client


@pytest.fixture(scope="module")
def server(
    redis: Redis, redis_server: servers.RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    url = redis_server.url
    settings = SOURCE.format(name="mailer", url=url)
    settings += SOURCE.format(name="refused", url=url.replace("//", "//rq:wrong@"))
    directory: Path = tmp_path_factory.mktemp("server")
    running = ServerProcess(directory, settings=settings)
    running.start()
    yield running
    assert running.stop() == 0
    assert "unexpected error" not in running.log


@pytest.mark.parametrize("query", ["", "&scope=band", "&scope=queue"])
@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_what_stops_all_queues_is_not_done_for_one(
    server: ServerProcess, redis: Redis, verb: str, query: str
) -> None:
    answer = server.post(f"/queues/queue:mail/{verb}?source=mailer{query}")
    assert answer.status == 409
    assert "every queue of the source 'mailer'" in answer.error["message"]
    assert answer.error["details"] == [{"field": "scope", "message": "global", "source": "query"}]
    assert not redis.exists("rq:suspended")


def test_all_queues_are_stopped_for_who_asks_for_that(server: ServerProcess, redis: Redis) -> None:
    paused = server.post("/queues/queue:mail/pause?source=mailer&scope=global").data
    assert (paused["scope"], paused["affected"], paused["changed"]) == ("global", BOTH, True)
    assert redis.exists("rq:suspended")
    capabilities = server.get("/queues/queue:bulk?source=mailer").data["capabilities"]
    assert (capabilities["pause"], capabilities["pause_scope"]) == ("global", "global")
    queues = server.get("/queues?source=mailer").data["queues"]
    assert [(queue["name"], queue["paused"]) for queue in queues] == [(name, True) for name in BOTH]
    resumed = server.post("/queues/queue:bulk/resume?source=mailer&scope=global").data
    assert (resumed["scope"], resumed["affected"]) == ("global", BOTH)
    assert not redis.exists("rq:suspended")


def test_a_scope_that_is_none_is_refused(server: ServerProcess) -> None:
    answer = server.post("/queues/queue:mail/pause?source=mailer&scope=everything")
    assert answer.status == 400
    (detail,) = answer.error["details"]
    assert (detail["field"], detail["message"]) == ("scope", "must be one of band, queue, global")


def test_a_scope_holds_for_every_engine(server: ServerProcess) -> None:
    seed(server, "own", waiting=1)
    refused = server.post("/queues/queue:own/pause?scope=global")
    assert refused.status == 409
    assert "this band of the queue alone" in refused.error["message"]
    assert server.get("/queues/queue:own").data["paused"] is False
    assert server.post("/queues/queue:own/pause?scope=band").data["scope"] == "band"


def test_a_wrong_password_is_told_and_hides_nothing(server: ServerProcess) -> None:
    found = server.get("/queues").data
    sources = {source["name"]: source for source in found["sources"]}
    assert sources["refused"]["health"] == "unavailable"
    assert "refuses the user name or password" in sources["refused"]["error"]
    assert sources["mailer"]["health"] == "ok"
    answer = server.get("/queues/queue:mail?source=refused")
    assert answer.status == 503
    assert answer.error["details"][0]["source"] == "refused"
    assert "refuses the user name or password" in server.log
