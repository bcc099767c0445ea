"""From rows to jobs. One odd value never breaks a page."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    LargeBinary,
    Row,
    Select,
    Table,
    Text,
    cast,
    null,
    select,
)

from quarterdeck.queues.adapters.sql.names import Lane
from quarterdeck.queues.adapters.sql.tables import JobTables
from quarterdeck.queues.model import Attempt, Job, JobError, JobRef, JobState, Priority

_PLAIN = (
    "id", "queue_name", "status", "priority", "attempt_count", "max_attempts", "run_at",
    "started_at", "completed_at", "failed_at", "created_at", "updated_at",
)  # fmt: skip
_TEXTS = ("payload", "last_error_message", "last_error_trace")
_LOG_PLAIN = ("status", "attempt_number", "started_at", "finished_at", "duration_ms")
_LOG_TEXTS = ("log_message", "stack_trace")


def select_jobs(connection: Connection, tables: JobTables) -> Select[Any]:
    """Everything that `job_of` needs."""
    return select(*_labelled(connection, tables.jobs, _PLAIN, _TEXTS))


def select_logs(connection: Connection, logs: Table) -> Select[Any]:
    """Everything that `attempt_of` needs."""
    return select(*_labelled(connection, logs, _LOG_PLAIN, _LOG_TEXTS))


def raw_text(connection: Connection, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A column as text, whatever is in it; read it with `decoded`.

    SQLite hands out bytes: the driver raises for a whole page when one text is not UTF-8.
    """
    return cast(column, LargeBinary() if connection.dialect.name == "sqlite" else Text())


def decoded(value: bytes | str | None) -> str | None:
    """What `raw_text` selected."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def decode_payload(raw: bytes | str | None) -> tuple[Any, str | None]:
    """The payload and None, or its raw text and why it is no JSON object."""
    try:
        payload = msgspec.json.decode(raw or b"")
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        return decoded(raw), f"The payload is not JSON: {error}."
    except RecursionError:
        return decoded(raw), "The payload is nested too deeply to be decoded."
    if isinstance(payload, dict):
        return payload, None
    return decoded(raw), "The payload is JSON, but not an object."


def job_of(row: Row[Any], tables: JobTables, source: str) -> Job:
    """A job without its history. Its error is the last one; a completed job has none any more."""
    state = tables.state_of(row.status) or JobState.WAITING
    payload, payload_error = decode_payload(row.payload)
    return Job(
        ref=JobRef(source, str(row.id)),
        queue=Lane(row.queue_name, _priority_of(row.priority)).ref(source).name,
        state=state,
        payload=payload,
        attempts=row.attempt_count,
        created_at=row.created_at,
        updated_at=row.updated_at or _latest(row),
        error=None if state is JobState.COMPLETED else _error_of(row),
        max_attempts=row.max_attempts,
        run_at=row.run_at,
        native_state=str(row.status),
        payload_error=payload_error,
    )


def attempt_of(row: Row[Any]) -> Attempt:
    """One entry of a job's history."""
    return Attempt(
        number=row.attempt_number,
        outcome=str(row.status),
        started_at=row.started_at,
        finished_at=row.finished_at,
        duration_ms=row.duration_ms,
        message=decoded(row.log_message),
        stack_trace=decoded(row.stack_trace),
    )


def _labelled(
    connection: Connection, table: Table, plain: tuple[str, ...], texts: tuple[str, ...]
) -> list[ColumnElement[Any]]:
    def column(name: str) -> ColumnElement[Any]:
        if name not in table.c:
            return null()
        return raw_text(connection, table.c[name]) if name in texts else table.c[name]

    return [column(name).label(name) for name in (*plain, *texts)]


def _error_of(row: Row[Any]) -> JobError | None:
    message, trace = decoded(row.last_error_message), decoded(row.last_error_trace)
    if message is None and trace is None:
        return None
    return JobError(message or "", trace or None)


def _priority_of(number: int | None) -> Priority:
    if number is None or 50 < number <= 150:
        return Priority.NORMAL
    return Priority.HIGH if number <= 50 else Priority.LOW


def _latest(row: Row[Any]) -> datetime | None:
    """For tables that do not say when a job last changed."""
    times = (row.created_at, row.started_at, row.completed_at, row.failed_at)
    return max((moment for moment in times if moment is not None), default=None)
