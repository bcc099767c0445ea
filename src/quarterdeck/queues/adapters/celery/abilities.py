"""What can be done with Celery's tasks."""

from dataclasses import replace

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

_NOTES = (
    "Celery remembers no tasks by queue or state. We note what its events and results tell, "
    "in Redis: only while a Quarterdeck runs, and only of the last tasks (`keep`).",
    "Start workers with -E, and set task_send_sent_event = True in producers: without, running "
    "tasks are known every 30 s only, and waiting ones have no time of creation.",
    "Set result_extended = True: without, failed tasks are in no queue and cannot be retried.",
    "A retry sends the task again with the same id and arguments, but without the callbacks, "
    "chain or chord that it may have been part of.",
    "Tasks that a worker has fetched are active; one that starts later (eta) is waiting.",
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
    notes=(PAUSE_NOTE, *_NOTES),
)
"""With a Redis as broker."""

ON_RABBITMQ = replace(
    ABILITIES,
    total=TotalSupport.CAPPED,
    delete={**ABILITIES.delete, JobState.WAITING: DeleteSupport.NO},
    list_jobs={**ABILITIES.list_jobs, JobState.WAITING: ListSupport.INDEXED},
    payload=PayloadSupport.REPR,
    notes=(
        PAUSE_NOTE,
        "Waiting tasks are counted by RabbitMQ, but only those are listed of which producers told "
        "(task_send_sent_event): fetching a message to look at it would reorder the queue, and a "
        "quorum queue throws a message away that was fetched too often.",
        "Of a waiting task that much of its arguments is shown as its producer told: 1024 "
        "characters, as Python writes them.",
        "RabbitMQ itself counts quorum queues every five seconds only.",
        "RabbitMQ cannot remove one waiting message; `celery control revoke` keeps a task from "
        "being run.",
        *_NOTES,
    ),
)
