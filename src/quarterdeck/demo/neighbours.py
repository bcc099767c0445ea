"""`python -m quarterdeck.demo.neighbours PLAN`: the servers of the sample platform.

An API with customers, a mail server, a connection pooler's console and a DNS list; and a backup
that says that it is alive. What goes wrong, and when, is in `weather`.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Iterator

import aiohttp
import uvicorn

from quarterdeck.contrib.asgi import QuarterdeckMiddleware
from quarterdeck.core.clock import utc_now
from quarterdeck.demo.attachment import API, BACKUP
from quarterdeck.demo.child import Platform, run_child
from quarterdeck.demo.dns_server import DnsServer
from quarterdeck.demo.logs import log
from quarterdeck.demo.mail_events import past, recent
from quarterdeck.demo.pool_console import PoolConsole
from quarterdeck.demo.smtp_server import SmtpServer
from quarterdeck.demo.web_api import WebApi, call_again

LOOK_S = 0.25
HEARTBEAT_S = 20.0
MAIL_S = 5.0
LETTERS = 20
"""Told of at a time."""
PREFIX = "/api/v1/platform/system"
MAIL_EVENTS = "/mail-events?source=sample"


class _Http(uvicorn.Server):
    """Signals are the process's own business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """See `uvicorn.Server`."""
        yield


async def serve(platform: Platform) -> None:
    """Run all of them until the platform stops."""
    plan = platform.plan
    assert plan.ports is not None  # noqa: S101 - the launcher's, always
    assert plan.log_path is not None  # noqa: S101 - the same
    told = json.loads(plan.log_path.read_text())
    pools = await PoolConsole(plan.ports.database, plan.weather).open()
    names = await DnsServer(plan.weather).open(plan.ports.dns)
    server = _Server(told["url"], told["token"])
    application = QuarterdeckMiddleware(
        WebApi(plan.weather, plan.seed), API, told["url"], token=told["token"], interval_s=5.0
    )
    config = uvicorn.Config(
        application, host="127.0.0.1", port=plan.ports.api, log_config=None, access_log=False,
        lifespan="off", timeout_graceful_shutdown=1,
    )  # fmt: skip
    http = _Http(config)
    serving = asyncio.create_task(http.serve())
    async with asyncio.TaskGroup() as group:
        group.create_task(call_again(plan.ports.api, platform.stop))
        group.create_task(_be_up_and_down(platform, SmtpServer(plan.ports.smtp)))
        group.create_task(_beat(platform, server))
        group.create_task(_tell_of_mail(platform, server))
        await platform.stop.wait()
    http.should_exit = True
    await serving
    pools.close()
    names.close()
    await asyncio.to_thread(application.meter.close)


async def _be_up_and_down(platform: Platform, server: SmtpServer) -> None:
    was_up: bool | None = None
    while not platform.stop.is_set():
        is_up = platform.plan.weather().smtp_is_up
        if is_up != was_up:
            await (server.up() if is_up else server.down())
            log.log(*(_UP if is_up else _AWAY))
            was_up = is_up
        await _pause(platform, LOOK_S)
    await server.down()


async def _beat(platform: Platform, server: "_Server") -> None:
    """Be the backup: say every now and then that it is alive."""
    while not platform.stop.is_set():
        await server.post(f"/infrastructure/heartbeats/{BACKUP}", "")
        await _pause(platform, HEARTBEAT_S)


async def _tell_of_mail(platform: Platform, server: "_Server") -> None:
    """Be the mail server's log: first of the days before, then of the last seconds."""
    seed, number = platform.plan.seed, 0
    history = await asyncio.to_thread(past, seed, utc_now())
    while not await server.post(MAIL_EVENTS, history) and not platform.stop.is_set():
        await _pause(platform, MAIL_S)
    while not platform.stop.is_set():
        await _pause(platform, MAIL_S)
        await server.post(MAIL_EVENTS, recent(seed, number, LETTERS, utc_now()))
        number += 1


class _Server:
    """The server beside us. It may not listen yet, or no more: what is not taken is not missed."""

    def __init__(self, url: str, token: str) -> None:
        self._url = f"{url}{PREFIX}"
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "text/plain"}

    async def post(self, path: str, body: str) -> bool:
        """Whether it was taken."""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with (
                aiohttp.ClientSession(headers=self._headers) as session,
                session.post(self._url + path, data=body.encode()) as response,
            ):
                await response.read()
                return response.status == 200
        return False


async def _pause(platform: Platform, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(platform.stop.wait(), seconds)


_UP = (logging.INFO, "the mail server listens")
_AWAY = (logging.ERROR, "the mail server is away: its certificate is being replaced")


if __name__ == "__main__":
    run_child(serve, "neighbours")
