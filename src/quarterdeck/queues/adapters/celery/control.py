"""Remote control of workers: broadcasts, and what they reply."""

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from quarterdeck.queues.adapters.celery.access import Access
from quarterdeck.queues.adapters.celery.names import SEPARATOR
from quarterdeck.queues.adapters.celery.wire import control_message, read_body

PATIENCE_S = 2.0
"""Who has not replied by then is too busy to, or has died without the server knowing."""
REPLIES = "reply.celery.pidbox"


class RemoteControl:
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
        """Each worker's reply, by its name. Redis tells how many listen, so none is waited for
        in vain: not even a moment when there are none.

        Raises:
            SourceUnavailable: the broker cannot be had.
        """
        if workers is not None and not workers:
            return {}
        broker, keys = self._access.broker, self._access.keys
        ticket = str(uuid.uuid4())
        queue = f"{ticket}.{REPLIES}"
        binding = SEPARATOR.join([ticket, "", queue])
        tables = [keys.binding(REPLIES), f"{keys.broker}_kombu.binding_permanent.{REPLIES}"]
        message = control_message(
            method, arguments or {}, workers, ticket, time.time() + patience_s
        )
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
            popped = await self._access.broker.brpop([key], timeout=left)
            body = read_body(popped[1]) if popped else None
            if isinstance(body, dict):
                replies.update(body)
        return replies
