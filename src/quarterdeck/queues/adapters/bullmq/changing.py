"""Changes of jobs and pauses of queues, and what a script's refusal means to the operator."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from quarterdeck.core.errors import Conflict, NotFound, Unsupported
from quarterdeck.queues.adapters.bullmq.abilities import NO_VERSION, unknown_version
from quarterdeck.queues.adapters.bullmq.access import Access, Script
from quarterdeck.queues.adapters.bullmq.catalogue import Catalogue
from quarterdeck.queues.adapters.bullmq.changing_scripts import DELETE, PAUSE, RESUME, RETRY
from quarterdeck.queues.adapters.bullmq.rows import state_of
from quarterdeck.queues.model import BulkAction, JobRef, QueueRef

BATCH = 100
"""Jobs that one script changes: about two milliseconds in which Redis does nothing else."""

STEP = 2000
"""Jobs that one script moves between two lists: about a millisecond."""

PAGE = 10_000

_RETRY, _DELETE, _PAUSE, _RESUME = Script(RETRY), Script(DELETE), Script(PAUSE), Script(RESUME)

GONE = "There is no such job any more: it was deleted, or its time of keeping has ended."
_REFUSALS = {
    "changed": "The job has been retried and has failed again meanwhile. Look at it, then decide.",
    "elsewhere": "The parent of this job is on another node of the cluster, or where this user may "
    "not look: retry it with BullMQ.",
    "active": "Running jobs cannot be deleted. Wait until it ends.",
    "scheduler": "This is the next run of a job scheduler. Remove the scheduler with BullMQ "
    "(removeJobScheduler), and this job goes with it.",
    "parent": "Children of this job are not done yet. Delete the flow with BullMQ, which knows "
    "what else belongs to it.",
    "child": "A parent waits for this job and would never run without it. Delete the flow with "
    "BullMQ, or retry this job.",
}


class Changing:
    """The writes of one source. Every method raises `SourceUnavailable`, too."""

    def __init__(self, access: Access, catalogue: Catalogue, assumed: int | None) -> None:
        self._access = access
        self._catalogue = catalogue
        self._assumed = assumed or ""

    async def retry(self, ref: JobRef, failed_ms: int, now_ms: int) -> None:
        """Put a job back that failed at that moment, as if it had never run.

        Raises:
            NotFound: there is none such.
            Conflict: its state forbids it.
        """
        meta = self._catalogue.meta_key(ref.queue)
        answer = await self._access.run(_RETRY, meta, now_ms, ref.id, failed_ms)
        outcome = _only(answer)
        if outcome == "gone":
            raise NotFound(GONE)
        if outcome != "ok":
            raise Conflict(_REFUSALS.get(outcome) or not_failed(outcome))

    async def delete(self, ref: JobRef) -> None:
        """Remove a job that does not run; raises as `retry` does."""
        meta = self._catalogue.meta_key(ref.queue)
        outcome = _only(await self._access.run(_DELETE, meta, ref.id, ""))
        if outcome == "gone":
            raise NotFound(GONE)
        if outcome != "ok":
            raise Conflict(_REFUSALS[outcome])

    async def bulk(
        self, action: BulkAction, native: str, cutoff_ms: int, now_ms: int
    ) -> AsyncIterator[int]:
        """Change the jobs that failed up to then; gives the size of each batch.

        Their list is read before the first is changed (100 bytes each), and each is changed only
        if it has not failed anew: a worker whose clock is slow cannot bring one back into it.
        """
        failed = await self._failed(native, cutoff_ms)
        meta = self._catalogue.meta_key(native)
        for start in range(0, len(failed), BATCH):
            pairs = [value for pair in failed[start : start + BATCH] for value in pair]
            if action is BulkAction.RETRY_FAILED:
                answer = await self._access.run(_RETRY, meta, now_ms, *pairs)
            else:
                answer = await self._access.run(_DELETE, meta, *pairs)
            if done := _outcomes(answer).count("ok"):
                yield done

    async def pause(self, queue: QueueRef, native: str) -> bool:
        """Stop a queue, in the way that its version resumes; whether it was not paused before."""
        changed = False
        left = 1
        while left:
            meta = self._catalogue.meta_key(native)
            news, left = await self._access.run(_PAUSE, meta, self._assumed, STEP)
            left = self._left(queue, news, left)
            changed = changed or news == 1
        return changed

    async def resume(self, queue: QueueRef, native: str) -> bool:
        """Start a queue with all that waits in it; whether it was paused before."""
        changed = False
        left = 1
        while left:
            meta = self._catalogue.meta_key(native)
            news, left = await self._access.run(_RESUME, meta, STEP)
            left = self._left(queue, news, left)
            changed = changed or news == 1
        return changed

    def _left(self, queue: QueueRef, news: Any, left: Any) -> int:
        if news == b"gone":
            raise NotFound(
                f"The queue '{queue.name[:100]}' has had no jobs yet, so there is nothing to pause "
                "or resume."
            )
        if news == b"version":
            raise _unknown(left.decode(errors="replace"))
        return int(left)

    async def _failed(self, native: str, cutoff_ms: int) -> list[tuple[str, int]]:
        """Ids and ends of all that failed up to then, the oldest first."""
        key = self._catalogue.job_key(native, "failed")
        found: dict[str, int] = {}
        since, skipped = 0, 0
        while True:
            # By score, not by rank: others take jobs out of the set while we read it.
            page = await self._access.read_scores(key, (since, cutoff_ms), skipped, PAGE)
            found |= {each.decode(errors="replace"): int(at) for each, at in page}
            if len(page) < PAGE:
                return list(found.items())
            last = int(page[-1][1])
            skipped = skipped + PAGE if last == since else 0
            since = last


def not_failed(place: str) -> str:
    """Why a job that lies there is not retried."""
    return f"Only failed jobs can be retried; this one is {state_of(place).value}."


def _outcomes(answer: Sequence[bytes]) -> list[str]:
    texts = [each.decode(errors="replace") for each in answer]
    if texts and texts[0] == "version":
        raise _unknown(texts[1])
    return texts


def _only(answer: Sequence[bytes]) -> str:
    return _outcomes(answer)[0]


def _unknown(version: str) -> Unsupported:
    message = unknown_version(version) if version else NO_VERSION
    return Unsupported.of("version", version or "none", message)
