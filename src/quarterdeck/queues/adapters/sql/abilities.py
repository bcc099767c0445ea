"""What can be done with jobs in these tables."""

from dataclasses import replace

from quarterdeck.queues.adapters.sql.changing import failure_times
from quarterdeck.queues.adapters.sql.limited import COUNT_LIMIT, last_hour
from quarterdeck.queues.adapters.sql.pausing import NO_PAUSE, pause_scope
from quarterdeck.queues.adapters.sql.tables import JobTables
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

DOCUMENTED = Capabilities(
    completed_last_hour=Provenance.EXACT,
    total=TotalSupport.EXACT,
    pause=PauseSupport.NATIVE,
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
)
"""What the documented tables can do."""


def abilities(tables: JobTables) -> Capabilities:
    """What these tables can do."""
    is_counted = tables.counts is not None
    scope = pause_scope(tables)
    columns = tables.jobs.c
    error = ErrorSupport.NONE
    if "last_error_message" in columns:
        error = ErrorSupport.TRACE if "last_error_trace" in columns else ErrorSupport.MESSAGE
    return replace(
        DOCUMENTED,
        completed_last_hour=Provenance.EXACT if is_counted else last_hour(tables),
        total=TotalSupport.EXACT if is_counted else TotalSupport.CAPPED,
        pause=PauseSupport.NATIVE if scope else PauseSupport.NONE,
        pause_scope=scope or PauseScope.QUEUE,
        attempts_reset=AttemptsReset.NATIVE if "attempt_count" in columns else AttemptsReset.NO,
        error=error,
        notes=_notes(tables, scope),
    )


def _notes(tables: JobTables, scope: PauseScope | None) -> list[str]:
    notes = []
    if scope is None:
        notes.append(NO_PAUSE)
    elif scope is PauseScope.QUEUE and tables.has_bands:
        notes.append("A pause stops the whole queue: its high, normal and low bands alike.")
    if tables.counts is None:
        notes.append(f"There are no counters in these tables: counts stop at {COUNT_LIMIT}.")
    if not failure_times(tables):
        notes.append(
            "These tables do not say when a job failed, so there is no bulk retry or delete."
        )
    return notes
