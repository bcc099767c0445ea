"""What can be done with jobs that are rows and may wait in Redis."""

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

NOTES = (
    "Pausing stops the migrator for this band and sets the band's Redis list aside. Jobs that a "
    "producer pushes into Redis by itself afterwards are still taken, and are warned of.",
    "Deleting a job that waits in Redis searches its list: the cost grows with the list.",
)

DOCUMENTED = Capabilities(
    completed_last_hour=Provenance.EXACT,
    total=TotalSupport.EXACT,
    pause=PauseSupport.COMPOSITE,
    pause_scope=PauseScope.BAND,
    pause_durable=True,
    retry=RetrySupport.NATIVE,
    attempts_reset=AttemptsReset.NATIVE,
    delete={
        JobState.WAITING: DeleteSupport.YES,
        JobState.ACTIVE: DeleteSupport.NO,
        JobState.FAILED: DeleteSupport.YES,
        JobState.COMPLETED: DeleteSupport.YES,
    },
    list_jobs=dict.fromkeys(JobState, ListSupport.YES),
    error=ErrorSupport.TRACE,
    payload=PayloadSupport.JSON,
    id_scope=IdScope.DATABASE,
    notes=NOTES,
)
"""What rows of the documented tables and their lists can do."""


def completed_by_lists(rows: Capabilities) -> Capabilities:
    """Those of the rows, with a pause that reaches into Redis."""
    if rows.pause is PauseSupport.NONE:
        return rows
    return replace(rows, pause=PauseSupport.COMPOSITE, notes=[*rows.notes, *NOTES])
