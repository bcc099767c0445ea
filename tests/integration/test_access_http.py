"""The HTTP client against real servers that misbehave."""

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

import servers
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.net.http import HttpClient

CREDENTIALS = "key=hunter2hunter2"


class Misbehaving:
    """One route for each way to be a bad server."""

    def __init__(self) -> None:
        self.origin = ""
        self.asked: list[str] = []
        self.stopped_sending = asyncio.Event()
        self.release = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Route by path."""
        self.asked.append(request.path)
        if request.path == "/endless":
            return await self._endless(request)
        if request.path == "/hangs":
            await self.release.wait()
        if request.path == "/breaks-off":
            assert request.transport is not None
            request.transport.close()
        if request.path == "/bomb":
            packed = gzip.compress(b"\0" * 50_000_000)
            return web.Response(body=packed, headers={"Content-Encoding": "gzip"})
        if request.path == "/moved":
            raise web.HTTPFound(f"{self.origin}/fine?{CREDENTIALS}")
        if request.path.startswith("/status/"):
            return web.Response(status=int(request.match_info["tail"].split("/")[1]))
        return web.Response(body=b"x" * int(request.query.get("size", "4")))

    async def _endless(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 10_000)
        except ConnectionError:
            self.stopped_sending.set()
        return response


@pytest.fixture
async def server() -> AsyncIterator[Misbehaving]:
    """A bad server on loopback."""
    bad = Misbehaving()
    app = web.Application()
    app.router.add_get("/{tail:.*}", bad.answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    bad.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield bad
    bad.release.set()
    await runner.cleanup()


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    """The real client."""
    opened = HttpClient()
    yield opened
    await opened.close()


async def failure(client: HttpClient, url: str, timeout_s: float = 5) -> SourceUnavailable:
    with pytest.raises(SourceUnavailable) as error:
        await client.get_bytes(url, timeout_s=timeout_s, limit=1000)
    assert "hunter2" not in error.value.message
    assert error.value.__cause__ is None
    return error.value


async def test_body_up_to_the_limit_is_given(server: Misbehaving, client: HttpClient) -> None:
    assert await client.get_bytes(f"{server.origin}/fine") == b"xxxx"
    assert len(await client.get_bytes(f"{server.origin}/fine?size=1000", limit=1000)) == 1000


@pytest.mark.parametrize("path", ["/fine?size=1001", "/endless", "/bomb"])
async def test_body_over_the_limit_is_cut_off(
    server: Misbehaving, client: HttpClient, path: str
) -> None:
    error = await failure(client, server.origin + path)
    assert "more than 1000 bytes" in error.message
    assert error.source == "127.0.0.1"


async def test_endless_answer_is_hung_up_on(server: Misbehaving, client: HttpClient) -> None:
    await failure(client, f"{server.origin}/endless")
    async with asyncio.timeout(10):
        await server.stopped_sending.wait()


async def test_redirect_is_not_followed(server: Misbehaving, client: HttpClient) -> None:
    error = await failure(client, f"{server.origin}/moved?{CREDENTIALS}")
    assert "redirects are not followed" in error.message
    assert server.asked == ["/moved"]


@pytest.mark.parametrize("status", [204, 400, 401, 404, 500, 503])
async def test_other_status_is_unavailable(
    server: Misbehaving, client: HttpClient, status: int
) -> None:
    error = await failure(client, f"{server.origin}/status/{status}?{CREDENTIALS}")
    assert f"it answered {status}" in error.message


async def test_silence_ends_after_the_timeout(server: Misbehaving, client: HttpClient) -> None:
    error = await failure(client, f"{server.origin}/hangs?{CREDENTIALS}", timeout_s=0.2)
    assert "no answer within 0.2 s" in error.message


async def test_broken_connection_is_unavailable(server: Misbehaving, client: HttpClient) -> None:
    error = await failure(client, f"{server.origin}/breaks-off?{CREDENTIALS}")
    assert "broke off" in error.message


async def test_closed_port_is_named_without_the_path(client: HttpClient) -> None:
    url = f"http://user:hunter2hunter2@127.0.0.1:{servers.free_port()}/secret-path?{CREDENTIALS}"
    error = await failure(client, url)
    assert error.message == "Cannot get an answer from 127.0.0.1: connection refused."


async def test_plain_answer_to_tls_is_unavailable(server: Misbehaving, client: HttpClient) -> None:
    error = await failure(client, server.origin.replace("http:", "https:"))
    assert "TLS" in error.message


@pytest.mark.parametrize(
    "url",
    [
        "", "hunter2", "file:///etc/passwd", "ftp://hunter2/", "http://", "http://[hunter2/",
        "//hunter2", "http://a:99999999/",
    ],
)  # fmt: skip
async def test_what_is_no_http_address_is_unavailable(client: HttpClient, url: str) -> None:
    with pytest.raises(SourceUnavailable, match=r"is not a valid http\(s\) URL"):
        await client.get_bytes(url)


async def test_failures_log_no_secrets(
    server: Misbehaving, client: HttpClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for path in ("/status/500", "/moved", "/breaks-off"):
        await failure(client, f"{server.origin}{path}?{CREDENTIALS}")
    own = [record for record in caplog.records if record.name != "aiohttp.access"]
    assert all("hunter2" not in record.getMessage() for record in own)


async def test_close_twice_is_safe(server: Misbehaving) -> None:
    client = HttpClient()
    await client.close()
    await client.get_bytes(f"{server.origin}/fine")
    await client.close()
    await client.close()
