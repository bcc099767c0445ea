"""BullMQ on PostgreSQL over HTTP, beside a source that does not let us in."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import servers
from acceptance.server_process import ServerProcess
from bullmq_world import Bullmq, Programs, bullmq_programs

__all__ = ["bullmq_programs"]

SOURCE = '[[queues.sources]]\nname = "{name}"\nkind = "bullmq-postgres"\nurl = "{url}"\n'


@pytest.fixture(scope="module")
def bullmq(bullmq_programs: Programs, postgres_server: servers.PostgresServer) -> Iterator[Bullmq]:
    programs = Bullmq(bullmq_programs, postgres_server.create_database(), 6, "bullmq")
    asyncio.run(programs.add_many("mail", [{"to": "a@example.com"}, {"to": "b@example.com"}]))
    yield programs
    asyncio.run(programs.close())


@pytest.fixture(scope="module")
def server(bullmq: Bullmq, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    settings = SOURCE.format(name="mailer", url=bullmq.url)
    settings += SOURCE.format(name="refused", url=bullmq.url.replace("tester@", "nobody:secret@"))
    directory: Path = tmp_path_factory.mktemp("server")
    running = ServerProcess(directory, settings=settings)
    running.start()
    yield running
    assert running.stop() == 0
    assert "unexpected error" not in running.log
    assert "secret" not in running.log


def test_jobs_are_seen_paused_and_deleted_like_those_of_any_engine(
    server: ServerProcess, bullmq: Bullmq
) -> None:
    (queue,) = server.get("/queues?source=mailer").data["queues"]
    assert (queue["name"], queue["waiting_jobs"], queue["paused"]) == ("queue:mail", 2, False)
    assert queue["completed_last_hour"] == 0
    jobs = server.get("/queues/queue:mail/jobs?status=waiting").data["jobs"]
    assert [job["payload"]["to"] for job in jobs] == ["b@example.com", "a@example.com"]
    assert server.post("/queues/queue:mail/pause").data["changed"] is True
    assert asyncio.run(bullmq.call("mail", "isPaused")) is True
    assert server.post(f"/jobs/{jobs[0]['id']}/retry").status == 409
    assert server.delete(f"/jobs/{jobs[0]['id']}").status == 200
    assert server.delete(f"/jobs/{jobs[0]['id']}").status == 404
    assert server.post("/queues/queue:mail/resume").data["changed"] is True
    assert asyncio.run(bullmq.call("mail", "getWaitingCount")) == 1


def test_the_source_that_does_not_let_us_in_is_named(server: ServerProcess) -> None:
    states = {each["name"]: each for each in server.get("/queues").data["sources"]}
    assert states["mailer"]["error"] is None
    assert 'role "nobody" does not exist' in states["refused"]["error"]
