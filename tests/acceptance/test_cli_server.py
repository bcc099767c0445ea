"""The command line against the real server: every command, as an operator types it."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import servers
from acceptance.server_process import ServerProcess
from quarterdeck.state import Database
from quarterdeck.work.store import WorkStore

QUEUE = "mail/out é"


@pytest.fixture(scope="module")
def cli(server: ServerProcess) -> Iterator[Callable[..., "subprocess.CompletedProcess[str]"]]:
    def call(*arguments: str, role: str = "ops") -> "subprocess.CompletedProcess[str]":
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "QUARTERDECK_URL": f"http://127.0.0.1:{server.port}",
            "QUARTERDECK_TOKEN": server.token(role),
        }
        return subprocess.run(
            [*server.command()[:3], *arguments],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip

    yield call


Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def failed_job(server: ServerProcess) -> None:
    async def make(database: Database) -> None:
        store = WorkStore(database)
        await store.enqueue(QUEUE, {"campaign_id": "cmp_1"}, max_attempts=1)
        (job,) = await store.claim([QUEUE], "test", 30)
        await store.fail(job, "SMTP connection timeout", "Traceback ...")

    server.state(make)


def test_failed_job_is_found_retried_and_deleted(server: ServerProcess, cli: Cli) -> None:
    failed_job(server)
    listed = cli("queues")
    assert listed.returncode == 0, listed.stderr
    assert any(line.startswith(f"queue:{QUEUE} ") for line in listed.stdout.splitlines())

    found = cli("jobs", QUEUE, "--status", "failed", "--q", "CMP_1", "--json")
    (job,) = json.loads(found.stdout)["jobs"]
    assert job["error"]["message"] == "SMTP connection timeout"
    assert job["id"] in cli("jobs", f"queue:{QUEUE}").stdout

    retried = cli("retry", job["id"])
    assert (retried.returncode, retried.stderr) == (0, "")
    assert retried.stdout == f"{job['id']} is queued; its attempts start from zero\n"
    assert cli("retry", job["id"]).returncode == 1
    assert cli("delete", job["id"]).returncode == 2
    assert cli("delete", job["id"], "--yes").returncode == 0
    gone = cli("delete", job["id"], "--yes")
    assert gone.returncode == 1
    assert len(gone.stderr.splitlines()) == 1


def test_queue_is_paused_and_resumed(server: ServerProcess, cli: Cli) -> None:
    failed_job(server)
    assert cli("pause", QUEUE).stdout == f"queue:{QUEUE} is paused\n"
    row = next(q for q in json.loads(cli("queues", "--json").stdout)["queues"] if q["paused"])
    assert row["name"] == f"queue:{QUEUE}"
    assert cli("pause", QUEUE).stdout == f"queue:{QUEUE} is paused (it was already)\n"
    assert json.loads(cli("resume", QUEUE, "--json").stdout)["status"] == "resumed"


def test_refusals_are_exit_codes(cli: Cli) -> None:
    assert cli("pause", "nope", role="viewer").returncode == 1
    assert cli("jobs", "nope").returncode == 1
    assert cli("jobs", QUEUE, "--limit", "101").returncode == 1
    assert cli("queues", "--token", "qd_ops_wrong").returncode == 4
    assert cli("queues", "--token", "").returncode == 0  # an empty option is not given
    nobody = f"http://127.0.0.1:{servers.free_port()}"
    assert cli("queues", "--url", nobody).returncode == 3


def test_token_lives_from_create_to_revoke_beside_the_server(
    server: ServerProcess, cli: Cli
) -> None:
    made = server.run("token", "create", "--name", "night shift", "--role", "viewer")
    assert made.returncode == 0
    (secret,) = made.stdout.splitlines()
    assert secret.startswith("qd_viewer_")
    assert secret not in made.stderr
    assert cli("queues", "--token", secret).returncode == 0

    listed = json.loads(server.run("token", "list", "--json").stdout)["tokens"]
    (token,) = (token for token in listed if token["name"] == "night shift")
    assert (token["role"], token["state"]) == ("viewer", "valid")
    assert secret not in json.dumps(listed)
    table = server.run("token", "list").stdout
    assert any(token["id"] in line and "night shift" in line for line in table.splitlines())

    for _ in range(2):
        assert server.run("token", "revoke", token["id"]).returncode == 0
    assert cli("queues", "--token", secret).returncode == 4
    unknown = server.run("token", "revoke", "aaaaaaaaaaaa")
    assert (unknown.returncode, unknown.stdout) == (1, "")


@pytest.mark.parametrize(
    "wrong",
    [
        ["--name", "x", "--role", "boss"],
        ["--name", "x", "--role", "ops", "--expires", "soon"],
        ["--name", "", "--role", "ops"],
        ["--role", "ops"],
    ],
)
def test_wrong_token_is_not_made(server: ServerProcess, wrong: list[str]) -> None:
    done = server.run("token", "create", *wrong)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def offline(directory: Path, settings: str = "", **environment: str) -> ServerProcess:
    """The commands that need no running server."""
    return ServerProcess(directory, settings, environment)


def test_config_check_prints_the_settings_without_secrets(tmp_path: Path) -> None:
    checked = offline(tmp_path, "[access]\nsecret = 'very-secret-very-secret-very-secret'\n").run(
        "config", "check"
    )
    assert (checked.returncode, checked.stderr) == (0, "settings are fine\n")
    settings = json.loads(checked.stdout)
    assert settings["access"]["secret"] == "***"
    assert settings["server"]["data_dir"] == str(tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("command", "settings", "expected"),
    [
        (["config", "check"], "[server]\nport = 'high'\n", "server.port"),
        (["serve"], "[server]\n\nprot = 80\n", "line 3"),
        (["demo"], "[server\n", "not valid TOML"),
        (["migrate"], "[queues]\nsources = 5\n", "queues.sources"),
        (["token", "list"], "[access.jwt]\nalgorithms = ['none']\n", "access.jwt.algorithms"),
    ],
)
def test_wrong_settings_stop_every_command_in_one_line(
    tmp_path: Path, command: list[str], settings: str, expected: str
) -> None:
    done = offline(tmp_path, settings).run(*command)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert expected in line
    assert line.startswith("quarterdeck: ")


def test_config_check_refuses_what_a_start_would(tmp_path: Path) -> None:
    source = "[[queues.sources]]\nname = 'old'\nkind = 'punchcards'\n"
    done = offline(tmp_path, source).run("config", "check")
    assert (done.returncode, done.stdout) == (2, "")
    assert "punchcards" in done.stderr


def test_migrate_is_safe_to_repeat(tmp_path: Path) -> None:
    for _ in range(2):
        done = offline(tmp_path).run("migrate")
        assert done.returncode == 0, done.stderr
        assert done.stdout == (
            f"sqlite:///{tmp_path / 'data' / 'quarterdeck.sqlite3'} has the newest schema.\n"
        )


def test_version_is_printed(tmp_path: Path) -> None:
    done = subprocess.run(
        [*offline(tmp_path).command()[:3], "--version"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout == "0.1.0\n"
