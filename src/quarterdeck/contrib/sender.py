"""The thread that sends batches, tries again, and says what it could not do."""

import contextlib
import gzip
import http.client
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from quarterdeck.contrib.backoff import Backoff, retry_after_s
from quarterdeck.contrib.outbox import Outbox

PATH = "/api/v1/platform/system/logs"
TIMEOUT_S = 15.0
IDLE_S = 3.0
"""A connection that was idle for longer is opened anew: servers close them after five seconds."""
SMALL = 1024
"""Bytes below which compressing is not worth it."""
ANSWER_LIMIT = 1024 * 1024

Report = Callable[[int], bytes]
"""The line that tells of so many drops."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server said."""

    status: int
    retry_after_s: float | None
    body: Mapping[str, Any]

    @property
    def is_taken(self) -> bool:
        """Whether it is Quarterdeck's word that the lines are kept; a proxy's 200 is not."""
        return 200 <= self.status < 300 and self.body.get("success") is True

    @property
    def is_final(self) -> bool:
        """Whether sending the same again would change nothing."""
        is_refusal = self.status == 400 and isinstance(self.body.get("error"), dict)
        return self.is_taken or is_refusal or self.status == 413

    @property
    def rejected(self) -> int:
        """How many of the lines were not taken."""
        count = self._data.get("rejected")
        return count if isinstance(count, int) else 0

    @property
    def words(self) -> str:
        """Why, in brackets after a blank, when it says so."""
        error = self.body.get("error")
        why = error.get("message") if isinstance(error, dict) else self._data.get("rejections")
        return f" ({str(why)[:500]})" if why else ""

    @property
    def _data(self) -> Mapping[str, Any]:
        data = self.body.get("data")
        return data if isinstance(data, dict) else {}


class Endpoint:
    """Where lines are sent to. It shows its token nowhere."""

    def __init__(self, url: str, token: str, *, compress: bool) -> None:
        if not token or not (token.isascii() and token.isprintable() and " " not in token):
            raise ValueError("token: it is empty, or holds characters that no token has")
        try:
            parts = urlsplit(url)
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError:
            raise ValueError("url: give one such as https://ops.example:8080") from None
        if not self._host or parts.scheme not in {"http", "https"} or parts.username or parts.query:
            raise ValueError("url: give one such as https://ops.example:8080, without a user name")
        self._is_tls = parts.scheme == "https"
        self._target = quote(parts.path.rstrip("/"), safe="/%") + PATH
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/x-ndjson",
            "User-Agent": "quarterdeck-logging",
        }
        self._compress = compress
        self._connection: http.client.HTTPConnection | None = None
        self._used_at = 0.0

    def __repr__(self) -> str:
        port = "" if self._port is None else f":{self._port}"
        scheme = "https" if self._is_tls else "http"
        return f"{scheme}://{self._host}{port}{self._target}"

    def post(self, body: bytes) -> Reply:
        """Send one body.

        Raises:
            OSError, http.client.HTTPException: there was no answer.
        """
        headers = dict(self._headers)
        if self._compress and len(body) > SMALL:
            body, headers["Content-Encoding"] = gzip.compress(body, 1), "gzip"
        if self._connection is not None and time.monotonic() - self._used_at > IDLE_S:
            self.close()
        was_open = self._connection is not None
        try:
            return self._exchange(body, headers)
        except ConnectionError:
            if not was_open:
                raise
            return self._exchange(body, headers)  # the server had closed it meanwhile

    def close(self) -> None:
        """Close the connection; the next `post` opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        if self._connection is None:
            kind = http.client.HTTPSConnection if self._is_tls else http.client.HTTPConnection
            self._connection = kind(self._host, self._port, timeout=TIMEOUT_S)
        try:
            self._connection.request("POST", self._target, body, headers)
            response = self._connection.getresponse()
            answer = response.read(ANSWER_LIMIT)
        except BaseException:
            self.close()
            raise
        if not response.isclosed():
            self.close()
        self._used_at = time.monotonic()
        wait_s = retry_after_s(response.getheader("Retry-After"))
        return Reply(response.status, wait_s, _parsed(answer))


class Sender:
    """Empties the outbox until that is closed, in a thread that keeps no program alive."""

    def __init__(
        self, outbox: Outbox, endpoint: Endpoint, backoff: Backoff, report: Report
    ) -> None:
        self._outbox = outbox
        self._endpoint = endpoint
        self._backoff = backoff
        self._report = report
        self._said: set[str] = set()
        self._refused = 0
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def thread_id(self) -> int | None:
        """Of the thread that sends."""
        return self._thread.ident if self._thread else None

    def start(self) -> bool:
        """Have a thread; False when the interpreter is ending and gives none any more."""
        if self._thread is not None:
            return True
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="quarterdeck-logging", daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    return False
                self._thread = thread
        return True

    def run_here(self) -> None:
        """Deliver what is left in the calling thread; for an interpreter that is ending."""
        self._outbox.close()
        self._run()

    def say_once(self, what: str, sentence: str) -> None:
        """Tell people on standard error, once for each `what`; logging it would go in circles."""
        if what in self._said:
            return
        self._said.add(what)
        if sys.stderr is not None:
            with contextlib.suppress(OSError, ValueError):  # a closed one: nobody to tell
                print(f"quarterdeck logging: {sentence}", file=sys.stderr, flush=True)  # noqa: T201

    def _run(self) -> None:
        try:
            while (taken := self._outbox.take()) is not None:
                lines, dropped = taken
                self._refused = 0
                if not self._deliver([*lines, self._report(dropped)] if dropped else lines):
                    return
                self._outbox.settle()
                # Never more than the program's own: a refused report must not lead to another.
                self._outbox.count_dropped(min(self._refused, len(lines)))
                if dropped:
                    self.say_once("dropped", "lines were dropped; a log line says how many.")
        finally:
            self._endpoint.close()

    def _deliver(self, lines: list[bytes]) -> bool:
        """Send until the server has it; False when the outbox was closed meanwhile."""
        while True:
            reply = self._try(lines)
            if reply is not None and reply.is_final:
                self._backoff.reset()
                self._said.discard("failing")
                return self._settled(lines, reply)
            if self._outbox.is_closed:
                return False
            if self._outbox.is_hurried:
                self._backoff.reset()
            self._outbox.pause(self._backoff.next_s(reply.retry_after_s if reply else None))

    def _try(self, lines: list[bytes]) -> Reply | None:
        try:
            reply = self._endpoint.post(b"\n".join(lines) + b"\n")
        except Exception as error:  # noqa: BLE001 - whatever it is, the lines are still here
            self.say_once("failing", f"{self._endpoint!r}: {_reason(error)}. Trying again.")
            return None
        if not reply.is_final:
            answered = f"{self._endpoint!r} answered {reply.status}{reply.words}"
            self.say_once("failing", f"{answered}. Trying again.")
        return reply

    def _settled(self, lines: list[bytes], reply: Reply) -> bool:
        if reply.status == 413 and len(lines) > 1:
            middle = len(lines) // 2
            return self._deliver(lines[:middle]) and self._deliver(lines[middle:])
        refused = reply.rejected if reply.is_taken else len(lines)
        if refused:
            self._refused += refused
            self.say_once("refused", f"the server refused lines{reply.words}.")
        return True


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}
