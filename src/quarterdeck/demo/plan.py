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
    dns: int

    @classmethod
    def free(cls) -> "Ports":
        """Ports that nobody uses now. Held all at once, so that they differ."""
        held = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
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
