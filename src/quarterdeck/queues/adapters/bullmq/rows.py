"""From a job's hash to a `Job`. Pure; whatever a hash holds, something can be shown of it."""

import json
from collections.abc import Sequence
from datetime import datetime
from math import isfinite
from typing import Any

from quarterdeck.core.nesting import is_deeper
from quarterdeck.core.text import storable
from quarterdeck.queues.adapters.bullmq.counting import moment
from quarterdeck.queues.model import Job, JobError, JobRef, JobState

FIELDS = (
    "data", "opts", "timestamp", "processedOn", "finishedOn", "atm", "attemptsMade",
    "failedReason", "stacktrace", "name",
)  # fmt: skip
"""`name` is not shown: each job has one, so it tells a broken job from none."""

STATES: dict[JobState, tuple[str, ...]] = {
    JobState.ACTIVE: ("active",),
    JobState.WAITING: ("wait", "paused", "prioritized", "delayed", "waiting-children"),
    JobState.FAILED: ("failed",),
    JobState.COMPLETED: ("completed",),
}
"""BullMQ's own lists and sorted sets by the API's states."""

LISTS = frozenset({"wait", "paused", "active"})
_STATE_OF = {native: state for state, natives in STATES.items() for native in natives}
LOST = "none"
DEEPEST = 100


def state_of(native: str) -> JobState:
    """The state of a job in that list; one in no list waits, and will do so for ever."""
    return _STATE_OF.get(native, JobState.WAITING)


def job_of(
    ref: JobRef, public: str, place: tuple[str, float | None], values: Sequence[bytes | None]
) -> Job:
    """One job; `place` is its list and its score there, `values` are those of `FIELDS`."""
    texts = [None if value is None else value.decode(errors="replace") for value in values]
    fields = dict(zip(FIELDS, texts, strict=True))
    native, score = place
    state = state_of(native)
    payload, trouble = decoded(fields["data"])
    made = _number(fields["atm"] or fields["attemptsMade"]) or 0
    times = [_time(fields[name]) for name in ("timestamp", "processedOn", "finishedOn")]
    return Job(
        ref=ref,
        queue=public,
        state=state,
        payload=payload,
        payload_error=trouble,
        # BullMQ counts an attempt when it ends; one that runs has begun all the same.
        attempts=int(made) + (state is JobState.ACTIVE),
        max_attempts=_max_attempts(fields["opts"]),
        created_at=times[0],
        updated_at=max((at for at in times if at), default=None),
        run_at=_moment(score / 4096) if native == "delayed" and score else None,
        error=_error(fields),
        native_state="in no list" if native == LOST else native,
    )


def error_of(reason: bytes | None) -> str:
    """The message of a failure; empty where none is kept."""
    return "" if reason is None else reason.decode(errors="replace")


def decoded(data: str | None) -> tuple[Any, str | None]:
    """A job's payload, and why it is none; it is then the raw text."""
    if data is None:
        return None, "The job has no data."
    try:
        payload = json.loads(data)
    except (ValueError, RecursionError):
        return data, "The job's data is not valid JSON."
    if is_deeper(payload, DEEPEST):
        return data, f"The job's data is nested more than {DEEPEST} levels deep."
    if "\\ud" in data.lower():  # perhaps half a character, which no answer can carry
        payload = json.loads(storable(json.dumps(payload, ensure_ascii=False)))
    return payload, None


def _error(fields: dict[str, str | None]) -> JobError | None:
    reason = fields["failedReason"]
    if reason is None:
        return None
    traces = _json(fields["stacktrace"])
    last = traces[-1] if isinstance(traces, list) and traces else None
    return JobError(reason, storable(last) if isinstance(last, str) and last else None)


def _max_attempts(opts: str | None) -> int | None:
    parsed = _json(opts)
    if not isinstance(parsed, dict):
        return None
    attempts = parsed.get("attempts", 1)
    return max(1, attempts) if isinstance(attempts, int) else None


def _json(text: str | None) -> Any:
    try:
        return json.loads(text or "null")
    except (ValueError, RecursionError):
        return None


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if isfinite(number) else None


def _time(text: str | None) -> datetime | None:
    number = _number(text)
    return None if number is None else _moment(number)


def _moment(milliseconds: float) -> datetime | None:
    try:
        return moment(milliseconds)
    except (ValueError, OverflowError, OSError):
        return None
