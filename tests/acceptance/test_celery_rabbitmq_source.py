"""A source of Celery on RabbitMQ over HTTP: a worker's tasks, what cannot be done, a door shut."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

import servers
from acceptance.server_process import ServerProcess, wait_until
from contract.fleet import WorkerFleet
from rabbit_server import RabbitServer
from rabbitmq_celery_world import restarted, wait_for_confirmations
from workers.celery_app import TASK, build_app

SOURCE = """
[[queues.sources]]
name = "{name}"
kind = "celery"
url = "{url}"
management_url = "{management_url}"
result_url = "{result_url}"
"""


@pytest.fixture(scope="module")
def url(redis_server: servers.RedisServer, rabbitmq_server: RabbitServer) -> Iterator[str]:
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
    url = rabbitmq_server.create_vhost()
    yield url
    rabbitmq_server.drop_vhost(url)


@pytest.fixture(scope="module")
def server(
    url: str,
    redis_server: servers.RedisServer,
    rabbitmq_server: RabbitServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ServerProcess]:
    doors = {"url": url, "result_url": redis_server.url}
    management = rabbitmq_server.management_url
    settings = SOURCE.format(name="mailer", management_url=management, **doors)
    refused = management.replace("//", "//prober:wrong@")
    settings += SOURCE.format(name="refused", management_url=refused, **doors)
    running = ServerProcess(tmp_path_factory.mktemp("server"), settings=settings)
    running.start()
    yield running
    assert running.stop() == 0
    assert "unexpected error" not in running.log


def test_tasks_of_a_real_worker_are_shown_and_retried_and_a_restart_is_told(
    server: ServerProcess,
    url: str,
    redis_server: servers.RedisServer,
    rabbitmq_server: RabbitServer,
    tmp_path: Path,
) -> None:
    def source() -> dict[str, Any]:
        found: list[dict[str, Any]] = server.get("/queues").data["sources"]
        return {each["name"]: each for each in found}["mailer"]

    # What is told before anybody listens is counted, but not listed.
    wait_until(lambda: source()["health"] == "ok")
    settings = {"result_backend": redis_server.url}
    app = build_app(url, **settings)
    wait_for_confirmations(app)
    (tmp_path / "celery.json").write_text(json.dumps(settings))
    fleet = WorkerFleet("celery_worker.py", url, tmp_path)
    task = app.send_task(TASK, kwargs={"outcome": "fail"}, queue="mail").id
    app.close()

    def jobs(state: str) -> list[str]:
        answer = server.get(f"/queues/queue:mail/jobs?source=mailer&status={state}")
        return [job["id"] for job in answer.data["jobs"]] if answer.status == 200 else []

    wait_until(lambda: len(jobs("waiting")) == 1)
    (job,) = jobs("waiting")
    refused = server.delete(f"/jobs/{job}")
    assert refused.status == 409
    assert "cannot remove one message" in refused.error["message"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with servers.running([*fleet.command, "mail"], env=fleet.environment, **quiet):
        wait_until(lambda: jobs("failed") == [job])
    assert server.post(f"/jobs/{job}/retry").status == 200
    assert [run.job_id for run in fleet.runs()] == [task]
    assert jobs("waiting") == [job]

    async def shut() -> None:
        async with restarted(rabbitmq_server):
            await asyncio.to_thread(wait_until, lambda: source()["health"] == "unavailable")
            found = source()
            assert "does not answer" in found["error"]
            assert found["answered_at"], "how old the last counts are"

    asyncio.run(shut())
    wait_until(lambda: source()["health"] == "ok")
    assert jobs("waiting") == [job]


def test_a_management_that_lets_us_not_in_is_named_and_hides_nothing(
    server: ServerProcess,
) -> None:
    wait_until(
        lambda: (
            {each["name"]: each["health"] for each in server.get("/queues").data["sources"]}
            | {"quarterdeck": ""}
            == {"quarterdeck": "", "mailer": "ok", "refused": "unavailable"}
        )
    )
    answer = server.get("/queues/queue:mail?source=refused")
    assert answer.status == 503
    assert "`management_url`" in answer.error["message"]
    assert "wrong" not in server.log


def test_a_source_without_a_redis_stops_the_start_with_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "q.toml").write_text(
        '[[queues.sources]]\nname = "mailer"\nkind = "celery"\nurl = "amqp://localhost/"\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "quarterdeck", "serve", "--config", str(tmp_path / "q.toml")],
        capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode != 0
    assert "mailer.result_url: missing" in done.stderr
