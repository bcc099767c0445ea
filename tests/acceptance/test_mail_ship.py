"""`quarterdeck ship --as`: logs of mail servers become mail events of a real server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from acceptance.server_process import ServerProcess, wait_until
from quarterdeck.core.clock import utc_now

SETTINGS = """
[reputation]
nameservers = ["127.0.0.1:9"]
[[reputation.addresses]]
address = "192.0.2.67"
[[reputation.addresses]]
address = "192.0.2.68"
"""
NAMES = "type,timeLogged,timeQueued,orig,rcpt,dlvSourceIp\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path_factory.mktemp("ship-mail"), settings=SETTINGS)
    process.start()
    try:
        yield process
    finally:
        assert process.stop() == 0


def ship(server: ServerProcess, directory: Path, *arguments: object) -> str:
    """One run of it; gives what it says of lines that were refused."""
    environment = os.environ | {
        "QUARTERDECK_URL": f"http://127.0.0.1:{server.port}",
        "QUARTERDECK_TOKEN": server.token("ingest"),
    }
    done = subprocess.run(
        [
            sys.executable, "-m", "quarterdeck", "ship", "--once", "--state-dir",
            str(directory / "state"), *map(str, arguments),
        ],
        env=environment, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stderr


def volume(server: ServerProcess, address: str) -> Any:
    found = server.get("/infrastructure/ip-reputation").data["ips"]
    return next(each["daily_volume"] for each in found if each["ip_address"] == address)


def postfix(number: int, text: str) -> bytes:
    at = (utc_now() - timedelta(minutes=number)).strftime("%b %d %H:%M:%S")
    line = (
        f"{at} mta postfix/out-192.0.2.67/smtp[2]: 4F2A{number:02d}: to=<jane@y.test>, "
        f"relay=mx[1.2.3.4]:25, delay=1, dsn=2.0.0, status=sent ({text})\n"
    )
    return line.encode("latin-1")


def test_postfix_log_is_followed_across_runs(server: ServerProcess, tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    at = utc_now().strftime("%b %d %H:%M:%S")
    null = f"{at} mta postfix/qmgr[1]: 4F2A03: from=<>, size=3, nrcpt=1 (queue active)\n\n"
    log.write_bytes(null.encode() + postfix(1, "250 ok") + postfix(2, "250 reçu"))
    assert ship(server, tmp_path, log, "--as", "postfix") == ""
    with log.open("ab") as file:
        file.write(postfix(3, "a notice, as an earlier run told") + postfix(4, "250 ok"))
    assert ship(server, tmp_path, log, "--as", "postfix") == ""
    wait_until(lambda: volume(server, "192.0.2.67") == 3, 60)


def test_columns_of_a_file_go_before_its_lines(server: ServerProcess, tmp_path: Path) -> None:
    log, now = tmp_path / "acct.csv", int(utc_now().timestamp())
    log.write_text(NAMES + f"d,{now},1,a@b.test,x@y.test,192.0.2.68\n")
    ship(server, tmp_path, log, "--as", "powermta", "--source", "before")
    with log.open("a") as file:
        file.write(f"d,{now},2,a@b.test,x@y.test,192.0.2.68\nd,later,2,a@b.test,x@y.test,\n")
    # As after a restart of the server: nothing is known of this source.
    told = ship(server, tmp_path, log, "--as", "powermta", "--source", "after")
    start = len(log.read_bytes()) - len("d,later,2,a@b.test,x@y.test,\n")
    assert f"the line at byte {start} was refused: timeLogged" in told
    wait_until(lambda: volume(server, "192.0.2.68") == 2, 60)


@pytest.mark.parametrize(
    "wrong", [("--source", "x"), ("--as", "exim", "--service", "x"), ("--as", "sendmail")]
)
def test_options_that_do_not_go_together_are_refused(
    server: ServerProcess, tmp_path: Path, wrong: tuple[str, ...]
) -> None:
    (tmp_path / "x.log").write_text("x\n")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        ship(server, tmp_path, tmp_path / "x.log", *wrong)
    assert refused.value.returncode == 2
    assert "--" in refused.value.stderr
