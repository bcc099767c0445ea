"""What the doors cost, and what answers cost as jobs grow.

Runs the composed application in this process on SQLite, calls it as ASGI, and prints a table.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, text

from quarterdeck.access.model import Role
from quarterdeck.app import compose, migrate_state, open_tokens, state_url
from quarterdeck.config import RateLimit, Settings
from quarterdeck.config import Server as ServerSettings
from quarterdeck.core.clock import utc_now
from quarterdeck.core.ids import uuid7
from quarterdeck.facts import UnopenedFacts
from quarterdeck.state import open_database

PREFIX = "/api/v1/platform/system"
QUEUES = 50
STATES = ("queued", "running", "completed", "failed")


async def ask(application: Any, path: str, token: str) -> int:
    """One GET as a server would hand it to the application; gives the status."""
    route, _, query = path.partition("?")
    scope = {
        "type": "http", "method": "GET", "path": route, "raw_path": route.encode(),
        "query_string": query.encode(), "http_version": "1.1", "scheme": "http",
        "headers": [(b"host", b"bench"), (b"authorization", f"Bearer {token}".encode())],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "root_path": "",
    }  # fmt: skip
    statuses = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await application(scope, receive, send)
    return int(statuses[0])


async def median_ms(call: Callable[[], Awaitable[object]], times: int = 200) -> float:
    for _ in range(20):
        await call()
    spent = []
    for _ in range(times):
        started = time.perf_counter()
        await call()
        spent.append(time.perf_counter() - started)
    return statistics.median(spent) * 1000


def fill(connection: Connection, jobs: int) -> None:
    """`jobs` jobs in all, spread over the queues and states."""
    names = [{"name": f"bench-{number:02}"} for number in range(QUEUES)]
    connection.execute(text("INSERT OR IGNORE INTO job_queues (name) VALUES (:name)"), names)
    had = connection.execute(text("SELECT count(*) FROM jobs")).scalar_one()
    insert = text(
        "INSERT INTO jobs (id, queue_name, status, payload, created_at, run_at, updated_at)"
        ' VALUES (:id, :queue, :status, \'{"campaign_id": "cmp_abc"}\', :now, :now, :now)'
    )
    now = utc_now().strftime("%Y-%m-%d %H:%M:%S.%f")
    for start in range(had, jobs, 10_000):
        rows = [
            {
                "id": uuid7(), "queue": f"bench-{n % QUEUES:02}", "now": now,
                "status": STATES[n // QUEUES % 4],
            }
            for n in range(start, min(start + 10_000, jobs))
        ]  # fmt: skip
        connection.execute(insert, rows)


async def doors(application: Any, token: str) -> float:
    """Median of a request that has nothing to do but pass: an id that was never one of ours.

    Token look-up, limiter, routing, guard, envelope; no engine is asked.
    """

    async def ask_for_nothing() -> int:
        return await ask(application, f"{PREFIX}/jobs/x", token)

    assert await ask_for_nothing() == 404
    return await median_ms(ask_for_nothing, 400)


async def main(sizes: list[int]) -> int:
    table = Table("measure", "value", "target", title="HTTP API on SQLite, one process")
    pages = {
        "GET /queues": f"{PREFIX}/queues",
        "GET jobs, one status": f"{PREFIX}/queues/queue:bench-07/jobs?status=failed",
        "GET jobs, all four": f"{PREFIX}/queues/queue:bench-07/jobs",
    }
    found: dict[str, list[float]] = {name: [] for name in pages}
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(
            server=ServerSettings(data_dir=directory),
            rate_limit=RateLimit(default="100000000/minute"),
        )
        await asyncio.to_thread(migrate_state, settings)
        async with open_tokens(settings) as tokens:
            _, token = await tokens.create("bench", Role.OPS, None)
        for jobs in sizes:
            state = open_database(state_url(settings), "state")
            await state.write(partial(fill, jobs=jobs))
            await state.close()
            server = compose(settings, UnopenedFacts(settings.facts))
            for name, path in pages.items():
                found[name].append(await median_ms(partial(ask, server.application, path, token)))
            if jobs == sizes[0]:
                passing = await doors(server.application, token)
            await server.close()
        size = sum(file.stat().st_size for file in Path(directory).glob("*.sqlite3")) / 1e6
    table.add_row("token + guard + limiter + envelope", f"{passing:.2f} ms", "< 1 ms")
    for name, medians in found.items():
        for jobs, value in zip(sizes, medians, strict=True):
            table.add_row(f"{name}, {jobs:,} jobs", f"{value:.2f} ms", "< 10 ms")
        table.add_row(f"{name}, growth", f"{medians[-1] / medians[0]:.2f}x", "<= 2x")
    Console(width=100).print(table, f"database: {size:,.0f} MB")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 1_000_000])
    sys.exit(asyncio.run(main(parser.parse_args().sizes)))
