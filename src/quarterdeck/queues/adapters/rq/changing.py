"""Retry and delete, one job or all failed ones of a queue; the switch for all workers."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import Conflict, NotFound
from quarterdeck.net.redis_access import RedisAccess
from quarterdeck.queues.adapters.rq import scripts
from quarterdeck.queues.adapters.rq.fields import STATES
from quarterdeck.queues.adapters.rq.keys import Keys, is_job_id
from quarterdeck.queues.model import BulkAction, JobState

BATCH = 250
"""Jobs changed in one step: about 4 ms in which Redis does nothing else."""

_DONE = "done"
_REFUSALS = {
    "taken": "A worker is just taking this job, or has died with it in its hands. Look again in "
    "a moment.",
    "limited": "This job is under one of RQ's rate limits, and only RQ itself knows when it may "
    "run. Use RQ's own commands for it.",
    "needed": "Other jobs wait for this one, and would wait forever. Delete those first.",
}


class Changes:
    """Writes, each a script of its own. Every method raises `SourceUnavailable`."""

    def __init__(self, access: RedisAccess, keys: Keys, clock: Clock) -> None:
        self._access = access
        self._keys = keys
        self._clock = clock
        self._retry_script = access.script(scripts.RETRY)
        self._delete_script = access.script(scripts.DELETE)
        self._suspend_script = access.script(scripts.SUSPEND)

    async def retry(self, job_id: str) -> None:
        """Put one failed job back.

        Raises:
            NotFound, Conflict: nothing was changed.
        """
        told = (await self._retry(_known(job_id), None))[0]
        if told != _DONE:
            state = _state(told).value
            raise Conflict(f"Only failed jobs can be retried; this one is {state}.")

    async def delete(self, job_id: str) -> None:
        """Remove one job that does not run.

        Raises:
            NotFound, Conflict: nothing was changed.
        """
        told = (await self._delete(_known(job_id), None))[0]
        if told != _DONE:
            _state(told)
            raise Conflict(
                "Running jobs cannot be deleted. RQ can stop this one: `send_stop_job_command`."
            )

    async def bulk(self, action: BulkAction, queue: str, cutoff: datetime) -> AsyncIterator[int]:
        """Act on the failed jobs of a queue, in batches, in no order; gives how many each time.

        A scan meets every job that is there all along, however many come and go meanwhile.
        """
        change = self._retry if action is BulkAction.RETRY_FAILED else self._delete
        cursor: int | None = None
        while cursor != 0:
            pipeline = self._access.pipeline()
            pipeline.zscan(self._keys.registry("failed", queue), cursor or 0, count=BATCH)
            (answer,) = await self._access.answers(pipeline)
            if isinstance(answer, Exception):
                return  # no registry at all, but another program's key
            cursor, pairs = answer
            ids = [raw.decode(errors="replace") for raw, _ in pairs]
            for start in range(0, len(ids), BATCH):
                if done := (await change(ids[start : start + BATCH], cutoff)).count(_DONE):
                    yield done

    async def suspend(self) -> bool:
        """Stop all workers; False: they were stopped already."""
        return bool(await self._access.run(self._suspend_script, self._keys.suspended, []))

    async def resume(self) -> bool:
        """Let all workers go on; False: they were not stopped."""
        pipeline = self._access.pipeline()
        pipeline.delete(self._keys.suspended)
        (removed,) = await self._access.answers(pipeline)
        return bool(removed)

    async def _retry(self, ids: Sequence[str], cutoff: datetime | None) -> list[str]:
        now = self._clock()
        given = [*self._head(cutoff), _written(now), int(now.timestamp()), *ids]
        return self._told(await self._access.run(self._retry_script, self._keys.queues, given))

    async def _delete(self, ids: Sequence[str], cutoff: datetime | None) -> list[str]:
        """With a cutoff: failed ones only."""
        now, which = int(self._clock().timestamp()), "any" if cutoff is None else "failed"
        given = [*self._head(cutoff), now, which, *ids]
        return self._told(await self._access.run(self._delete_script, self._keys.queues, given))

    def _head(self, cutoff: datetime | None) -> list[str | int]:
        if cutoff is None:
            return [self._keys.prefix, "", 0]
        return [self._keys.prefix, _written(cutoff), int(cutoff.timestamp() * 1000)]

    @staticmethod
    def _told(answers: Sequence[bytes]) -> list[str]:
        return [answer.decode(errors="replace") for answer in answers]


def _known(job_id: str) -> list[str]:
    if not is_job_id(job_id):
        raise _not_found()
    return [job_id]


def _state(told: str) -> JobState:
    """The job's state, where that is what forbids a change.

    Raises:
        NotFound, Conflict: it is something else.
    """
    if told in _REFUSALS:
        raise Conflict(_REFUSALS[told])
    if told not in STATES:
        raise _not_found()
    return STATES[told]


def _not_found() -> NotFound:
    return NotFound(
        "There is no such job any more: it was deleted, or its time of keeping has ended."
    )


def _written(moment: datetime) -> str:
    """A time as RQ writes it: such texts are in the order of the times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
