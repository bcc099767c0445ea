"""What events and results tell of a task, as the index is told it."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from quarterdeck.core.text import is_storable
from quarterdeck.queues.adapters.celery.wire import text_or_none, time_of

MAX_ARGUMENTS = 65_536
MAX_TRACE = 16_384
_RESULTS = {
    "SUCCESS": "completed",
    "FAILURE": "failed",
    "RETRY": "retrying",
    "REVOKED": "revoked",
}
_EVENTS = {
    "task-sent": "sent",
    "task-received": "active",
    "task-started": "active",
    "task-succeeded": "completed",
    "task-failed": "failed",
    "task-retried": "retrying",
    "task-revoked": "revoked",
    "task-rejected": "revoked",
}
Note = dict[str, Any]


def notes_of_events(body: Any) -> Iterator[Note]:
    """What the events of one message tell; those of workers come several in one."""
    for event in body if isinstance(body, list) else [body]:
        note = _note_of_event(event) if isinstance(event, dict) else None
        if note is not None:
            yield note


def note_of_result(result: Mapping[str, Any]) -> Note | None:
    """What a stored result tells; None: nothing of use."""
    kind, job_id = _RESULTS.get(str(result.get("status"))), result.get("task_id")
    done_at = time_of(result.get("date_done"))
    if kind is None or not _is_id(job_id):
        return None
    moment = time.time() if done_at is None else done_at.timestamp()
    fields = {
        "name": text_or_none(result.get("name")),
        "worker": text_or_none(result.get("worker")),
        "retries": _number(result.get("retries")),
        "arguments": _arguments(result),
    }
    if kind == "failed":
        fields["error"] = _message(result.get("result"))
        fields["trace"] = (text_or_none(result.get("traceback")) or "")[-MAX_TRACE:]
    return _note(kind, job_id, moment, fields, result.get("queue")) | {"is_result": True}


def _note_of_event(event: Mapping[str, Any]) -> Note | None:
    kind, job_id, at = (
        _EVENTS.get(str(event.get("type"))),
        event.get("uuid"),
        event.get("timestamp"),
    )
    if kind is None or not _is_id(job_id):
        return None
    if not isinstance(at, int | float) or time_of(at) is None:
        return None
    eta = time_of(event.get("eta"))
    if event["type"] == "task-received" and eta is not None and eta.timestamp() > at:
        kind = "scheduled"
    fields = {
        "name": text_or_none(event.get("name")),
        "args": text_or_none(event.get("args")),
        "kwargs": text_or_none(event.get("kwargs")),
        "retries": _number(event.get("retries")),
        "eta": None if eta is None else repr(eta.timestamp()),
    }
    if kind != "sent":
        fields["worker"] = text_or_none(event.get("hostname"))
    if event["type"] == "task-started":
        fields["started_at"] = repr(at)
    if kind == "failed":
        fields["error"] = text_or_none(event.get("exception"))
        fields["trace"] = (text_or_none(event.get("traceback")) or "")[-MAX_TRACE:]
    return _note(kind, job_id, at, fields, event.get("queue"))


def _note(kind: str, job_id: Any, at: float, fields: Mapping[str, str | None], queue: Any) -> Note:
    note: Note = {
        "id": job_id,
        "kind": kind,
        "at": f"{at:.6f}",
        "fields": {name: value for name, value in fields.items() if value is not None},
    }
    if text_or_none(queue) and is_storable(queue):
        note["queue"] = queue
    return note


def _arguments(result: Mapping[str, Any]) -> str | None:
    """The whole arguments, if the result holds them: what a retry needs."""
    args, kwargs = result.get("args"), result.get("kwargs")
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        return None
    text = msgspec.json.encode({"args": args, "kwargs": kwargs}).decode()
    return text if len(text) <= MAX_ARGUMENTS else None


def _message(result: Any) -> str:
    if not isinstance(result, dict):
        return str(result)
    message = result.get("exc_message")
    text = ", ".join(map(str, message)) if isinstance(message, list) else str(message or "")
    return text or str(result.get("exc_type") or "")


def _number(value: Any) -> str | None:
    return str(value) if isinstance(value, int) else None


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and is_storable(value)
