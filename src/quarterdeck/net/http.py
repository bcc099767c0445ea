"""The one HTTP client for going out: no redirects, bounded time, bounded size."""

import asyncio
import errno
import os
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import aiohttp

from quarterdeck.core.errors import SourceUnavailable

TIMEOUT_S = 5.0
LIMIT = 65_536
_NO_URL = "it is not a valid http(s) URL"


class HttpClient:
    """Fetches small documents. Its errors name the host only: a URL may hold secrets."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        """`context` is for https; None: the system's authorities are trusted."""
        self._context = context
        self._session: aiohttp.ClientSession | None = None

    async def get_bytes(
        self, url: str, *, timeout_s: float = TIMEOUT_S, limit: int = LIMIT
    ) -> bytes:
        """The body of a 200 answer, at most `limit` bytes after decompression.

        Raises:
            SourceUnavailable: anything else, with the host as its source.
        """
        status, body = await self.get(url, timeout_s=timeout_s, limit=limit)
        if status != 200:
            raise _unavailable(_host(url), _status_reason(status))
        return body

    async def get(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        limit: int = LIMIT,
    ) -> tuple[int, bytes]:
        """The status and body of the answer, at most `limit` bytes after decompression.

        Raises:
            SourceUnavailable: there is none, with the host as its source.
        """
        host = _host(url)
        try:
            async with self._open().get(
                url,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
            ) as response:
                return response.status, await _body(response, host, limit)
        except (aiohttp.ClientError, ValueError, OSError) as error:
            # From None: the causes print the whole URL.
            raise _unavailable(host, _reason(error, timeout_s)) from None

    async def post_form(
        self, url: str, fields: Mapping[str, str], headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        """The status and body (at most 64 KiB) of the answer to form fields, within 5 seconds.

        Raises:
            SourceUnavailable: there is none, with the host as its source.
        """
        host = _host(url)
        try:
            async with self._open().post(
                url,
                data=dict(fields),
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            ) as response:
                return response.status, await _body(response, host, LIMIT)
        except (aiohttp.ClientError, ValueError, OSError) as error:
            raise _unavailable(host, _reason(error, TIMEOUT_S)) from None

    async def close(self) -> None:
        """Give the connections back."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        # Made on first use: a session belongs to the running event loop.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._context or True),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "quarterdeck"},
            )
        return self._session


async def _body(response: aiohttp.ClientResponse, host: str, limit: int) -> bytes:
    """Read until the end or the limit, so that an endless answer costs no more than that."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            response.close()
            raise _unavailable(host, f"it answered with more than {limit} bytes")
    return bytes(body)


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise _unavailable("the configured address", _NO_URL)
    return parts.hostname


def _unavailable(host: str, reason: str) -> SourceUnavailable:
    return SourceUnavailable(host, f"Cannot get an answer from {host}: {reason}.")


def _status_reason(status: int) -> str:
    if 300 <= status < 400:
        return f"it answered {status}, and redirects are not followed; configure the final address"
    return f"it answered {status}"


def _reason(error: Exception, timeout_s: float) -> str:
    if isinstance(error, asyncio.TimeoutError):
        return f"no answer within {timeout_s:g} s"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name cannot be resolved"
    if isinstance(error, ssl.SSLError | aiohttp.ClientSSLError):
        return "its TLS certificate or handshake is not good"
    if isinstance(error, aiohttp.ClientConnectorError):
        return os.strerror(error.os_error.errno or errno.EHOSTUNREACH).lower()
    if isinstance(error, ValueError):
        return _NO_URL
    return "the connection broke off"
