"""From rows to jobs. One odd value never breaks a page."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Row

from quarterdeck.queues.adapters.procrastinate.lanes import Lane
from quarterdeck.queues.model import Attempt, Job, JobRef, JobState

STATUSES = {
    JobState.WAITING: "todo",
    JobState.ACTIVE: "doing",
    JobState.FAILED: "failed",
    JobState.COMPLETED: "succeeded",
}
STATES = {status: state for state, status in STATUSES.items()}

# `scheduled` tells when a job is due, not when something happened to it.
SELECT_JOBS = """
SELECT j.id, j.queue_name, sign(j.priority)::int AS band, j.status::text AS status,
  j.args::text AS args, j.attempts, j.scheduled_at,
  (SELECT min(e.at) FROM procrastinate_events e
   WHERE e.job_id = j.id AND e.type = 'deferred') AS created_at,
  (SELECT max(e.at) FROM procrastinate_events e
   WHERE e.job_id = j.id AND e.type <> 'scheduled') AS updated_at
FROM procrastinate_jobs j """

_OUTCOMES = {
    "failed": "failed",
    "succeeded": "success",
    "deferred_for_retry": "retry",
    "aborted": "aborted",
}


def decode_args(raw: str) -> tuple[Any, str | None]:
    """The arguments and None, or their raw text and why they are none."""
    try:
        payload = msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        return raw, f"The arguments are not JSON: {error}."
    except RecursionError:
        return raw, "The arguments are nested too deeply to be decoded."
    if isinstance(payload, dict):
        return payload, None
    return raw, "The arguments are JSON, but not an object."


def job_of(row: Row[Any], source: str) -> Job:
    """A job without its history."""
    payload, payload_error = decode_args(row.args)
    return Job(
        ref=JobRef(source, str(row.id)),
        queue=Lane(row.queue_name, row.band).ref(source).name,
        state=STATES[row.status],
        payload=payload,
        attempts=row.attempts,
        created_at=utc(row.created_at),
        updated_at=utc(row.updated_at),
        run_at=utc(row.scheduled_at),
        native_state=row.status,
        payload_error=payload_error,
    )


def attempts_of(events: Iterable[Row[Any]]) -> Sequence[Attempt]:
    """The starts of a job, each with what ended it, from its events in their order."""
    found: list[Attempt] = []
    started_at: datetime | None = None
    for event in events:
        if event.type == "started":
            started_at = utc(event.at)
        elif event.type in _OUTCOMES and started_at:
            outcome = _OUTCOMES[event.type]
            found.append(_attempt(len(found) + 1, outcome, started_at, utc(event.at)))
            started_at = None
    if started_at is not None:
        found.append(_attempt(len(found) + 1, "running", started_at, None))
    return found


def _attempt(number: int, outcome: str, start: datetime, end: datetime | None) -> Attempt:
    span = None if end is None else int((end - start).total_seconds() * 1000)
    return Attempt(number, outcome, start, end, span)


def utc(moment: datetime | None) -> datetime | None:
    """Aware UTC; None for PostgreSQL's `infinity`, which the driver gives without a zone."""
    return None if moment is None or moment.tzinfo is None else moment.astimezone(UTC)
