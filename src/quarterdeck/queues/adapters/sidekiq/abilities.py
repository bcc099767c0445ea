"""What can be done with Sidekiq's jobs."""

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
    "Sidekiq has no way to pause a queue: only Sidekiq Pro does, and the workers of the free "
    "version ignore its switch."
)
NOT_KEPT = (
    "Sidekiq keeps no job that has succeeded, so completed jobs can neither be listed nor counted "
    "by queue: it counts all queues together, by day."
)

ABILITIES = Capabilities(
    completed_last_hour=Provenance.NONE,
    total=TotalSupport.CAPPED,
    pause=PauseSupport.NONE,
    pause_scope=PauseScope.QUEUE,
    pause_durable=False,
    retry=RetrySupport.NATIVE,
    attempts_reset=AttemptsReset.NATIVE,
    delete={
        JobState.WAITING: DeleteSupport.YES,
        JobState.ACTIVE: DeleteSupport.NO,
        JobState.FAILED: DeleteSupport.YES,
        JobState.COMPLETED: DeleteSupport.NO,
    },
    list_jobs={
        JobState.WAITING: ListSupport.YES,
        JobState.ACTIVE: ListSupport.YES,
        JobState.FAILED: ListSupport.YES,
        JobState.COMPLETED: ListSupport.NO,
    },
    error=ErrorSupport.TRACE,
    payload=PayloadSupport.JSON,
    id_scope=IdScope.QUEUE,
    notes=(
        NO_PAUSE,
        NOT_KEPT,
        "Workers tell which jobs run every 5 or 10 seconds: until then a job that was taken is in "
        "no place where it could be seen, and one that ended may still be shown as active.",
        "Scheduled jobs, and those that Sidekiq will try again by itself, are waiting. Failed are "
        "those it has given up: its dead set, which forgets the oldest of more than 10000.",
        "Traces are kept of jobs with the option `backtrace`; of others it is the error's class.",
        "The sets of scheduled, retried and dead jobs hold those of all queues. Of more than 10000 "
        "in one, the last are listed; of more than 500, the counts by queue are some seconds old.",
        "A job is found by searching its queue and these sets: the cost grows with them.",
    ),
)
