"""Followers of a real server's log: raw readers of server-sent events."""

import http.client
import json
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlencode

from acceptance.server_process import PREFIX, ServerProcess, wait_until
from log_world import Log


@dataclass(frozen=True)
class Event:
    """One line as a follower heard of it."""

    id: str
    log: Log


@dataclass
class Follower:
    """A raw reader of server-sent events, in a thread of its own."""

    server: ServerProcess
    query: dict[str, str] = field(default_factory=dict)
    last_id: str | None = None
    events: list[Event] = field(default_factory=list)
    beats: int = 0
    status: int = 0
    errors: list[Log] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._socket: socket.socket | None = None

    def start(self) -> "Follower":
        """Connect, and return once the server has begun to watch."""
        self._thread.start()
        wait_until(lambda: self.beats > 0 or bool(self.events) or not self.is_connected)
        assert self.status == 200, self.status
        return self

    @property
    def is_connected(self) -> bool:
        return self._thread.is_alive()

    @property
    def newest_id(self) -> str | None:
        return self.events[-1].id if self.events else self.last_id

    @property
    def keys(self) -> list[str]:
        return [event.log["metadata"]["key"] for event in self.events]

    def again(self) -> "Follower":
        """Go on after the last line that this one has heard of."""
        return Follower(self.server, self.query, self.newest_id).start()

    def wait_for_more(self, events: int = 1) -> None:
        wanted = len(self.events) + events
        wait_until(lambda: len(self.events) >= wanted)

    def hang_up(self) -> None:
        if self._socket is not None:
            with suppress(OSError):  # the server may have been faster
                self._socket.shutdown(socket.SHUT_RDWR)
        self.wait_for_end()

    def wait_for_end(self, seconds: float = 10) -> None:
        self._thread.join(seconds)
        assert not self.is_connected

    def _follow(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        headers = {"Authorization": f"Bearer {self.server.tokens['viewer']}"}
        if self.last_id is not None:
            headers["Last-Event-ID"] = self.last_id
        try:
            connection.request("GET", f"{PREFIX}/logs/tail?{urlencode(self.query)}", None, headers)
            self._socket = connection.sock
            response = connection.getresponse()
            self.status = response.status
            if response.status == 200:
                assert response.headers.get_content_type() == "text/event-stream"
                self._read(response)
        except (OSError, http.client.HTTPException):
            pass  # hung up, by us or by the server
        finally:
            connection.close()

    def _read(self, response: http.client.HTTPResponse) -> None:
        fields: dict[str, str] = {}
        while line := response.readline().decode():
            assert line.endswith("\n"), line
            name, _, value = line.rstrip("\n").partition(": ")
            if name == "" and value:
                self.beats += 1
            elif value:
                assert name not in fields, line
                fields[name] = value
            elif fields:
                self._note(fields)
                fields = {}

    def _note(self, fields: dict[str, str]) -> None:
        if "data" not in fields:  # where the stream begins
            assert set(fields) == {"id"}
            self.last_id = fields["id"]
            return
        data = json.loads(fields["data"])
        if fields["event"] == "log":
            assert data["id"] == fields["id"]
            self.events.append(Event(fields["id"], data))
        else:
            self.errors.append(data)
