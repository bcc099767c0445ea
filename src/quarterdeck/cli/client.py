"""A small HTTP client of the API: one request, one answer, errors as exit codes.

The standard library's, because a command sends one or two requests and importing aiohttp takes
longer than they do. It follows no redirects, so the token goes nowhere else.
"""

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from quarterdeck.cli.failure import CommandFailed, ExitCode, Refused
from quarterdeck.config import client_environment

PREFIX = "/api/v1/platform/system"
TIMEOUT_S = 30.0
LIMIT = 64 * 1024 * 1024
"""Bytes of one answer; a page of 100 jobs with large payloads stays far below."""

Data = dict[str, Any]


class ApiClient:
    """Speaks to the server at `url` with `token`."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._token = token

    def call(
        self, method: str, segments: tuple[str, ...], query: Mapping[str, object] | None = None
    ) -> Data:
        """Send one request and give the `data` of its answer. `segments` are encoded here.

        Raises:
            Refused, CommandFailed: see `ExitCode`.
        """
        path = "".join(f"/{quote(segment, safe='')}" for segment in segments)
        given = {key: value for key, value in (query or {}).items() if value is not None}
        target = f"{PREFIX}{path}?{urlencode(given)}" if given else f"{PREFIX}{path}"
        status, body = self._exchange(method, target)
        answer = _parsed(body)
        data = answer.get("data")
        if 200 <= status < 300 and answer.get("success") is True and isinstance(data, dict):
            return data
        raise self._failure(status, answer.get("error"))

    def _exchange(self, method: str, target: str) -> tuple[int, bytes]:
        connection, base = self._connection()
        headers = {"Accept": "application/json", "User-Agent": "quarterdeck-cli"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            connection.request(method, base + target, headers=headers)
            response = connection.getresponse()
            body = response.read(LIMIT + 1)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise CommandFailed(
                f"Cannot reach {self.url}: {reason}. Is the server running, and is "
                "QUARTERDECK_URL (or --url) right?",
                ExitCode.UNREACHABLE,
            ) from None
        finally:
            connection.close()
        if len(body) > LIMIT:
            raise CommandFailed(
                "The answer is larger than 64 MiB. Ask for less with --limit.", ExitCode.REFUSED
            )
        return response.status, body

    def _connection(self) -> tuple[http.client.HTTPConnection, str]:
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
        return kind(host, port, timeout=TIMEOUT_S), quote(parts.path.rstrip("/"), safe="/%")

    def _failure(self, status: int, error: object) -> CommandFailed:
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
        return Refused(message, status)


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


def _parsed(body: bytes) -> Data:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
