"""What can be done with Celery's tasks."""

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

PAUSE_NOTE = (
    "A pause asks the workers to stop consuming the queue. What they have fetched already still "
    "runs, and a worker that starts during the pause may take a few tasks before it is asked, too."
)

ABILITIES = Capabilities(
    completed_last_hour=Provenance.METRICS,
    total=TotalSupport.EXACT,
    pause=PauseSupport.WORKERS,
    pause_scope=PauseScope.BAND,
    pause_durable=False,
    retry=RetrySupport.REPUBLISH,
    attempts_reset=AttemptsReset.NATIVE,
    delete={
        JobState.WAITING: DeleteSupport.YES,
        JobState.ACTIVE: DeleteSupport.NO,
        JobState.FAILED: DeleteSupport.YES,
        JobState.COMPLETED: DeleteSupport.YES,
    },
    list_jobs={
        JobState.WAITING: ListSupport.YES,
        JobState.ACTIVE: ListSupport.INDEXED,
        JobState.FAILED: ListSupport.INDEXED,
        JobState.COMPLETED: ListSupport.INDEXED,
    },
    error=ErrorSupport.TRACE,
    payload=PayloadSupport.JSON,
    id_scope=IdScope.GLOBAL,
    notes=(
        PAUSE_NOTE,
        "Celery remembers no tasks by queue or state. We note what its events and results tell, "
        "in its Redis: only while a Quarterdeck runs, and only of the last tasks (`keep`).",
        "Start workers with -E, and set task_send_sent_event = True in producers: without, running "
        "tasks are known every 30 s only, and waiting ones have no time of creation.",
        "Set result_extended = True: without, failed tasks are in no queue and cannot be retried.",
        "A retry sends the task again with the same id and arguments, but without the callbacks, "
        "chain or chord that it may have been part of.",
        "Tasks that a worker has fetched are active; one that starts later (eta) is waiting.",
    ),
)
