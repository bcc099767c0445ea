"""One HTTP question and its answer, through the guard: no redirects, no cookies, 64 KiB."""

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from quarterdeck.net.guard import AddressRefused, Guard
from quarterdeck.net.line import LIMIT
from quarterdeck.net.tls import PeerContext

Progress = Callable[[str], None]
"""Is told what is waited for: `connection`, `HTTP answer`, `end of the HTTP answer`."""

KEPT_S = 120.0
"""How long an idle connection is kept: longer than the usual pause between two checks."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Headers and body are foreign text: compare them, never show them."""

    status: int
    headers: Mapping[str, str]
    """By any spelling of the name."""
    body: bytes
    """As it was sent, cut at 64 KiB."""
    is_cut: bool
    latency_ms: float
    """From the question to the end of the answer, with the connection if one was made."""


class HttpExchange:
    """Asks the HTTP service of one probe."""

    def __init__(self, guard: Guard, context: PeerContext | None, *, keeps: bool = False) -> None:
        """`context` is for https; `keeps` leaves the connection open for the next question."""
        self._guard = guard
        self._context = context
        self._keeps = keeps
        self._session: aiohttp.ClientSession | None = None

    async def ask(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        body: bytes | None = None,
        progress: Progress = lambda _: None,
    ) -> Answer:
        """Ask, and read the answer.

        Raises:
            AddressRefused: the host may not be reached. (It may be the cause of what is raised.)
            aiohttp.ClientError: no answer, or none of HTTP.
            EOFError: the connection was closed before the end.
            OSError: the connection broke off.
        """
        progress("connection")
        begun = time.perf_counter()
        try:
            async with self._open().request(
                method,
                url,
                data=body,
                headers=headers,
                allow_redirects=False,
                trace_request_ctx=progress,
            ) as response:
                progress("end of the HTTP answer")
                found, is_cut = await _start_of(response)
                took = (time.perf_counter() - begun) * 1000
                return Answer(response.status, response.headers, found, is_cut, took)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError):
            raise EOFError from None
        except aiohttp.InvalidURL:
            # The parts were right; it is a number such as 2130706433 in the place of an address.
            raise AddressRefused("such spellings of an address are not allowed") from None

    async def close(self) -> None:
        """Give the connections back."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        # Made on first use: a session belongs to the running event loop.
        if self._session is None:
            kept: dict[str, Any] = (
                {"keepalive_timeout": KEPT_S} if self._keeps else {"force_close": True}
            )
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=_GuardedResolver(self._guard),
                    socket_factory=self._guard.open_socket,
                    use_dns_cache=False,
                    ssl=self._context or True,
                    **kept,
                ),
                timeout=aiohttp.ClientTimeout(),  # the probe's own is around all of it
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "quarterdeck", "Accept-Encoding": "identity"},
                auto_decompress=False,
                trace_configs=[_traced()],
            )
        return self._session


class _GuardedResolver(AbstractResolver):
    """Leaves out what may not be reached; the socket factory sees what needs no resolver."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=found, proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for found, (address, _) in await self._guard.resolve(host, port)
            if family in {socket.AF_UNSPEC, found}
        ]  # fmt: skip

    async def close(self) -> None:
        """There is nothing to give back."""


def _traced() -> aiohttp.TraceConfig:
    async def connected(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx("HTTP answer")

    config: aiohttp.TraceConfig = aiohttp.TraceConfig()
    config.on_connection_create_end.append(connected)
    config.on_connection_reuseconn.append(connected)
    return config


async def _start_of(response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > LIMIT:
            response.close()
            return bytes(body[:LIMIT]), True
    return bytes(body), False
