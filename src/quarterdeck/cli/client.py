"""A small HTTP client of the API: one request, one answer, errors as exit codes.

The standard library's, because a command sends one or two requests and importing aiohttp takes
longer than they do. It follows no redirects, so the token goes nowhere else.
"""

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from quarterdeck.cli.failure import CommandFailed, ExitCode, Refused
from quarterdeck.config import client_environment
from quarterdeck.contrib.backoff import retry_after_s

PREFIX = "/api/v1/platform/system"
TIMEOUT_S = 30.0
STREAM_TIMEOUT_S = 45.0
"""Longest silence of a stream; the server says that it is alive every 15 s."""
LIMIT = 64 * 1024 * 1024
"""Bytes of one answer; a page of 100 jobs with large payloads stays far below."""

Data = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sent:
    """What a request carries beside its address."""

    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


NOTHING = Sent()


class ApiClient:
    """Speaks to the server at `url` with `token`."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._token = token

    def call(
        self,
        method: str,
        segments: tuple[str, ...],
        query: Mapping[str, object] | None = None,
        sent: Sent = NOTHING,
    ) -> Data:
        """Send one request and give the `data` of its answer. `segments` are encoded here.

        Raises:
            Refused, CommandFailed: see `ExitCode`.
        """
        connection, base = self._connection(TIMEOUT_S)
        try:
            response = self._asked(connection, method, base + _target(segments, query), sent)
            body = response.read(LIMIT + 1)
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None
        finally:
            connection.close()
        if len(body) > LIMIT:
            raise CommandFailed(
                "The answer is larger than 64 MiB. Ask for less with --limit.", ExitCode.REFUSED
            )
        answer = _parsed(body)
        data = answer.get("data")
        if (
            200 <= response.status < 300
            and answer.get("success") is True
            and isinstance(data, dict)
        ):
            return data
        raise self._failure(response, answer.get("error"))

    @contextmanager
    def stream(
        self, segments: tuple[str, ...], query: Mapping[str, object], headers: Mapping[str, str]
    ) -> Iterator[Iterator[bytes]]:
        """The lines of an answer that does not end by itself, as they come; open once entered.

        Raises:
            Refused, CommandFailed: see `ExitCode`; also while the lines are read.
        """
        connection, base = self._connection(STREAM_TIMEOUT_S)
        sent = Sent(headers={"Accept": "text/event-stream", **headers})
        try:
            yield self._lines(self._opened(connection, base + _target(segments, query), sent))
        finally:
            connection.close()

    def _opened(
        self, connection: http.client.HTTPConnection, target: str, sent: Sent
    ) -> http.client.HTTPResponse:
        try:
            response = self._asked(connection, "GET", target, sent)
            if response.status == 200 and (
                response.headers.get_content_type() == "text/event-stream"
            ):
                return response
            answer = _parsed(response.read(LIMIT))
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None
        raise self._failure(response, answer.get("error"))

    def _lines(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        try:
            while line := response.readline(LIMIT):
                yield line
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None

    def _asked(
        self, connection: http.client.HTTPConnection, method: str, target: str, sent: Sent
    ) -> http.client.HTTPResponse:
        headers = {"Accept": "application/json", "User-Agent": "quarterdeck-cli", **sent.headers}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        connection.request(method, target, body=sent.body, headers=headers)
        return connection.getresponse()

    def _unreachable(self, error: Exception) -> CommandFailed:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return CommandFailed(
            f"Cannot reach {self.url}: {reason}. Is the server running, and is "
            "QUARTERDECK_URL (or --url) right?",
            ExitCode.UNREACHABLE,
        )

    def _connection(self, timeout_s: float) -> tuple[http.client.HTTPConnection, str]:
        if not (self._token.isascii() and self._token.isprintable() and " " not in self._token):
            raise CommandFailed(
                "The token holds characters that no token has. Copy it again.", ExitCode.USAGE
            )
        try:
            parts = urlsplit(self.url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if not host or parts.scheme not in {"http", "https"} or parts.username or parts.query:
            raise CommandFailed(
                "QUARTERDECK_URL (or --url) must look like http://127.0.0.1:8080: "
                "http or https, a host, maybe a port and a path, and no user name.",
                ExitCode.USAGE,
            )
        kind: type[http.client.HTTPConnection] = http.client.HTTPConnection
        if parts.scheme == "https":
            kind = http.client.HTTPSConnection
        return kind(host, port, timeout=timeout_s), quote(parts.path.rstrip("/"), safe="/%")

    def _failure(self, response: http.client.HTTPResponse, error: object) -> CommandFailed:
        status = response.status
        if not isinstance(error, dict) or not isinstance(error.get("message"), str):
            return CommandFailed(
                f"{self.url} answered with status {status}, but not as Quarterdeck does. "
                "Is QUARTERDECK_URL (or --url) right?",
                ExitCode.UNREACHABLE,
            )
        message = error["message"]
        if status == 401:
            hint = "Put a valid token into QUARTERDECK_TOKEN (or --token)."
            return CommandFailed(f"{message} {hint}", ExitCode.NOT_SIGNED_IN)
        if status >= 500:
            message = f"{message} (request {error.get('request_id', 'unknown')})"
        return Refused(message, status, retry_after_s(response.getheader("Retry-After")))


def client_of(url: str | None, token: str | None) -> ApiClient:
    """The client for these options; what was not given comes from the environment."""
    default_url, default_token = client_environment()
    return ApiClient((url or default_url).rstrip("/"), (token or default_token).strip())


def call_queue(
    client: ApiClient,
    method: str,
    queue: str,
    verb: str,
    query: Mapping[str, object],
) -> Data:
    """Call `/queues/{queue}/{verb}`; a name that is not known is tried with `queue:` before it."""
    try:
        return client.call(method, ("queues", queue, verb), query)
    except Refused as refusal:
        if refusal.status != 404 or queue.startswith("queue:"):
            raise
        return client.call(method, ("queues", f"queue:{queue}", verb), query)


def _target(segments: tuple[str, ...], query: Mapping[str, object] | None) -> str:
    path = "".join(f"/{quote(segment, safe='')}" for segment in segments)
    given = {key: value for key, value in (query or {}).items() if value is not None}
    return f"{PREFIX}{path}?{urlencode(given)}" if given else f"{PREFIX}{path}"


def _parsed(body: bytes) -> Data:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}
