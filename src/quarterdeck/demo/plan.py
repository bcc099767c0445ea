"""What the launcher tells each process of the sample platform: one JSON argument."""

import socket
import time
from dataclasses import asdict, dataclass
from json import dumps, loads
from pathlib import Path
from typing import Any

from quarterdeck.demo.weather import Weather, weather_at


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the platform's servers listen, on 127.0.0.1."""

    api: int
    smtp: int
    database: int

    @classmethod
    def free(cls) -> "Ports":
        """Ports that nobody uses now. Held all at once, so that they differ."""
        held = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
        try:
            return cls(*(each.getsockname()[1] for each in held))
        finally:
            for each in held:
                each.close()


@dataclass(frozen=True, slots=True)
class Plan:
    """The platform's database, what decides all that happens on it, and where its logs go."""

    url: str
    seed: int
    ports: Ports | None = None
    """None: the platform has no servers, as while a backlog is made."""
    started_at: float = 0.0
    """Seconds since 1970."""
    pace: float = 1.0
    """How much faster than usual its troubles come."""
    log_file: str | None = None

    def weather(self) -> Weather:
        """How things are now."""
        return weather_at((time.time() - self.started_at) * self.pace)

    def to_argument(self) -> str:
        """As `from_argument` reads it."""
        return dumps(asdict(self))

    @classmethod
    def from_argument(cls, text: str) -> "Plan":
        """What the launcher said."""
        told: dict[str, Any] = loads(text)
        ports = told.pop("ports")
        return cls(ports=Ports(**ports) if ports else None, **told)

    @property
    def log_path(self) -> Path | None:
        """The file that says where logs go."""
        return Path(self.log_file) if self.log_file else None


def watched_services(ports: Ports, pace: float) -> list[dict[str, Any]]:
    """The `[[health.services]]` entries that watch the platform, as often as it changes."""
    here = "127.0.0.1"
    api = {"kind": "http", "url": f"http://{here}:{ports.api}/health", "body_contains": "ok"}
    smtp = {"kind": "smtp", "host": here, "port": ports.smtp}
    mail = {"kind": "queue", "queue": "queue:email-sending", "source": "demo"}
    console = f"postgresql://monitor@{here}:{ports.database}/pgbouncer"
    database = {"kind": "postgres", "url": console, "pgbouncer": True}
    backup = {"kind": "heartbeat", "name": BACKUP, "interval_s": 60, "grace_s": 30}
    interval_s = max(1.0, OFTEN_S / pace)
    often: dict[str, Any] = {"interval_s": interval_s, "timeout_s": min(2.0, 0.9 * interval_s)}
    return [
        {"name": API, "depends_on": [DATABASE], "probes": [api], **often},
        {"name": SMTP, "probes": [smtp, mail], **often},
        {"name": DATABASE, "probes": [database], **often},
        {"name": "Nightly Backup", "probes": [backup]},
    ]


OFTEN_S = 5.0
API = "API Server"
SMTP = "SMTP Service"
DATABASE = "OLTP Database"
BACKUP = "sample-backup"
