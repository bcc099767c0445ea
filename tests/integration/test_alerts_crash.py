"""Servers that are killed while they find and send: nothing that was committed is lost."""

import asyncio
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web

import servers
from quarterdeck.state import Database, migrate
from servers import MIGRATIONS
from unit.alerts_core import alert_child
from unit.alerts_core.world import ALERT_MIGRATIONS
from workers.support import execute, rows, until

KILLS = 50
CHILD = Path(alert_child.__file__)


@pytest.fixture
def database_url(database_url: str) -> str:
    migrate(database_url, list(dict.fromkeys([*MIGRATIONS, ALERT_MIGRATIONS])))
    return database_url


@dataclass
class Receiver:
    """Notes ids in the order in which it has taken them; refuses a few."""

    url: str = ""
    taken: list[str] = field(default_factory=list)
    refused: float = 0.05
    dice: random.Random = field(default_factory=lambda: random.Random(7))

    async def take(self, request: web.Request) -> web.Response:
        said = await request.json()
        if self.dice.random() < self.refused:
            return web.Response(status=503)
        self.taken.append(said["id"])
        return web.Response()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    port = servers.free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    receiver.url = f"http://127.0.0.1:{port}/"
    try:
        yield receiver
    finally:
        await runner.cleanup()


async def committed_notices(database: Database) -> int:
    [(count,)] = await rows(database, "SELECT count(*) FROM alert_notices")
    return int(count)


async def has_more(database: Database, before: int) -> bool:
    return await committed_notices(database) > before


async def test_killed_servers_lose_no_notice_and_keep_the_order(
    database_url: str, database: Database
) -> None:
    dice = random.Random(11)
    async with receiving() as receiver:
        for life in range(KILLS):
            command = [sys.executable, str(CHILD), database_url, receiver.url, "3", str(life)]
            with servers.running(command, stdout=subprocess.PIPE) as child:
                assert child.stdout is not None
                assert await asyncio.to_thread(child.stdout.readline) == b"begun\n"
                if life % 2:  # these have committed something, however slow the machine
                    await until(partial(has_more, database, await committed_notices(database)), 60)
                # The moment of death is what is varied.
                await asyncio.sleep(dice.uniform(0.0, 0.12))
                child.kill()
                child.wait()
                child.stdout.close()
        committed = await rows(
            database,
            "SELECT id, alert_id, sequence FROM alert_notices ORDER BY alert_id, sequence",
        )
        # Leases of the dead end, and what waits is due.
        early = "2020-01-01 00:00:00+00:00" if database.dialect == "postgresql" else "2020-01-01"
        await execute(
            database,
            f"UPDATE alert_notices SET due_at = '{early}', lease_until = '{early}'"
            " WHERE state IN ('waiting', 'sending')",
        )

        async def is_sent() -> bool:
            query = "SELECT count(*) FROM alert_notices WHERE state IN ('waiting', 'sending')"
            return await rows(database, query) == [(0,)]

        receiver.refused = 0.0
        command = [sys.executable, str(CHILD), database_url, receiver.url, "0", "0"]
        with servers.running(command, stdout=subprocess.PIPE) as child:
            await until(is_sent, 120)
            child.kill()
            child.wait()
            assert child.stdout is not None
            child.stdout.close()
    assert {notice for notice, *_ in committed} == set(receiver.taken)
    assert await rows(
        database, "SELECT count(*) FROM alert_notices WHERE state != 'delivered'"
    ) == [(0,)]
    heard: dict[str, list[int]] = defaultdict(list)
    for notice in receiver.taken:
        alert_id, sequence, _ = notice.split(":")
        heard[alert_id].append(int(sequence))
    # Some twice, but none after a later one.
    assert all(found == sorted(found) for found in heard.values())
    assert len(committed) >= KILLS // 2
