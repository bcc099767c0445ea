"""What waits in the broker's lists."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from quarterdeck.queues.adapters.celery import scripts
from quarterdeck.queues.adapters.celery.access import Access
from quarterdeck.queues.adapters.celery.wire import Message, hash_of, read_message

CHUNK = 2000
"""Entries searched in one step: about 1 ms in which Redis does nothing else."""
SEARCHED = 20_000
"""So many entries of a list are searched for one task, from the newest on."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that a worker has fetched and not acknowledged."""

    message: Message
    routing_key: str


class Broker:
    """The lists of one source."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def count(self, queue: str) -> int:
        """How many tasks wait in a queue's lists."""
        return sum(await self._lengths(queue))

    async def page(self, queue: str, start: int, count: int) -> list[Message]:
        """Waiting tasks: each list from its newest on, the most urgent list first."""
        if count <= 0:
            return []
        found: list[bytes] = []
        lists = self._access.keys.lists(queue)
        for key, length in zip(lists, await self._lengths(queue), strict=True):
            left = count - len(found)
            if left > 0 and start < length:
                async with self._access.explained():
                    found += await self._access.broker.lrange(key, start, start + left - 1)
            start = max(0, start - length)
        return [read_message(raw) for raw in found]

    async def find(self, queue: str, job_id: str) -> tuple[str, Message] | None:
        """A waiting task and the list that holds it, searched inside Redis: O(list)."""
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
        """What workers hold, in any queue: tasks for later, prefetched and late-acknowledged."""
        found: list[Delivery] = []
        async with self._access.explained():
            async for _, stored in self._access.broker.hscan_iter(
                f"{self._access.keys.broker}unacked", count=1000
            ):
                delivery = _delivery(stored)
                found += [delivery] if delivery else []
                if len(found) >= limit:
                    break
        return found

    async def _lengths(self, queue: str) -> Sequence[int]:
        async with self._access.explained():
            pipeline = self._access.broker.pipeline(transaction=False)
            for key in self._access.keys.lists(queue):
                pipeline.llen(key)
            return list(await pipeline.execute())


def _delivery(stored: bytes) -> Delivery | None:
    try:
        message, _, routing_key = msgspec.json.decode(stored)
        if not isinstance(routing_key, str) or not routing_key:
            return None
        return Delivery(read_message(msgspec.json.encode(message)), routing_key)
    except (msgspec.DecodeError, TypeError, ValueError, RecursionError):
        return None
