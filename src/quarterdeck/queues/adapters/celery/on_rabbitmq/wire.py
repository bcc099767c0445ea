"""Celery's events on RabbitMQ: a queue of our own, bound to their exchange."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.common import FieldValue

from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.queues.adapters.celery.broker import Heard, Kind
from quarterdeck.queues.adapters.celery.on_rabbitmq.link import Link
from quarterdeck.queues.adapters.celery.on_rabbitmq.management import Management
from quarterdeck.queues.adapters.celery.wire import read_value

EXCHANGE = "celeryev"
BATCH = 500
LOOK_S = 30.0
"""Workers send a heartbeat every 2 s; after such a silence we look whether our queue is there."""
_BOUNDS: dict[str, FieldValue] = {"x-max-length": 200_000, "x-max-length-bytes": 128 * 2**20}
"""What may lie there while we are slow. What is more pushes the oldest out."""


class RabbitWire:
    """Listens to the events of one virtual host."""

    brings_results = False

    def __init__(self, source: str, link: Link, management: Management) -> None:
        self._source = source
        self._link = link
        self._management = management
        self._open: RabbitBatches | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator["RabbitBatches"]:
        """See `Wire`. The queue is gone with the connection, or with its last consumer."""
        name = f"quarterdeck.{self._source}.{uuid.uuid4().hex}"
        async with self._link.channel() as channel:
            await channel.queue_declare(name, exclusive=True, auto_delete=True, arguments=_BOUNDS)
            # As Celery declares it: we may be here first.
            await channel.exchange_declare(EXCHANGE, exchange_type="topic", durable=True)
            await channel.queue_bind(name, EXCHANGE, "#")
            await channel.basic_qos(prefetch_count=2 * BATCH)
            self._open = RabbitBatches(self._link, channel, name)
            try:
                await self._open.begin()
                yield self._open
            finally:
                self._open = None

    async def ping(self) -> None:
        """See `Wire`. It is not opened without the management, which tells what leads where."""
        await self._link.connect()
        if self._open is None:
            await self._management.enter()

    async def echo(self, token: str) -> None:
        """See `Wire`. A queue keeps the order of what is published."""
        if self._open is not None:
            await self._open.echo(token)

    def silent(self) -> SourceUnavailable:
        """See `Wire`."""
        return SourceUnavailable(
            self._source,
            f"The RabbitMQ of the source '{self._source}' does not deliver what is published "
            "there: it may be short of memory or disk. Look at its alarms.",
        )


class RabbitBatches:
    """What our queue has brought. It is acknowledged when it is noted: so much is on the way."""

    def __init__(self, link: Link, channel: AbstractChannel, queue: str) -> None:
        self._link = link
        self._channel = channel
        self._queue = queue
        self._inbox: asyncio.Queue[DeliveredMessage | None] = asyncio.Queue()
        self._last_tag = 0

    async def begin(self) -> None:
        """Let the messages come."""

        async def put(message: DeliveredMessage) -> None:
            self._inbox.put_nowait(message)

        await self._channel.basic_consume(self._queue, put)
        self._channel.closing.add_done_callback(lambda _: self._inbox.put_nowait(None))

    async def next(self) -> Sequence[Heard]:
        """See `Batches`."""
        async with self._link.explained():
            if self._last_tag:
                await self._channel.basic_ack(self._last_tag, multiple=True)
                self._last_tag = 0
            messages = [await self._first()]
            while len(messages) < BATCH and not self._inbox.empty():
                messages.append(self._inbox.get_nowait())
        heard = []
        for message in messages:
            if message is None:
                raise self._link.unavailable(ConnectionError("the connection broke off"))
            self._last_tag = message.delivery_tag or 0
            heard.append(_heard(message))
        return heard

    async def echo(self, token: str) -> None:
        """Publish to our own queue only."""
        async with self._link.explained():
            await self._channel.basic_publish(token.encode(), routing_key=self._queue)

    async def _first(self) -> DeliveredMessage | None:
        while True:
            try:
                async with asyncio.timeout(LOOK_S):
                    return await self._inbox.get()
            except TimeoutError:
                await self._channel.queue_declare(self._queue, passive=True)


def _heard(message: DeliveredMessage) -> Heard:
    if not message.exchange:
        return Heard(Kind.ECHO, message.body.decode(errors="replace"))
    is_json = message.header.properties.content_type == "application/json"
    return Heard(Kind.EVENTS, read_value(message.body) if is_json else None)
