"""The sample platform's API, and the customers that call it: a real ASGI application, measured by
our own middleware as any user's would be."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import aiohttp

from quarterdeck.demo.weather import Weather

CALLS_PER_S = 8
FAILING = 1 / 400
USUAL_MS = 45.0


class WebApi:
    """`/health` for probes, `/v1/messages` for customers."""

    def __init__(self, weather: Callable[[], Weather], seed: int) -> None:
        self._weather = weather
        self._dice = Random(seed)  # noqa: S311 - sample data

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        if scope["path"] == "/health":
            await _answer(send, 200, b'{"status": "ok"}')
            return
        delay_s = self._dice.lognormvariate(0, 0.6) * USUAL_MS / 1000
        await asyncio.sleep(delay_s + self._weather().answer_delay_s * self._dice.random())
        is_failing = self._dice.random() < FAILING
        await _answer(send, 500 if is_failing else 202, b'{"sample": true}')


async def call_again(port: int, stop: asyncio.Event) -> None:
    """Be the customers until `stop` is set."""
    url = f"http://127.0.0.1:{port}/v1/messages"
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
        while not stop.is_set():
            group.create_task(_call(session, url))
            try:
                async with asyncio.timeout(1 / CALLS_PER_S):
                    await stop.wait()
            except TimeoutError:
                continue


async def _call(session: aiohttp.ClientSession, url: str) -> None:
    try:
        async with session.post(url) as response:
            await response.read()
    except (aiohttp.ClientError, TimeoutError):
        return  # the server measures; its customers come again


async def _answer(send: Any, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
