"""A real RabbitMQ for tests. It is slow to start, so there is one for a whole test process."""

import base64
import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.error import HTTPError
from urllib.parse import quote

import servers

USER = "prober"
PASSWORD = "s3cret-pw-4711"

# Those on the PATH insist on a user of their own.
_CTL = "/usr/lib/rabbitmq/bin/rabbitmqctl"
_SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"


@dataclass
class RabbitServer:
    """Its ports, and what its own tools need to find it."""

    port: int
    management_port: int
    name: str
    environment: Mapping[str, str]
    created: int = 0

    def create_vhost(self) -> str:
        """An empty virtual host, whose name has a slash in it; gives its URL."""
        self.created += 1
        vhost = quote(f"mail/{self.created}", safe="")
        self.call("PUT", f"vhosts/{vhost}")
        self.call(
            "PUT",
            f"permissions/{vhost}/{USER}",
            {"configure": ".*", "write": ".*", "read": ".*"},
        )
        return f"amqp://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{vhost}"

    def drop_vhost(self, url: str) -> None:
        """Remove what `create_vhost` made, with all that is in it."""
        self.call("DELETE", f"vhosts/{url.rpartition('/')[2]}")

    def listening_workers(self, url: str) -> int:
        """How many of Celery's workers in this virtual host hear remote control.

        Not their replies to a ping are counted: Kombu takes a late one for that of the next ping.
        """
        path = f"exchanges/{url.rpartition('/')[2]}/celery.pidbox/bindings/source"
        try:
            return len(json.loads(self.call("GET", path)))
        except HTTPError:  # the first worker makes the exchange
            return 0

    @property
    def management_url(self) -> str:
        """Without a user."""
        return f"http://127.0.0.1:{self.management_port}"

    def call(self, method: str, path: str, body: object = None) -> bytes:
        """What the management API answers."""
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            f"{self.management_url}/api/{path}",
            json.dumps(body).encode() if body is not None else None,
            {"Authorization": f"Basic {login}", "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bytes(answer.read())

    def control(self, *command: str) -> None:
        """Run `rabbitmqctl`."""
        subprocess.run(
            [_CTL, "-n", self.name, *command],
            env=dict(self.environment), check=True, capture_output=True,
        )  # fmt: skip

    def wait_for_figures(self, seconds: float = 60) -> None:
        """Its nodes know their memory only some seconds after they began to serve."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with suppress(OSError):
                if b"mem_limit" in self.call("GET", "nodes?columns=mem_limit"):
                    return
            time.sleep(0.1)
        raise RuntimeError(f"RabbitMQ knows no figures after {seconds} s")


@contextmanager
def rabbitmq() -> Iterator[RabbitServer]:
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
            servers.running([servers.program("epmd"), "-port", str(mapper)], **quiet) as names,
            servers.running([_SERVER], **quiet) as process,
        ):
            servers.wait_for_port(mapper, names)
            servers.wait_for_port(port, process, seconds=120)
            servers.wait_for_port(management, process, seconds=120)
            server = RabbitServer(port, management, environment["RABBITMQ_NODENAME"], environment)
            server.wait_for_figures()
            try:
                yield server
            finally:
                process.kill()  # nothing of it is to be kept, and its goodbye takes six seconds
