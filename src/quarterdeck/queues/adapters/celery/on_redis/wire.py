"""What is published on Redis: events of Celery, its results, or both."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.queues.adapters.celery.access import Access
from quarterdeck.queues.adapters.celery.broker import Heard, Kind
from quarterdeck.queues.adapters.celery.wire import read_body, read_json

BATCH = 500
WAIT_S = 30


class RedisWire:
    """Listens to one server."""

    def __init__(self, access: Access, client: Any, *, events: bool, results: bool) -> None:
        self._access = access
        self._client = client
        self._listener = access.open_listener(client)
        self.brings_results = results
        # Two databases of one server share their channels, so each listener has its own.
        self._echoes = f"{access.keys.own}echo:{'results' if not events else 'events'}:"
        self._patterns = [f"{self._echoes}*"]
        if events:
            self._patterns.append(f"{access.keys.broker}/{access.database}.celeryev*")
        if results:
            self._patterns.append(access.keys.result_of("*"))

    @asynccontextmanager
    async def open(self) -> AsyncIterator["RedisBatches"]:
        """See `Wire`."""
        async with self._access.explained(), self._listener.pubsub() as pubsub:
            await pubsub.psubscribe(*self._patterns)
            yield RedisBatches(self._access, pubsub, self._echoes)

    async def ping(self) -> None:
        """See `Wire`."""
        async with self._access.explained():
            await self._client.ping()

    async def echo(self, token: str) -> None:
        """See `Wire`. Redis delivers to one listener in order."""
        async with self._access.explained():
            await self._client.publish(self._echoes + token, "")

    def silent(self) -> SourceUnavailable:
        """See `Wire`."""
        return self._access.silent()


class RedisBatches:
    """What a subscription has brought."""

    def __init__(self, access: Access, pubsub: Any, echoes: str) -> None:
        self._access = access
        self._pubsub = pubsub
        self._echoes = echoes

    async def next(self) -> Sequence[Heard]:
        """See `Batches`."""
        heard: list[Heard] = []
        while len(heard) < BATCH:
            async with self._access.explained():
                message = await self._pubsub.get_message(
                    ignore_subscribe_messages=True, timeout=0 if heard else WAIT_S
                )
            if message is not None:
                heard.append(self._heard(message))
            elif heard:
                break
        return heard

    def _heard(self, message: dict[str, Any]) -> Heard:
        channel = message["channel"].decode(errors="replace")
        if channel.startswith(self._echoes):
            return Heard(Kind.ECHO, channel.removeprefix(self._echoes))
        if channel.startswith(self._access.keys.result_of("")):
            return Heard(Kind.RESULT, read_json(message["data"]))
        return Heard(Kind.EVENTS, read_body(message["data"]))
