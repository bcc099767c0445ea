"""Runs blocking calls in a few threads. One that never ends keeps its slot, and nothing else."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress


class Slots:
    """At most `size` calls at a time; further ones wait until one of them ends.

    Not a ThreadPoolExecutor: the interpreter waits for its threads when it exits, so a receiver
    whose answer never ends would keep the server from stopping.
    """

    def __init__(self, size: int) -> None:
        self._free = asyncio.Semaphore(size)

    async def run(self, call: Callable[[], bool]) -> bool:
        """What `call` gives; False when it raises. When cancelled, it goes on without us."""
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[bool] = loop.create_future()

        def finish(result: bool) -> None:
            self._free.release()
            if not done.done():
                done.set_result(result)

        def work() -> None:
            try:
                result = call()
            except Exception:  # noqa: BLE001 - whatever a library does, its text may hold secrets
                result = False
            with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(finish, result)

        try:
            threading.Thread(target=work, name="quarterdeck-alerts", daemon=True).start()
        except RuntimeError:  # the system gives no more threads
            finish(False)
        return await done
