"""Retry on RabbitMQ: claimed in the index, published, and settled when RabbitMQ has confirmed.

Two servers take part, so a crash may come in between. A claimed task is no failed one, so nobody
else sends it; its record stays whole. A claim that is not settled after `DOUBT_S` makes the task
a failed one again, marked as one whose retry may have been sent.
"""

import asyncio
import time

import msgspec
from aiormq.exceptions import ChannelClosed, DeliveryError, PublishError
from pamqp.commands import Basic

from quarterdeck.core.errors import Conflict, SourceUnavailable
from quarterdeck.queues.adapters.celery import scripts
from quarterdeck.queues.adapters.celery.access import Access
from quarterdeck.queues.adapters.celery.on_rabbitmq.link import ANSWER_TIMEOUT_S, BROKEN, Link
from quarterdeck.queues.adapters.celery.wire import Task


class Sending:
    """Sends failed tasks again."""

    def __init__(self, source: str, link: Link, access: Access) -> None:
        self._source = source
        self._link = link
        self._access = access

    async def send_again(self, task: Task, done_at: str) -> bool:
        """See `Broker`.

        Raises:
            Conflict: RabbitMQ did not take it; it is a failed one as before.
            SourceUnavailable: nothing was changed, or RabbitMQ did not confirm: see above.
        """
        # The channel first: where there is none, nothing is claimed.
        async with self._link.channel(confirms=True) as channel:
            claim = f"{time.time():.6f}"
            if not await self._access.run(scripts.CLAIM, [], task.id, done_at, claim):
                return False
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    await channel.basic_publish(
                        msgspec.json.encode(task.body),
                        routing_key=task.queue,
                        properties=_properties(task),
                        mandatory=True,
                    )
            except (DeliveryError, ChannelClosed) as error:
                await self._settle(task, claim, "failed")
                raise self._refusal(task, error) from error
            except BROKEN as error:
                raise self._doubt() from error
            await self._settle(task, claim, "sent")
        return True

    async def _settle(self, task: Task, claim: str, outcome: str) -> None:
        await self._access.run(scripts.SETTLE, [], task.id, claim, outcome)

    def _refusal(self, task: Task, error: Exception) -> Exception:
        if isinstance(error, PublishError):
            return Conflict(
                f"There is no queue '{task.queue[:100]}' in RabbitMQ any more, so the task was not "
                "sent. Start its workers, which declare it, and retry again."
            )
        if isinstance(error, DeliveryError):
            return Conflict(
                f"RabbitMQ did not take the task into '{task.queue[:100]}': the queue is full "
                "(x-overflow), or has lost its leader. It is failed as before; retry later."
            )
        return self._link.unavailable(error)

    def _doubt(self) -> SourceUnavailable:
        return SourceUnavailable(
            self._source,
            f"The RabbitMQ of the source '{self._source}' did not confirm that it took the task. "
            "If no worker starts it within a minute it is shown as failed again; look whether it "
            "waits there still before you retry it.",
        )


def _properties(task: Task) -> Basic.Properties:
    return Basic.Properties(
        content_type="application/json",
        content_encoding="utf-8",
        headers=task.headers,
        delivery_mode=2,
        priority=0,
        correlation_id=task.id,
    )
