"""What can be done with RQ's jobs."""

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

ONE_SWITCH = (
    "RQ has one switch for all workers: a pause stops every queue of this source. Running jobs "
    "finish. A worker that is idle at that moment has asked for its next job already, and takes "
    "one more when it comes."
)

ABILITIES = Capabilities(
    completed_last_hour=Provenance.NONE,
    total=TotalSupport.EXACT,
    pause=PauseSupport.GLOBAL,
    pause_scope=PauseScope.GLOBAL,
    pause_durable=True,
    retry=RetrySupport.NATIVE,
    attempts_reset=AttemptsReset.NO,
    delete={
        JobState.WAITING: DeleteSupport.YES,
        JobState.ACTIVE: DeleteSupport.NO,
        JobState.FAILED: DeleteSupport.YES,
        JobState.COMPLETED: DeleteSupport.YES,
    },
    list_jobs=dict.fromkeys(JobState, ListSupport.YES),
    error=ErrorSupport.TRACE,
    payload=PayloadSupport.REPR,
    id_scope=IdScope.DATABASE,
    notes=(
        ONE_SWITCH,
        "Finished jobs are kept for 500 seconds unless their result_ttl says otherwise, so RQ does "
        "not tell how many were completed in the last hour.",
        "Of a job that was enqueued with Retry(max), a retry is one more run: RQ does not keep how "
        "many it was allowed at first, so retries_left stays as it is. One that returns Retry "
        "begins anew.",
        "Pickled arguments are shown by the job's description, for unpickling them could run "
        "anything. Those of RQ's JSON serializer are shown as they are.",
        "Of more than 2000 jobs the running ones are shown first, then those that wait, that "
        "failed and that finished, each by when they came there; up to that, by their creation.",
        "Cancelled jobs are in none of the four states, and not shown. Jobs that wait for a rate "
        "limit are in no queue yet: they are not counted, and only RQ itself can change them.",
        "A worker of several queues holds a job that it has popped in no list until it starts it: "
        "for that moment the job is not counted.",
        "A job whose dependents still wait for it cannot be deleted: they would wait forever.",
        "Deleting a waiting job searches its queue: the cost grows with the queue.",
    ),
)
