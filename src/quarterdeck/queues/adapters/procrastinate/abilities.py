"""What can be done with Procrastinate's jobs."""

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

NO_PAUSE = (
    "Procrastinate has nothing that stops workers from taking the jobs of a queue. Stop the "
    "workers of this queue instead; their running jobs finish."
)

ABILITIES = Capabilities(
    completed_last_hour=Provenance.RETAINED,
    total=TotalSupport.CAPPED,
    pause=PauseSupport.NONE,
    pause_scope=PauseScope.QUEUE,
    pause_durable=False,
    retry=RetrySupport.NATIVE,
    attempts_reset=AttemptsReset.PATCHED,
    delete={
        JobState.WAITING: DeleteSupport.YES,
        JobState.ACTIVE: DeleteSupport.CANCEL,
        JobState.FAILED: DeleteSupport.YES,
        JobState.COMPLETED: DeleteSupport.YES,
    },
    list_jobs=dict.fromkeys(JobState, ListSupport.YES),
    error=ErrorSupport.NONE,
    payload=PayloadSupport.JSON,
    id_scope=IdScope.DATABASE,
    notes=(
        NO_PAUSE,
        "Procrastinate keeps no errors: look for them in the logs of its workers.",
        "Deleting a running job asks its worker to abort it. An async task is cancelled; a "
        "synchronous one ends only if it looks at should_abort().",
        "Priorities above 0 are the high band, those below 0 the low band.",
        "Cancelled and aborted jobs are in none of the four states, and not shown.",
        "Jobs that workers delete when they end (delete_jobs) leave no trace to be counted.",
    ),
)
