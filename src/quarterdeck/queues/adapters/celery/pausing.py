"""Pause by asking workers: nothing in Celery stops a queue itself.

What we remember is in two hashes of ours: since when a queue is paused, and which workers were
asked to stop. Only those are asked to consume again: another may never have been meant to.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from quarterdeck.queues.adapters.celery.access import Access
from quarterdeck.queues.adapters.celery.broker import PATIENCE_S, Control

SETTLE_S = 1.1
"""A worker's BRPOP that is under way when it stops consuming ends within a second. What it pops
meanwhile the worker puts back."""
PERSIST_S = 8.0
"""How long a worker that does not reply is asked again and again."""
ASK_S = 0.5
AGAIN_S = 0.1


class Pauses:
    """The paused queues of one source. `present`: the workers that are there, as far as known."""

    def __init__(self, access: Access, control: Control, present: Callable[[], set[str]]) -> None:
        self._access = access
        self._control = control
        self._present = present
        self._paused_key = f"{access.keys.own}paused"
        self._stopped_key = f"{access.keys.own}stopped"
        self._changing = asyncio.Lock()

    async def pause(self, queue: str, now: datetime) -> tuple[bool, Sequence[str]]:
        """Whether it was not paused before, and the workers that may still consume it."""
        async with self._changing:
            async with self._access.explained():
                is_new = await self._access.store.hsetnx(self._paused_key, queue, now.isoformat())
            end = time.monotonic() + PERSIST_S
            asked, left = await self._stop(queue, None)
            while asked and time.monotonic() < end:
                await asyncio.sleep(SETTLE_S)
                # Another worker may have started since.
                asked, left = await self._stop(queue, None)
            return bool(is_new), left

    async def resume(self, queue: str) -> bool:
        """Ask the workers that were stopped to consume again; whether it was paused."""
        async with self._changing:
            async with self._access.explained():
                was_paused = await self._access.store.hdel(self._paused_key, queue)
            await self._start_again({queue})
            return bool(was_paused)

    async def assert_for(self, worker: str) -> None:
        """A worker that has just started consumes all its queues: ask it, too."""
        for queue in await self._paused():
            async with self._changing:
                await self._stop(queue, {worker})

    async def assert_all(self) -> None:
        """What was begun is ended: a crash or a silent worker may have come between."""
        paused = await self._paused()
        for queue in paused:
            async with self._changing:
                await self._stop(queue, None)
        stopped = {queue for queue, _ in await self._stopped()}
        async with self._changing:
            await self._start_again(stopped - set(await self._paused()))

    async def _stop(self, queue: str, workers: set[str] | None) -> tuple[bool, Sequence[str]]:
        """Ask until no worker consumes the queue; whether one did, and those that may do still."""
        asked, left, end = False, workers, time.monotonic() + PERSIST_S
        while time.monotonic() < end:
            consuming, silent = await self._consuming(queue, left)
            if consuming:
                asked = True
                await self._remember(queue, consuming)
                await self._control.ask("cancel_consumer", {"queue": queue}, consuming)
            left = {*consuming, *silent}
            if not left:
                break
            await asyncio.sleep(AGAIN_S)
        if queue not in await self._paused():
            # It was resumed meanwhile, by another of us.
            await self._start_again({queue})
        return asked, sorted(left or ())

    async def _consuming(
        self, queue: str, workers: set[str] | None
    ) -> tuple[Sequence[str], set[str]]:
        """The workers that consume the queue, and those that are there but did not reply: one
        that is starting takes tasks a moment before it listens."""
        named = None if workers is None else sorted(workers)
        patience_s = PATIENCE_S if workers is None else ASK_S
        replies = await self._control.ask("active_queues", None, named, patience_s)
        consuming = [worker for worker, queues in replies.items() if _holds(queues, queue)]
        expected = self._present() if workers is None else workers & self._present()
        return consuming, expected - set(replies)

    async def _start_again(self, queues: Iterable[str]) -> None:
        """Workers that are away have forgotten that they were stopped."""
        stopped = await self._stopped()
        online = await self._control.ask("ping") if stopped else {}
        for queue in queues:
            workers = [worker for name, worker in stopped if name == queue]
            there = [worker for worker in workers if worker in online]
            await self._control.ask("add_consumer", {"queue": queue}, there)
            if workers:
                fields = [_field(queue, worker) for worker in workers]
                async with self._access.explained():
                    await self._access.store.hdel(self._stopped_key, *fields)

    async def _remember(self, queue: str, workers: Sequence[str]) -> None:
        fields = {_field(queue, worker): "" for worker in workers}
        async with self._access.explained():
            await self._access.store.hset(self._stopped_key, mapping=fields)

    async def _paused(self) -> list[str]:
        async with self._access.explained():
            names = await self._access.store.hkeys(self._paused_key)
        return [name.decode(errors="replace") for name in names]

    async def _stopped(self) -> list[tuple[str, str]]:
        """Pairs of queue and worker."""
        async with self._access.explained():
            fields = await self._access.store.hkeys(self._stopped_key)
        return [tuple(msgspec.json.decode(field)) for field in fields]


def _field(queue: str, worker: str) -> bytes:
    return msgspec.json.encode([queue, worker])


def _holds(queues: Any, name: str) -> bool:
    entries = queues if isinstance(queues, list) else []
    return any(isinstance(each, dict) and each.get("name") == name for each in entries)
