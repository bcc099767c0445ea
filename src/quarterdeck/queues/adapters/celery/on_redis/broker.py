"""What waits in the broker's lists, and how it gets there and away."""

import time
from collections.abc import Sequence

import msgspec

from quarterdeck.queues.adapters.celery import scripts
from quarterdeck.queues.adapters.celery.abilities import ABILITIES
from quarterdeck.queues.adapters.celery.access import Access
from quarterdeck.queues.adapters.celery.broker import Broker, Delivery
from quarterdeck.queues.adapters.celery.counting import Counted, read_counts
from quarterdeck.queues.adapters.celery.names import NO_QUEUES, SEPARATOR
from quarterdeck.queues.adapters.celery.on_redis.control import RedisControl
from quarterdeck.queues.adapters.celery.on_redis.wire import RedisWire
from quarterdeck.queues.adapters.celery.wire import (
    Message,
    Task,
    hash_of,
    read_message,
    task_message,
)

CHUNK = 2000
"""Entries searched in one step: about 1 ms in which Redis does nothing else."""
SEARCHED = 20_000
"""So many entries of a list are searched for one task, from the newest on."""


class RedisBroker:
    """The lists of one source. Its index lies beside them: retry and delete are one step each."""

    abilities = ABILITIES
    is_readable = True

    def __init__(self, access: Access) -> None:
        self._access = access
        self.control = RedisControl(access)
        if access.has_one_server:
            self.wires = [RedisWire(access, access.store, events=True, results=True)]
        else:
            # A worker stores a result before it sends the event: after both were waited for in
            # this order, no task is known by its event alone.
            self.wires = [
                RedisWire(access, access.store, events=True, results=False),
                RedisWire(access, access.results, events=False, results=True),
            ]

    async def bindings(self) -> list[tuple[str, str]]:
        """See `Broker`. O(keys of the database), in steps of a thousand."""
        found: list[tuple[str, str]] = []
        store, prefix = self._access.store, self._access.keys.binding("")
        pattern = "".join(f"\\{char}" if char in "*?[]\\" else char for char in prefix) + "*"
        async with self._access.explained():
            async for key in store.scan_iter(pattern, count=1000, _type="SET"):
                if key.decode(errors="replace").removeprefix(prefix) not in NO_QUEUES:
                    found += map(_binding, await store.smembers(key))
        return found

    async def counted(self, queues: Sequence[str]) -> Sequence[Counted]:
        """See `Broker`. One round trip."""
        lists = [self._access.keys.lists(queue) for queue in queues]
        return await read_counts(self._access, queues, lists)

    async def count(self, queue: str) -> int:
        """See `Broker`."""
        return sum(await self._lengths(queue))

    async def page(self, queue: str, start: int, count: int) -> list[Message]:
        """See `Broker`. Each priority has a list."""
        if count <= 0:
            return []
        found: list[bytes] = []
        lists = self._access.keys.lists(queue)
        for key, length in zip(lists, await self._lengths(queue), strict=True):
            left = count - len(found)
            if left > 0 and start < length:
                async with self._access.explained():
                    found += await self._access.store.lrange(key, start, start + left - 1)
            start = max(0, start - length)
        return [read_message(raw) for raw in found]

    async def find(self, queue: str, job_id: str) -> tuple[str, Message] | None:
        """See `Broker`. Searched inside Redis: O(list)."""
        for key in self._access.keys.lists(queue):
            start, read = 0, CHUNK
            while read == CHUNK and start < SEARCHED:
                read, entries = await self._access.run(
                    scripts.FIND, [key], f'"{job_id}"', start, start + CHUNK - 1, hash_of(job_id)
                )
                for message in map(read_message, entries):
                    if message.id == job_id:
                        return key, message
                start += CHUNK
        return None

    async def unacknowledged(self, limit: int) -> list[Delivery]:
        """See `Broker`."""
        found: list[Delivery] = []
        async with self._access.explained():
            async for _, stored in self._access.store.hscan_iter(
                f"{self._access.keys.broker}unacked", count=1000
            ):
                delivery = _delivery(stored)
                found += [delivery] if delivery else []
                if len(found) >= limit:
                    break
        return found

    async def send_again(self, task: Task, done_at: str) -> bool:
        """See `Broker`. One script takes it from the failed ones and sends it."""
        key = self._access.keys.lists(task.queue)[0]
        arguments = task.id, done_at, task_message(task), f"{time.time():.6f}"
        return bool(await self._access.run(scripts.RETRY, [key], *arguments))

    async def take(self, place: str, queue: str, message: Message) -> bool:
        """See `Broker`."""
        arguments = message.id, message.raw, queue, f"{time.time():.6f}"
        return bool(await self._access.run(scripts.TAKE, [place], *arguments))

    async def close(self) -> None:
        """See `Broker`. Its connections are the index's, too."""

    async def _lengths(self, queue: str) -> Sequence[int]:
        async with self._access.explained():
            pipeline = self._access.store.pipeline(transaction=False)
            for key in self._access.keys.lists(queue):
                pipeline.llen(key)
            return list(await pipeline.execute())


def _binding(member: bytes) -> tuple[str, str]:
    key, _, rest = member.decode(errors="replace").partition(SEPARATOR)
    return key, rest.rpartition(SEPARATOR)[2]


def _delivery(stored: bytes) -> Delivery | None:
    try:
        message, _, routing_key = msgspec.json.decode(stored)
        if not isinstance(routing_key, str) or not routing_key:
            return None
        return Delivery(read_message(msgspec.json.encode(message)), routing_key)
    except (msgspec.DecodeError, TypeError, ValueError, RecursionError):
        return None


_CONFORMS: type[Broker] = RedisBroker
