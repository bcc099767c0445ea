"""From a row of BullMQ's table to a `Job`. Pure; one odd value never breaks a page."""

import json
from typing import Any

from sqlalchemy import Row

from quarterdeck.core.nesting import is_deeper
from quarterdeck.queues.adapters.bullmq_postgres.counting import moment
from quarterdeck.queues.model import Job, JobError, JobRef, JobState

STATES = {
    "waiting": JobState.WAITING,
    "delayed": JobState.WAITING,
    "waiting-children": JobState.WAITING,
    "active": JobState.ACTIVE,
    "failed": JobState.FAILED,
    "completed": JobState.COMPLETED,
}
DEEPEST = 100

COLUMNS = """
  job.id, job.state::text AS state, job.data::text AS data, job.attempts_made, job.max_attempts,
  job.added_at_ms, job.process_at_ms, job.processed_at_ms, job.finished_at_ms, job.failed_reason,
  job.stacktrace ->> -1 AS trace"""


def job_of(ref: JobRef, public: str, row: Row[Any]) -> Job:
    """One job; `row` has `COLUMNS`."""
    state = STATES[row.state]
    payload, trouble = decoded(row.data)
    times = [moment(at) for at in (row.added_at_ms, row.processed_at_ms, row.finished_at_ms)]
    return Job(
        ref=ref,
        queue=public,
        state=state,
        payload=payload,
        payload_error=trouble,
        # BullMQ counts an attempt when it ends; one that runs has begun all the same.
        attempts=row.attempts_made + (state is JobState.ACTIVE),
        max_attempts=max(1, row.max_attempts),
        created_at=times[0],
        updated_at=max((at for at in times if at), default=None),
        run_at=moment(row.process_at_ms) if row.state == "delayed" else None,
        error=None if row.failed_reason is None else JobError(row.failed_reason, row.trace or None),
        native_state=row.state,
    )


def decoded(data: str) -> tuple[Any, str | None]:
    """A job's payload, and why it is none; it is then the raw text."""
    try:
        payload = json.loads(data)
    except (ValueError, RecursionError):
        # PostgreSQL takes only JSON, but numbers of any length, and any depth that its stack bears.
        return data, "The job's data holds numbers or depths that cannot be decoded."
    if is_deeper(payload, DEEPEST):
        return data, f"The job's data is nested more than {DEEPEST} levels deep."
    return payload, None
