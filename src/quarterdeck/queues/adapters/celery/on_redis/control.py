"""Remote control over channels, with replies in a list."""

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from quarterdeck.queues.adapters.celery.access import Access
from quarterdeck.queues.adapters.celery.broker import PATIENCE_S
from quarterdeck.queues.adapters.celery.names import SEPARATOR
from quarterdeck.queues.adapters.celery.wire import command, control_message, read_body

REPLIES = "reply.celery.pidbox"


class RedisControl:
    """Asks all workers, or some, and collects their replies."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def ask(
        self,
        method: str,
        arguments: Mapping[str, Any] | None = None,
        workers: Sequence[str] | None = None,
        patience_s: float = PATIENCE_S,
    ) -> dict[str, Any]:
        """See `Control`. Redis tells how many listen to the channel."""
        if workers is not None and not workers:
            return {}
        broker, keys = self._access.store, self._access.keys
        ticket = str(uuid.uuid4())
        queue = f"{ticket}.{REPLIES}"
        binding = SEPARATOR.join([ticket, "", queue])
        tables = [keys.binding(REPLIES), f"{keys.broker}_kombu.binding_permanent.{REPLIES}"]
        reply_to = {"exchange": REPLIES, "routing_key": ticket}
        body = command(method, arguments or {}, workers, ticket, reply_to)
        message = control_message(body, time.time() + patience_s)
        channel = f"{keys.broker}/{self._access.database}.celery.pidbox"
        async with self._access.explained():
            try:
                async with broker.pipeline(transaction=True) as bind:
                    for table in tables:
                        bind.sadd(table, binding)
                    bind.publish(channel, message)
                    listening = (await bind.execute())[-1]
                expected = listening if workers is None else min(listening, len(workers))
                return await self._collect(keys.broker + queue, expected, patience_s)
            finally:
                async with broker.pipeline(transaction=True) as unbind:
                    for table in tables:
                        unbind.srem(table, binding)
                    unbind.delete(keys.broker + queue)
                    await unbind.execute()

    async def _collect(self, key: str, expected: int, patience_s: float) -> dict[str, Any]:
        replies: dict[str, Any] = {}
        end = time.monotonic() + patience_s
        while len(replies) < expected and (left := end - time.monotonic()) > 0:
            popped = await self._access.store.brpop([key], timeout=left)
            body = read_body(popped[1]) if popped else None
            if isinstance(body, dict):
                replies.update(body)
        return replies
