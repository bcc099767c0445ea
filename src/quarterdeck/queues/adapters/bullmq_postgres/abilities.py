"""What can be done with a queue of BullMQ on PostgreSQL."""

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

CLIENT = 6
"""The major version of BullMQ whose functions are called here."""

_PAUSING = (
    "A paused queue starts nothing, also no delayed job that comes due: it waits until the queue "
    "is resumed. Running jobs finish, and a job that a worker takes in the very moment of the "
    "pause is one of them."
)
_NOTES = (
    "Delayed jobs and parents that wait for their children count as waiting.",
    "Failed and completed jobs are listed by their end, the others as they were queued.",
    "Jobs of a flow whose parent waits for them, parents whose children are not done, and jobs "
    "of a job scheduler cannot be deleted here.",
)


def too_new(required: int | None) -> str | None:
    """Why nothing of a schema can be changed whose clients must be of this version at least."""
    if required is not None and required <= CLIENT:
        return None
    if required is None:
        return "Its `migration` table notes no version of BullMQ's schema, so it is only read."
    return (
        f"Its schema needs clients of BullMQ {required}, and only what BullMQ {CLIENT} writes is "
        "known here, so it is only read. Update Quarterdeck, or change it with BullMQ."
    )


def capabilities_of(completed: Provenance, read_only: str | None = None) -> Capabilities:
    """What can be done with a queue, of a schema that may be closed for a reason."""
    delete = DeleteSupport.NO if read_only else DeleteSupport.YES
    return Capabilities(
        completed_last_hour=completed,
        total=TotalSupport.CAPPED,
        pause=PauseSupport.NONE if read_only else PauseSupport.NATIVE,
        pause_scope=PauseScope.BAND,
        pause_durable=True,
        retry=RetrySupport.NONE if read_only else RetrySupport.NATIVE,
        attempts_reset=AttemptsReset.NO if read_only else AttemptsReset.NATIVE,
        delete={**dict.fromkeys(JobState, delete), JobState.ACTIVE: DeleteSupport.NO},
        list_jobs=dict.fromkeys(JobState, ListSupport.YES),
        error=ErrorSupport.TRACE,
        payload=PayloadSupport.JSON,
        id_scope=IdScope.QUEUE,
        notes=(read_only or _PAUSING, *_NOTES),
    )


KEEPING = capabilities_of(Provenance.RETAINED)
"""A queue whose workers keep what is completed, as BullMQ does unless it is told otherwise."""
