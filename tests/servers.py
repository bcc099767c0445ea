"""Real servers for tests: each on a free loopback port, in its own directory, stopped by pid."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from quarterdeck import access, alerts, health, logs, reputation, work

ROOMS = (work, access, logs, health, alerts, reputation)
MIGRATIONS = tuple(Path(room.__path__[0]) / "migrations" for room in ROOMS)


def free_port() -> int:
    """A TCP port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def own_directory(prefix: str, owner: str | None = None) -> Iterator[Path]:
    """A directory below /tmp that `owner` can reach, removed at the end."""
    path = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        if owner:
            shutil.chown(path, owner)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 30) -> None:
    """Return once something accepts on `port`; fail when the process has ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"nothing listens on port {port} after {seconds} s")


@contextmanager
def running(command: list[str], **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """A child process that is gone when the block ends."""
    process = subprocess.Popen(command, **options)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def program(name: str) -> str:
    """The path of a server's program; Debian keeps PostgreSQL's off the PATH."""
    for place in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (place / name).exists():
            return str(place / name)
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(f"{name} is not installed; `make system-packages` names what to install")
    return found


@dataclass
class PostgresServer:
    """A PostgreSQL server; `create_database` gives a fresh database's URL."""

    port: int
    directory: Path
    user: str | None
    process: subprocess.Popen[bytes] | None = None
    created: int = 0

    def create_database(self) -> str:
        """Create an empty database, and give its URL."""
        self.created += 1
        name = f"t{self.created}_{os.getpid()}"
        subprocess.run(
            [program("createdb"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "tester", name],
            check=True,
            capture_output=True,
        )
        return f"postgresql://tester@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        """Start it (again)."""
        log = (self.directory / "log").open("ab")
        self.process = subprocess.Popen(
            [
                program("postgres"), "-D", str(self.directory / "data"), "-p", str(self.port),
                "-c", "listen_addresses=127.0.0.1",
                "-c", f"unix_socket_directories={self.directory}",
                "-c", "fsync=off", "-c", "max_connections=200", "-c", "shared_buffers=128MB",
                "-c", "logging_collector=off", "-c", "jit=off",
            ],
            user=self.user, stdout=subprocess.DEVNULL,
            stderr=log, start_new_session=True,
        )  # fmt: skip
        log.close()
        wait_for_port(self.port, self.process)
        end = time.monotonic() + 20
        probe = [program("pg_isready"), "-h", "127.0.0.1", "-p", str(self.port), "-q"]
        while subprocess.run(probe, check=False).returncode != 0:
            if time.monotonic() > end:
                raise RuntimeError("PostgreSQL accepts no connections after 20 s")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it at once, as a crash would: clients see the connection break."""
        if self.process and self.process.poll() is None:
            subprocess.run(
                [program("pg_ctl"), "-D", str(self.directory / "data"), "-m", "immediate", "stop"],
                user=self.user, check=False, capture_output=True,
            )  # fmt: skip
            self.process.wait(20)


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of its own, run by an unprivileged user when we are root."""
    user = None
    if os.geteuid() == 0:
        names = {entry.pw_name for entry in pwd.getpwall()}
        user = "postgres" if "postgres" in names else "nobody"
    with own_directory("qd-postgres-", user) as directory:
        subprocess.run(
            [
                program("initdb"), "-D", str(directory / "data"), "-U", "tester", "-A", "trust",
                "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
            ],
            user=user, check=True, capture_output=True, cwd="/",
        )  # fmt: skip
        server = PostgresServer(free_port(), directory, user)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@dataclass
class RedisServer:
    """A Redis server without persistence. `options` are more of its command line."""

    port: int
    directory: Path
    options: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its URL, database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it (again), empty."""
        self.process = subprocess.Popen(
            [
                program("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1",
                "--save", "", "--appendonly", "no", "--dir", str(self.directory),
                *self.options,
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        wait_for_port(self.port, self.process)
        # Its port is open before it has read what it kept.
        while not self._answers():
            time.sleep(0.02)

    def stop(self) -> None:
        """Kill it."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _answers(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(5) == b"+PONG"


@contextmanager
def redis(*options: str) -> Iterator[RedisServer]:
    """A Redis server of its own."""
    with own_directory("qd-redis-") as directory:
        server = RedisServer(free_port(), directory, options)
        server.start()
        try:
            yield server
        finally:
            server.stop()
