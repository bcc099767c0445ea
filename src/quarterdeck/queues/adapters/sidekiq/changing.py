"""Retry and delete, one job or all failed ones of a queue."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from redis.commands.core import AsyncScript

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import Conflict, NotFound
from quarterdeck.net.redis_access import RedisAccess
from quarterdeck.queues.adapters.sidekiq import scripts
from quarterdeck.queues.adapters.sidekiq.items import Item, item_of, retried
from quarterdeck.queues.adapters.sidekiq.keys import DEAD, Keys, is_job_id
from quarterdeck.queues.adapters.sidekiq.places import WORK, Entry, Places
from quarterdeck.queues.model import BulkAction, JobState

BATCH = 250
"""Jobs changed in one step: about 2 ms in which Redis does nothing else."""

TRIES = 5
"""So often a job is looked for again that was elsewhere when it should have been changed."""


class Changes:
    """Writes, each a script that acts on exactly the job that was read.

    Every method raises `SourceUnavailable`.
    """

    def __init__(self, access: RedisAccess, keys: Keys, places: Places, clock: Clock) -> None:
        self._access = access
        self._keys = keys
        self._places = places
        self._clock = clock
        self._retry_script = access.script(scripts.RETRY)
        self._delete_script = access.script(scripts.DELETE)

    async def retry(self, queue: str, job_id: str) -> None:
        """Put one dead job back.

        Raises:
            NotFound, Conflict: nothing was changed.
        """
        for _ in range(TRIES):
            entry = await self._located(queue, job_id)
            if entry.state is not JobState.FAILED:
                raise Conflict(f"Only failed jobs can be retried; this one is {entry.state}.")
            if await self._retry(queue, [entry.item]):
                return
        raise _on_the_move()

    async def delete(self, queue: str, job_id: str) -> None:
        """Remove one job that does not run.

        Raises:
            NotFound, Conflict: nothing was changed.
        """
        for _ in range(TRIES):
            entry = await self._located(queue, job_id)
            if entry.place == WORK:
                raise Conflict("Running jobs cannot be deleted. Wait until this one has ended.")
            if await self._delete(queue, [entry.item], entry.place):
                return
        raise _on_the_move()

    async def bulk(self, action: BulkAction, queue: str, cutoff: datetime) -> AsyncIterator[int]:
        """Act on the dead jobs of a queue, in batches, in no order; gives how many each time.

        A scan meets every job that is there all along, however many come and go meanwhile. One
        that fails again is another member of the set: it has a new time.
        """
        change = self._retry if action is BulkAction.RETRY_FAILED else self._delete
        cursor: int | None = None
        while cursor != 0:
            pipeline = self._access.pipeline()
            pipeline.zscan(self._keys.sorted_set(DEAD), cursor or 0, count=BATCH)
            (answer,) = await self._access.answers(pipeline)
            if isinstance(answer, Exception):
                return  # no set of jobs, but another program's key
            cursor, scored = answer
            items = [item_of(raw) for raw, score in scored if score <= cutoff.timestamp()]
            own = [item for item in items if item is not None and item.queue == queue]
            for start in range(0, len(own), BATCH):
                if done := await change(queue, own[start : start + BATCH]):
                    yield done

    async def _located(self, queue: str, job_id: str) -> Entry:
        entry = await self._places.locate(queue, job_id) if is_job_id(job_id) else None
        if entry is None:
            raise NotFound(
                "There is no such job any more: it has succeeded, was deleted, or its time of "
                "keeping has ended. Or a worker took it seconds ago: then look again."
            )
        return entry

    async def _retry(self, queue: str, items: Sequence[Item]) -> int:
        now = self._clock()
        given: list[str | bytes] = [self._keys.prefix, queue]
        for item in items:
            given += [item.raw, retried(item, now)]
        return await self._run(self._retry_script, given)

    async def _delete(self, queue: str, items: Sequence[Item], place: str = DEAD) -> int:
        given: list[str | bytes] = [self._keys.prefix, place, queue]
        given += [item.raw for item in items]
        return await self._run(self._delete_script, given)

    async def _run(self, script: AsyncScript, given: Sequence[str | bytes]) -> int:
        return int(await self._access.run(script, self._keys.queues, given))


def _on_the_move() -> Conflict:
    return Conflict("This job moves from place to place right now. Look again in a moment.")
