"""What the platform's processes have in common: arguments, an open database, a clean end.

A child ends when its standard input does, which the kernel closes with the parent, however that
died. So a server killed with SIGKILL leaves no orphans, on any operating system.
"""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from quarterdeck.demo.logs import sending
from quarterdeck.demo.plan import Plan
from quarterdeck.state import Database, open_database
from quarterdeck.work.store import WorkStore

GRACE_S = 6.0
"""Longer than the longest sample job; after it, an orphan ends itself by force."""


@dataclass(frozen=True, slots=True)
class Platform:
    """The opened platform that a child works on, until `stop` is set."""

    database: Database
    store: WorkStore
    plan: Plan
    stop: asyncio.Event


def run_child(work: Callable[[Platform], Awaitable[None]], service: str) -> None:
    """Run `work` with the plan that the argument is."""
    plan = Plan.from_argument(sys.argv[1])
    with sending(plan.log_path, service):
        asyncio.run(_run(work, plan))


async def _run(work: Callable[[Platform], Awaitable[None]], plan: Plan) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)

    def parent_is_gone() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=_watch_parent, args=(parent_is_gone,), daemon=True).start()
    database = open_database(plan.url, "demo")
    try:
        await work(Platform(database, WorkStore(database), plan, stop))
    finally:
        await database.close()


def _watch_parent(parent_is_gone: Callable[[], None]) -> None:
    # os.read, not sys.stdin: a daemon thread that holds a buffer's lock crashes the exit.
    while os.read(0, 64):
        pass
    parent_is_gone()
    threading.Event().wait(GRACE_S)
    os._exit(1)
