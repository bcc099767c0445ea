"""Queues of one virtual host: counted from outside, and never looked into."""

import re
from collections.abc import Sequence
from dataclasses import replace

from quarterdeck.queues.adapters.celery.abilities import ON_RABBITMQ
from quarterdeck.queues.adapters.celery.access import Access
from quarterdeck.queues.adapters.celery.broker import Broker, Delivery, Wire
from quarterdeck.queues.adapters.celery.counting import Counted, read_counts
from quarterdeck.queues.adapters.celery.on_rabbitmq.control import RabbitControl
from quarterdeck.queues.adapters.celery.on_rabbitmq.link import Link
from quarterdeck.queues.adapters.celery.on_rabbitmq.management import Management, Queue
from quarterdeck.queues.adapters.celery.on_rabbitmq.place import Place
from quarterdeck.queues.adapters.celery.on_rabbitmq.sending import Sending
from quarterdeck.queues.adapters.celery.on_rabbitmq.wire import RabbitWire
from quarterdeck.queues.adapters.celery.on_redis import RedisWire
from quarterdeck.queues.adapters.celery.wire import Message, Task

_OWN = re.compile(r"celeryev\..*|.*\.pidbox|celery_delayed_\d+|quarterdeck\..*")
"""Queues of events, remote control and delayed delivery."""


class RabbitBroker:
    """One virtual host, with the index in the Redis of the results."""

    abilities = ON_RABBITMQ
    is_readable = False

    def __init__(self, source: str, place: Place, access: Access) -> None:
        self._access = access
        self._link = Link(source, place)
        self._management = Management(source, place)
        self._sending = Sending(source, self._link, access)
        self.control = RabbitControl(self._link, self._management)
        # As on Redis, events are waited for before results.
        self.wires: list[Wire] = [
            RabbitWire(source, self._link, self._management),
            RedisWire(access, access.results, events=False, results=True),
        ]

    async def bindings(self) -> list[tuple[str, str]]:
        """See `Broker`. Queues that vanish with their consumers hold no tasks."""
        lasting = {queue.name for queue in await self._management.queues() if _is_lasting(queue)}
        return [
            (binding.routing_key, binding.destination)
            for binding in await self._management.bindings()
            if binding.destination_type == "queue" and binding.destination in lasting
        ]

    async def counted(self, queues: Sequence[str]) -> Sequence[Counted]:
        """See `Broker`. One question to RabbitMQ, and one to the index."""
        found = {queue.name: queue for queue in await self._management.queues()}
        noted = await read_counts(self._access, queues, [()] * len(queues))
        return [
            _with_messages(each, found.get(queue))
            for queue, each in zip(queues, noted, strict=True)
        ]

    async def count(self, queue: str) -> int:
        """See `Broker`."""
        return 0

    async def page(self, queue: str, start: int, count: int) -> Sequence[Message]:
        """See `Broker`."""
        return ()

    async def find(self, queue: str, job_id: str) -> tuple[str, Message] | None:
        """See `Broker`."""
        return None

    async def unacknowledged(self, limit: int) -> Sequence[Delivery]:
        """See `Broker`. RabbitMQ delivers them again as soon as their worker is gone."""
        return ()

    async def send_again(self, task: Task, done_at: str) -> bool:
        """See `Broker`."""
        return await self._sending.send_again(task, done_at)

    async def take(self, place: str, queue: str, message: Message) -> bool:
        """See `Broker`."""
        return False

    async def close(self) -> None:
        """See `Broker`."""
        await self._link.close()
        await self._management.close()


def _is_lasting(queue: Queue) -> bool:
    return not (queue.exclusive or queue.auto_delete or _OWN.fullmatch(queue.name))


def _with_messages(noted: Counted, queue: Queue | None) -> Counted:
    messages = queue.messages_ready if queue is not None else 0
    # Of messages that nobody told us of, one may wait longer than all that are known.
    oldest = noted.oldest if messages == noted.listed else None
    return replace(noted, messages=messages, oldest=oldest)


_CONFORMS: type[Broker] = RabbitBroker
