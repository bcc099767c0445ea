"""What can be done with a queue of BullMQ on Redis."""

from dataclasses import dataclass

from quarterdeck.queues.model import (
    AttemptsReset,
    Capabilities,
    DeleteSupport,
    ErrorSupport,
    IdScope,
    JobState,
    ListSupport,
    PauseScope,
    PauseSupport,
    PayloadSupport,
    Provenance,
    RetrySupport,
    TotalSupport,
)

KNOWN_MAJORS = (5, 6)
NO_VERSION = (
    "Its `meta` key notes no version of BullMQ, and versions 5 and 6 pause in ways that lose each "
    "other's jobs. Set `assume_version` for this source (programs with BullMQ for Python 3 are 6)."
)
_NOTES = (
    "Delayed jobs and parents that wait for their children count as waiting.",
    "Failed and completed jobs are listed by their end, the others as they were queued.",
    "A job that is retried while its queue is paused is listed as delayed until it is resumed.",
    "Jobs of a flow whose parent waits for them, and parents whose children are not done, "
    "cannot be deleted here.",
)


@dataclass(frozen=True, slots=True)
class Known:
    """What the last look at a queue told. `version` is empty where none is noted."""

    version: str = ""
    major: int | None = None
    completed: Provenance = Provenance.NONE


def unknown_version(version: str) -> str:
    """Why nothing of this queue can be changed."""
    return (
        f"This queue is of '{version[:60]}', and only the layouts of BullMQ 5 and 6 are known here."
    )


def capabilities_of(known: Known) -> Capabilities:
    """What can be done with a queue that was last seen so."""
    is_foreign = bool(known.version) and known.major not in KNOWN_MAJORS
    can_pause = known.major in KNOWN_MAJORS
    delete = DeleteSupport.NO if is_foreign else DeleteSupport.YES
    return Capabilities(
        completed_last_hour=known.completed,
        total=TotalSupport.EXACT,
        pause=PauseSupport.NATIVE if can_pause else PauseSupport.NONE,
        pause_scope=PauseScope.BAND,
        pause_durable=True,
        retry=RetrySupport.NONE if is_foreign else RetrySupport.NATIVE,
        attempts_reset=AttemptsReset.NO if is_foreign else AttemptsReset.PATCHED,
        delete={**dict.fromkeys(JobState, delete), JobState.ACTIVE: DeleteSupport.NO},
        list_jobs=dict.fromkeys(JobState, ListSupport.YES),
        error=ErrorSupport.TRACE,
        payload=PayloadSupport.JSON,
        id_scope=IdScope.QUEUE,
        notes=_notes(known, is_foreign),
    )


def _notes(known: Known, is_foreign: bool) -> tuple[str, ...]:
    if is_foreign:
        return (unknown_version(known.version), *_NOTES)
    return _NOTES if known.major else (NO_VERSION, *_NOTES)


KEEPING = capabilities_of(Known("bullmq:6", KNOWN_MAJORS[-1], Provenance.EXACT))
"""A queue whose workers keep what is completed, as BullMQ does unless it is told otherwise."""
