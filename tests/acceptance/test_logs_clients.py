"""The logging handler, `ship` and `logs` against the real server, together."""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import servers
from acceptance.server_process import ServerProcess, wait_until
from quarterdeck.contrib.logging import QuarterdeckHandler

Start = Callable[..., ServerProcess]


def environment(server: ServerProcess, role: str) -> dict[str, str]:
    return {
        **os.environ,
        "QUARTERDECK_URL": f"http://127.0.0.1:{server.port}",
        "QUARTERDECK_TOKEN": server.token(role),
    }


def logs(server: ServerProcess, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "quarterdeck", "logs", *arguments],
        capture_output=True, text=True, timeout=60, check=False, env=environment(server, "viewer"),
    )  # fmt: skip


def found(server: ServerProcess, *arguments: str) -> list[dict[str, Any]]:
    done = logs(server, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def messages(server: ServerProcess, *arguments: str) -> list[str]:
    return [log["message"] for log in found(server, *arguments)]


@contextmanager
def handling(server: ServerProcess, **options: Any) -> Iterator[QuarterdeckHandler]:
    handler = QuarterdeckHandler(
        f"http://127.0.0.1:{server.port}", server.token("ingest"), close_timeout_s=30.0, **options
    )
    try:
        yield handler
    finally:
        handler.close()


@contextmanager
def shipping(
    server: ServerProcess, directory: Path, *arguments: object
) -> Iterator["subprocess.Popen[bytes]"]:
    command = [
        sys.executable, "-m", "quarterdeck", "ship", "--state-dir", str(directory / "state"),
        *map(str, arguments),
    ]  # fmt: skip
    with (directory / "ship.err").open("ab") as err:
        process = servers.running(command, stderr=err, env=environment(server, "ingest"))
        with process as child:
            yield child


def test_handler_sends_what_search_finds(server: ServerProcess) -> None:
    logger = logging.Logger("shop.cart")
    with handling(server, service="handler") as handler:
        logger.addHandler(handler)
        logger.info("plain", extra={"request_id": "req_h", "user_id": "u1", "tenant_id": "t1"})
        logger.warning("strange \x00 \ud800 %s", "value", extra={"ms": 1.5, "nan": float("nan")})
        try:
            raise ValueError("no such cart")
        except ValueError:
            logger.critical("failed", exc_info=True)
        assert handler.flush(30)
    by_message = {log["message"]: log for log in found(server, "--service", "handler")}
    assert len(by_message) == 3
    plain = by_message["plain"]
    assert (plain["level"], plain["level_original"], plain["marks"]) == ("info", None, [])
    assert (plain["request_id"], plain["user_id"], plain["tenant_id"]) == ("req_h", "u1", "t1")
    assert plain["metadata"] == {"logger": "shop.cart"}
    failed = by_message["failed"]
    assert (failed["level"], failed["level_original"]) == ("error", "critical")
    assert "no such cart" in json.dumps(failed["metadata"])
    (strange,) = (log for log in by_message.values() if log["level"] == "warning")
    assert strange["metadata"] == {"logger": "shop.cart", "ms": 1.5, "nan": "nan"}
    assert messages(server, "--request-id", "req_h") == ["plain"]
    shown = logs(server, "--service", "handler", "--level", "error")
    assert "Traceback (most recent call last):" in shown.stdout
    assert shown.stderr == "1 of 1 lines\n"


def test_handler_waits_out_a_restart(start_server: Start) -> None:
    server = start_server()
    logger = logging.Logger("x")
    with handling(server, service="patient", retry_s=0.05, batch_lines=10) as handler:
        logger.addHandler(handler)
        for number in range(20):
            logger.info("before %d", number)
        assert handler.flush(30)
        server.kill()
        for number in range(20):
            logger.info("meanwhile %d", number)
        server.start()
        assert handler.flush(60)
    expected = {f"{when} {number}" for when in ("before", "meanwhile") for number in range(20)}
    assert set(messages(server, "--service", "patient")) == expected


def test_ship_survives_rotation_and_restarts_of_both(start_server: Start, tmp_path: Path) -> None:
    server = start_server()
    log = tmp_path / "mail.log"
    expected = []

    def write(text: str) -> None:
        expected.append(text)
        with log.open("a") as file:
            file.write(f"{text}\n")

    write("one")
    with shipping(server, tmp_path, log, "--from-start"):
        wait_until(lambda: messages(server, "--service", "mail") == ["one"])
        server.kill()
        write("while the server is gone")
        log.rename(tmp_path / "mail.log.1")
        write("after the rotation")
        server.start()
        wait_until(lambda: len(messages(server, "--service", "mail")) >= 3)
    write("while ship is gone")
    log.rename(tmp_path / "mail.log.2")
    write("after another rotation")
    with shipping(server, tmp_path, log) as process:
        wait_until(lambda: len(messages(server, "--service", "mail")) >= 5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    arrived = messages(server, "--service", "mail")
    assert set(arrived) == set(expected)


def test_ship_keeps_json_lines_as_they_are(server: ServerProcess, tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    line = {
        "timestamp": "2026-11-24T10:00:00.123456Z", "level": "warning", "service": "shipped",
        "message": "as it is", "request_id": "req_s", "deep": {"n": [1, None]},
    }  # fmt: skip
    log.write_text(json.dumps(line) + "\n")
    with shipping(server, tmp_path, log, "--once", "--format", "json") as process:
        assert process.wait(60) == 0
    (sent,) = found(
        server, "--service", "shipped", "--since", "2026-11-24", "--until", "2026-11-25"
    )
    assert (sent["timestamp"], sent["level"]) == (line["timestamp"], "warning")
    assert sent["metadata"] == {"deep": {"n": [1, None]}}


def test_logs_pages_filters_and_refuses(server: ServerProcess) -> None:
    logger = logging.Logger("x")
    with handling(server, service="paged") as handler:
        logger.addHandler(handler)
        for number in range(250):
            (logger.error if number % 10 == 0 else logger.info)("line %03d", number)
        assert handler.flush(30)
    everything = [f"line {number:03d}" for number in range(249, -1, -1)]
    assert messages(server, "--service", "paged", "--limit", "1000") == everything
    assert messages(server, "--service", "paged", "--since", "1h", "--limit", "3") == everything[:3]
    assert len(messages(server, "service:paged level:error", "--limit", "99")) == 25
    assert messages(server, "--service", "paged", "--until", "2026-01-01") == []
    bad = logs(server, "( never closed")
    assert (bad.returncode, bad.stdout) == (1, "")
    assert bad.stderr.startswith("quarterdeck: ")
    assert "Traceback" not in bad.stderr


def test_follow_shows_each_line_once_across_a_restart(start_server: Start, tmp_path: Path) -> None:
    server = start_server()
    logger = logging.Logger("x")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "quarterdeck", "logs", "--follow", "--json", "--limit", "2"]

    def shown() -> list[str]:
        lines = out.read_text().splitlines(keepends=True)
        return [json.loads(line)["message"] for line in lines if line.endswith("\n")]

    with handling(server, service="followed", batch_age_s=0.05, retry_s=0.05) as handler:
        logger.addHandler(handler)
        for number in range(3):
            logger.info("%d", number)
        assert handler.flush(30)
        with out.open("wb") as stdout, (tmp_path / "err").open("wb") as stderr:
            process = servers.running(
                [*command, "--service", "followed"], stdout=stdout, stderr=stderr,
                env=environment(server, "viewer"),
            )  # fmt: skip
            with process as child:
                wait_until(lambda: shown() == ["1", "2"])
                logger.info("3")
                wait_until(lambda: shown() == ["1", "2", "3"])
                assert server.stop() == 0
                logger.info("4")
                server.start()
                assert handler.flush(60)
                logger.info("5")
                wait_until(lambda: len(shown()) >= 5)
                child.send_signal(signal.SIGINT)
                assert child.wait(30) == 130
    assert shown() == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize("role", ["viewer", "ops"])
def test_sending_needs_the_role_for_it(server: ServerProcess, tmp_path: Path, role: str) -> None:
    log = tmp_path / "x.log"
    log.write_text("1\n")
    done = subprocess.run(
        [
            sys.executable, "-m", "quarterdeck", "ship", str(log), "--once",
            "--state-dir", str(tmp_path / "state"),
        ],
        capture_output=True, text=True, timeout=60, check=False, env=environment(server, role),
    )  # fmt: skip
    assert done.returncode == 1
    assert server.token(role) not in done.stderr
