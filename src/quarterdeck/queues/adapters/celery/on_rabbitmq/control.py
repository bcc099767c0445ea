"""Remote control over Celery's exchange, with replies in a queue of our own."""

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from quarterdeck.queues.adapters.celery.broker import PATIENCE_S
from quarterdeck.queues.adapters.celery.on_rabbitmq.link import Link
from quarterdeck.queues.adapters.celery.on_rabbitmq.management import Management
from quarterdeck.queues.adapters.celery.wire import command, read_value

EXCHANGE = "celery.pidbox"


class RabbitControl:
    """Asks all workers, or some, and collects their replies."""

    def __init__(self, link: Link, management: Management) -> None:
        self._link = link
        self._management = management

    async def ask(
        self,
        method: str,
        arguments: Mapping[str, Any] | None = None,
        workers: Sequence[str] | None = None,
        patience_s: float = PATIENCE_S,
    ) -> dict[str, Any]:
        """See `Control`. The exchange leads to one queue of each worker."""
        if workers is not None and not workers:
            return {}
        listening = await self._management.listeners(EXCHANGE)
        expected = listening if workers is None else min(listening, len(workers))
        if not expected:
            return {}
        ticket = str(uuid.uuid4())
        replies: asyncio.Queue[bytes] = asyncio.Queue()

        async def put(message: DeliveredMessage) -> None:
            replies.put_nowait(message.body)

        async with self._link.channel() as channel:
            queue = f"quarterdeck.reply.{ticket}"
            await channel.queue_declare(queue, exclusive=True, auto_delete=True)
            await channel.basic_consume(queue, put, no_ack=True)
            # Without an exchange, a reply goes straight to the queue of this name.
            reply_to = {"exchange": "", "routing_key": queue}
            await channel.basic_publish(
                msgspec.json.encode(command(method, arguments or {}, workers, ticket, reply_to)),
                exchange=EXCHANGE,
                properties=Basic.Properties(
                    content_type="application/json",
                    content_encoding="utf-8",
                    headers={"clock": 1, "expires": time.time() + patience_s},
                ),
            )
            return await _collect(replies, expected, patience_s)


async def _collect(
    replies: asyncio.Queue[bytes], expected: int, patience_s: float
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    try:
        async with asyncio.timeout(patience_s):
            while len(found) < expected:
                body = read_value(await replies.get())
                if isinstance(body, dict):
                    found.update(body)
    except TimeoutError:
        pass
    return found
