"""Real servers that only probes are tested against: MariaDB, PgBouncer, ClickHouse."""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import servers
from rabbit_server import PASSWORD, USER


@dataclass(frozen=True)
class Daemon:
    """Where it listens; `other_port` is of its second protocol."""

    port: int
    other_port: int = 0


def _program(name: str) -> str:
    """As `servers.program`, and where Debian keeps what common users need not run."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    return found or servers.program(name)


def _unprivileged(*names: str) -> str | None:
    """Whom to run as when we are root: the first of these users that is here."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in names if name in known), "nobody")


@contextmanager
def mariadb(certificate: Path | None = None) -> Iterator[Daemon]:
    """A MariaDB server whose user `prober` may do nothing; TLS with this certificate and key."""
    owner = _unprivileged("mysql")
    with servers.own_directory("qd-mariadb-", owner) as directory:
        data = directory / "data"
        subprocess.run(
            [_program("mariadb-install-db"), "--no-defaults", f"--datadir={data}",
             "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"],
            user=owner, check=True, capture_output=True, cwd="/",
        )  # fmt: skip
        first = directory / "first.sql"
        first.write_text(f"CREATE USER {USER}@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n")
        port = servers.free_port()
        command = [
            _program("mariadbd"), "--no-defaults", f"--datadir={data}", f"--port={port}",
            "--bind-address=127.0.0.1", f"--socket={directory}/s", f"--init-file={first}",
            f"--pid-file={directory}/pid", "--skip-name-resolve", "--skip-log-bin",
            "--innodb-buffer-pool-size=16M", "--max-connections=40",
        ]  # fmt: skip
        if certificate is not None:
            own = Path(shutil.copy(certificate, directory / "server.pem"))
            own.chmod(0o644)
            command += [f"--ssl-cert={own}", f"--ssl-key={own}"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with servers.running(command, user=owner, cwd="/", **quiet) as process:
            servers.wait_for_port(port, process)
            yield Daemon(port)


@contextmanager
def pgbouncer(postgres_port: int) -> Iterator[Daemon]:
    """PgBouncer before a PostgreSQL server; `prober` may use it and look at its console."""
    owner = _unprivileged("postgres")
    with servers.own_directory("qd-pgbouncer-", owner) as directory:
        port = servers.free_port()
        (directory / "users").write_text(f'"{USER}" "{PASSWORD}"\n')
        settings = directory / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\npostgres = host=127.0.0.1 port={postgres_port} user=tester\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = scram-sha-256\nauth_file = {directory}/users\nstats_users = {USER}\n"
            "pool_mode = transaction\ndefault_pool_size = 4\n"
        )
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        command = [_program("pgbouncer"), str(settings)]
        with servers.running(command, user=owner, cwd="/", **quiet) as process:
            servers.wait_for_port(port, process)
            yield Daemon(port)


@contextmanager
def clickhouse() -> Iterator[Daemon]:
    """ClickHouse's engine behind its HTTP interface."""
    with servers.own_directory("qd-clickhouse-") as directory:
        port = servers.free_port()
        front = Path(servers.__file__).with_name("clickhouse_front.py")
        with servers.running([sys.executable, str(front), str(port), str(directory)]) as process:
            servers.wait_for_port(port, process, seconds=60)
            yield Daemon(port)


@contextmanager
def redis() -> Iterator[servers.RedisServer]:
    """A Redis server that wants a password."""
    with servers.redis() as server:
        subprocess.run(
            [servers.program("redis-cli"), "-p", str(server.port), "config", "set", "requirepass",
             PASSWORD],
            check=True, capture_output=True,
        )  # fmt: skip
        yield server
