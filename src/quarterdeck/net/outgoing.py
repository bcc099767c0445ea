"""POST to one address: no redirects, bounded time, bounded answer, no secret in any error."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

import aiohttp
from yarl import URL

from quarterdeck.core.errors import ConfigError, SourceUnavailable
from quarterdeck.net.reasons import reason_of

MAX_ANSWER = 64 * 1024
"""Bytes of an answer that are read; what comes after them is not waited for."""

BODY_TIMEOUT_S = 2.0
"""The status says whether it was taken; its body only explains, and is not worth more."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said. The body is foreign text: compare it, never show it."""

    status: int
    retry_after: str | None
    body: bytes
    """As it came, still packed; cut at `MAX_ANSWER`, empty when it broke off."""


class PostClient:
    """Sends to one URL. Its errors name the host only: the path may be a secret."""

    def __init__(self, url: str, where: str, timeout_s: float = 10.0) -> None:
        """Take the address; nothing is connected yet. `where` is the setting that gave it.

        Raises:
            ConfigError: it is not an http(s) URL.
        """
        try:
            self._url = URL(url)
        except ValueError:
            self._url = URL()
        if self._url.scheme not in {"http", "https"} or not self._url.host:
            raise ConfigError(f"{where}: expected an http:// or https:// address.")
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    @property
    def host(self) -> str:
        """Of the address, for messages."""
        return str(self._url.host)

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send a body and hear the answer, whatever its status.

        Raises:
            SourceUnavailable: there was none; the source is the host.
        """
        try:
            async with self._open().post(
                self._url, data=BytesIO(body), headers=headers, allow_redirects=False
            ) as response:
                retry_after = response.headers.get("Retry-After")
                return Answer(response.status, retry_after, await _start_of(response))
        except (aiohttp.ClientError, ValueError, OSError) as error:
            reason = _reason(error, self._timeout_s)
            # From None: the causes print the whole URL.
            raise SourceUnavailable(self.host, f"Cannot send to {self.host}: {reason}.") from None

    async def close(self) -> None:
        """Give the connections back."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        # Made on first use: a session belongs to the running event loop.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # A kept connection may have gone stale, and a POST is not repeated by itself.
                connector=aiohttp.TCPConnector(force_close=True),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "quarterdeck", "Accept-Encoding": "identity"},
                auto_decompress=False,
            )
        return self._session


async def _start_of(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) >= MAX_ANSWER:
                    break
    except (aiohttp.ClientError, OSError):
        body.clear()
    response.close()
    return bytes(body[:MAX_ANSWER])


def _reason(error: Exception, timeout_s: float) -> str:
    if isinstance(error, asyncio.TimeoutError):
        return f"no answer within {timeout_s:g} s"
    return reason_of(error) or "it broke the connection off"
