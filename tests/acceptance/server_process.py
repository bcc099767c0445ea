"""The real server as a child process, and a small client that shows what came over the wire."""

import asyncio
import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import servers
from quarterdeck.state import Database, open_database

T = TypeVar("T")
PREFIX = "/api/v1/platform/system"


@dataclass
class Answer:
    """One answer."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def data(self) -> Any:
        assert self.status == 200, self.raw
        assert self.json["success"] is True
        return self.json["data"]

    @property
    def error(self) -> Any:
        """The error of the documented envelope, checked to be whole."""
        body = self.json
        assert set(body) == {"success", "error"}, body
        assert body["success"] is False
        assert set(body["error"]) == {"code", "message", "details", "request_id"}
        assert body["error"]["request_id"] == self.headers["x-request-id"]
        assert body["error"]["message"]
        assert "Traceback" not in body["error"]["message"]
        return body["error"]


@dataclass
class ServerProcess:
    """`quarterdeck serve` on a free port with a data directory of its own."""

    directory: Path
    settings: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = None
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def log(self) -> str:
        return (self.directory / "server.log").read_text()

    @property
    def log_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.splitlines()]

    def command(self, *arguments: str) -> list[str]:
        config = self.directory / "quarterdeck.toml"
        config.write_text(self.settings)
        return [
            sys.executable, "-m", "quarterdeck", *arguments,
            "--config", str(config), "--data-dir", str(self.directory / "data"),
        ]  # fmt: skip

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Another command of the program on the same data directory."""
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=60, check=False,
            env=self._environment(),
        )  # fmt: skip

    def start(self) -> None:
        self.port = self.port or servers.free_port()
        with (self.directory / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command("serve", "--port", str(self.port)),
                stdout=subprocess.DEVNULL, stderr=log, env=self._environment(),
            )  # fmt: skip
        try:
            servers.wait_for_port(self.port, self.process)
            wait_until(self._is_up)
        except (RuntimeError, AssertionError):
            raise RuntimeError(f"the server did not start:\n{self.log}") from None

    def stop(self) -> int:
        """SIGTERM; gives the exit code."""
        assert self.process
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def token(self, role: str) -> str:
        """A token of this role, made by the command line while the server runs."""
        if role not in self.tokens:
            done = self.run("token", "create", "--name", f"test {role}", "--role", role)
            assert done.returncode == 0, done.stderr
            self.tokens[role] = done.stdout.strip()
        return self.tokens[role]

    def call(
        self,
        method: str,
        path: str,
        *,
        role: str | None = None,
        token: str | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        prefix: str = PREFIX,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = dict(headers or {})
        if role:
            token = self.token(role)
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        try:
            connection.putrequest(method, "/" if not prefix + path else prefix + path)
            if body is not None and "Transfer-Encoding" not in sent:
                sent.setdefault("Content-Length", str(len(body)))
            elif body is None and method in {"POST", "PUT", "PATCH"}:
                sent.setdefault("Content-Length", "0")
            for name, value in sent.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    def get(self, path: str, **options: Any) -> Answer:
        return self.call("GET", path, **({"role": "ops"} | options))

    def post(self, path: str, **options: Any) -> Answer:
        return self.call("POST", path, **({"role": "ops"} | options))

    def delete(self, path: str, **options: Any) -> Answer:
        return self.call("DELETE", path, **({"role": "ops"} | options))

    def state(self, use: Callable[[Database], Awaitable[T]]) -> T:
        """Use the server's own database beside it, as another process would."""

        async def opened() -> T:
            database = open_database(self.state_url, "state")
            try:
                return await use(database)
            finally:
                await database.close()

        return in_own_loop(opened)

    @property
    def state_url(self) -> str:
        return f"sqlite:///{self.directory / 'data' / 'quarterdeck.sqlite3'}"

    def _is_up(self) -> bool:
        if self.process and self.process.poll() is not None:
            raise RuntimeError(f"it ended with {self.process.returncode}")
        return self.call("GET", "/healthz", prefix="").status == 200

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.directory),
            "QUARTERDECK_RATE_LIMIT": "1000000/minute",
            "QUARTERDECK_RATE_LIMIT_BAD_TOKENS": "1000000/minute",
            **self.environment,
        }


def in_own_loop(use: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine to its end in a thread of its own; tests may have a loop already."""

    async def main() -> T:
        return await use()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(main())).result()


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Return once the condition holds; fail when it does not in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if condition():
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise AssertionError(f"the condition did not hold within {seconds} s")
