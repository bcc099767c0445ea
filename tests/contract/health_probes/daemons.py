"""Real servers that only probes are tested against: MariaDB, RabbitMQ, PgBouncer, ClickHouse."""

import base64
import os
import pwd
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import servers

USER = "prober"
PASSWORD = "s3cret-pw-4711"

# Those on the PATH insist on a user of their own.
RABBITMQCTL = "/usr/lib/rabbitmq/bin/rabbitmqctl"
_RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"


@dataclass(frozen=True)
class Daemon:
    """Where it listens; `other_port` is of its second protocol."""

    port: int
    other_port: int = 0
    name: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What its own tools need to find it."""


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
def rabbitmq() -> Iterator[Daemon]:
    """A RabbitMQ server with its management interface, and a port mapper of its own."""
    with servers.own_directory("qd-rabbitmq-") as directory:
        port, management, mapper = (servers.free_port() for _ in range(3))
        (directory / "plugins").write_text("[rabbitmq_management].\n")
        (directory / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{port}\n"
            f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {management}\n"
            f"default_user = {USER}\ndefault_pass = {PASSWORD}\n"
            # The disk of a test machine may be nearly full.
            "disk_free_limit.absolute = 1MB\n"
        )
        environment = {
            **os.environ,
            "HOME": str(directory),
            "ERL_EPMD_PORT": str(mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"qd{port}@localhost",
            "RABBITMQ_DIST_PORT": str(servers.free_port()),
            "RABBITMQ_MNESIA_BASE": str(directory / "data"),
            "RABBITMQ_LOG_BASE": str(directory / "log"),
            "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            # The script becomes the server, instead of starting it: our signals reach it.
            "RUNNING_UNDER_SYSTEMD": "true",
        }
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
        with (
            servers.running([_program("epmd"), "-port", str(mapper)], **quiet) as names,
            servers.running([_RABBITMQ], **quiet) as process,
        ):
            servers.wait_for_port(mapper, names)
            servers.wait_for_port(port, process, seconds=120)
            servers.wait_for_port(management, process, seconds=120)
            _wait_for_figures(management)
            try:
                yield Daemon(port, management, environment["RABBITMQ_NODENAME"], environment)
            finally:
                process.kill()  # nothing of it is to be kept, and its goodbye takes six seconds


def _wait_for_figures(port: int, seconds: float = 60) -> None:
    """Its nodes know their memory only some seconds after they began to serve."""
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/nodes?columns=mem_limit",
        headers={"Authorization": f"Basic {login}"},
    )
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(OSError), urllib.request.urlopen(request, timeout=5) as answer:
            if b"mem_limit" in answer.read():
                return
        time.sleep(0.1)
    raise RuntimeError(f"RabbitMQ knows no figures after {seconds} s")


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
