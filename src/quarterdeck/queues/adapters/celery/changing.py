"""Retry and delete: what the index knows decides, in one step, who of many may do it."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime

from quarterdeck.core.errors import Conflict, NotFound, Unsupported
from quarterdeck.core.text import is_storable
from quarterdeck.queues.adapters.celery import scripts
from quarterdeck.queues.adapters.celery.access import Access
from quarterdeck.queues.adapters.celery.broker import Broker
from quarterdeck.queues.adapters.celery.index import STATES, Index, Record
from quarterdeck.queues.adapters.celery.wire import Message, Task
from quarterdeck.queues.model import BulkAction

BATCH = 200
TRIES = 3
"""So often a deletion looks again at a task that changes its state meanwhile."""
_ALL = 2**31


class Changes:
    """Changes tasks of one source."""

    def __init__(
        self, access: Access, broker: Broker, index: Index, queues: Callable[[], list[str]]
    ) -> None:
        self._access = access
        self._broker = broker
        self._index = index
        self._queues = queues

    async def retry(self, job_id: str) -> None:
        """Send a failed task again.

        Raises:
            NotFound, Conflict: nothing was changed.
        """
        record = await self._record(job_id)
        if record.phase != "failed":
            state = STATES[record.phase].value if record.phase in STATES else None
            if state is None and not await self._find_waiting(record):
                raise _gone()
            raise Conflict(f"Only failed jobs can be retried; this one is {state or 'waiting'}.")
        if not await self._send_again(record):
            await self._refuse(job_id)

    async def delete(self, job_id: str) -> None:
        """Remove a task that does not run, with its result.

        Raises:
            NotFound, Conflict: nothing was changed.
        """
        for _ in range(TRIES):
            if await self._remove(await self._record(job_id)):
                return
        await self._refuse(job_id)

    async def _remove(self, record: Record) -> bool:
        """Whether the task was as it had been seen, and is gone now."""
        if record.phase == "active":
            raise Conflict(
                "Running jobs cannot be deleted. Wait until it has finished; pausing its queue "
                "keeps others from being started."
            )
        if record.phase == "scheduled":
            raise Conflict(
                "A worker holds this task until its time has come, so it cannot be deleted. "
                "Revoke it with `celery control revoke` instead."
            )
        if record.phase in {"failed", "completed"}:
            return await self._bury(record)
        if record.phase == "waiting" and not self._broker.is_readable:
            raise Unsupported.of(
                "delete.waiting",
                "no",
                "RabbitMQ cannot remove one message from a queue, so a waiting job cannot be "
                "deleted. Revoke it with `celery control revoke` instead.",
            )
        found = await self._find_waiting(record)
        if found is None:
            if record.phase is None:
                raise _gone()
            return False
        return await self._broker.take(*found)

    async def bulk(self, action: BulkAction, queue: str, cutoff: datetime) -> AsyncIterator[int]:
        """Act on those that have failed by now, up to `cutoff`; one that cannot is left."""
        ids = await self._index.ids(queue, ["failed"], 0, _ALL)
        act = self._send_again if action is BulkAction.RETRY_FAILED else self._bury
        for start in range(0, len(ids), BATCH):
            done = 0
            for record in await self._index.records(ids[start : start + BATCH]):
                done_at = record.time("done_at")
                if record.phase == "failed" and done_at is not None and done_at <= cutoff:
                    done += await self._unless_impossible(act, record)
            if done:
                yield done

    async def _unless_impossible(
        self, act: Callable[[Record], Awaitable[bool]], record: Record
    ) -> bool:
        try:
            return await act(record)
        except Conflict:
            return False

    async def _send_again(self, record: Record) -> bool:
        name, arguments, queue = record.fields.get("name"), record.arguments, record.queue
        if name is None or arguments is None or queue is None:
            raise Conflict(
                "The arguments of this task are not known, so it cannot be sent again. Set "
                "result_extended = True and keep results in Redis as JSON, for later ones."
            )
        return await self._broker.send_again(
            Task(record.id, name, arguments, queue), record.done_at
        )

    async def _bury(self, record: Record) -> bool:
        """Forget a finished task, then its result: a crash in between leaves only the latter."""
        seen = record.id, record.phase, record.done_at
        if not await self._access.run(scripts.BURY, [], *seen, f"{time.time():.6f}"):
            return False
        async with self._access.explained():
            await self._access.results.delete(self._access.keys.result_of(record.id))
        return True

    async def _record(self, job_id: str) -> Record:
        if not job_id or not is_storable(job_id) or len(job_id) > 255:
            raise _gone()
        return (await self._index.records([job_id]))[0]

    async def _find_waiting(self, record: Record) -> tuple[str, str, Message] | None:
        """Place, queue and message of a waiting task."""
        for queue in [record.queue] if record.queue else self._queues():
            found = await self._broker.find(queue, record.id)
            if found is not None:
                return found[0], queue, found[1]
        return None

    async def _refuse(self, job_id: str) -> None:
        """It was not as it had been seen: gone by now, or taken."""
        if (await self._record(job_id)).phase is None:
            raise _gone()
        raise Conflict("The job has just changed its state. Look at it and try again.")


def _gone() -> NotFound:
    return NotFound(
        "There is no such job any more: it was deleted, or its time of keeping has ended."
    )
