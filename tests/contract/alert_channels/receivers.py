"""Real receivers on loopback that behave, or do not."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from aiohttp import web


class Conduct(StrEnum):
    """How a receiver treats what it gets."""

    GOOD = "good"
    HANG = "hang"
    RESET = "reset"
    FLOOD = "flood"
    """It takes it, and never stops to answer."""
    BREAK = "break"
    BUSY = "busy"
    REFUSE = "refuse"


STATUSES = {Conduct.BREAK: 500, Conduct.BUSY: 429, Conduct.REFUSE: 400}


@dataclass
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class HttpReceiver:
    """What it does is set by the test, also while it runs."""

    port: int = 0
    conduct: Conduct = Conduct.GOOD
    status: int = 0
    """Answered instead of the conduct's own."""
    headers: dict[str, str] = field(default_factory=dict)
    answer: bytes = b"ok"
    received: list[Received] = field(default_factory=list)
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    present: int = 0
    most_present: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)
    """Ends what hangs."""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        await self._note(Received(request.path_qs, headers, body))
        try:
            return await self._answer(request)
        finally:
            async with self.arrived:
                self.present -= 1
                self.arrived.notify_all()

    async def wait_present(self, count: int) -> None:
        """Until so many requests are being answered."""
        async with self.arrived:
            await self.arrived.wait_for(lambda: self.present == count)

    async def _note(self, received: Received) -> None:
        async with self.arrived:
            self.received.append(received)
            self.present += 1
            self.most_present = max(self.present, self.most_present)
            self.arrived.notify_all()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.conduct is Conduct.HANG:
            await self.released.wait()
        if self.conduct is Conduct.RESET:
            assert request.transport
            request.transport.abort()
        if self.conduct is Conduct.FLOOD:
            return await self._flood(request)
        status = self.status or STATUSES.get(self.conduct, 200)
        return web.Response(status=status, headers=self.headers, body=self.answer)

    async def _flood(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=self.status or 200, headers=self.headers)
        await response.prepare(request)
        with contextlib.suppress(OSError):
            while not self.released.is_set():
                await response.write(b"flood " * 4096)
                await asyncio.sleep(0)
        return response


@contextlib.asynccontextmanager
async def http_receiver() -> AsyncIterator[HttpReceiver]:
    """One that listens until the end of the block."""
    receiver = HttpReceiver()
    application = web.Application(client_max_size=16 * 1024 * 1024)
    application.router.add_route("*", "/{path:.*}", receiver.serve)
    # A client that goes away is noticed at once, as a server that counts on it would.
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        receiver.released.set()
        await runner.cleanup()
