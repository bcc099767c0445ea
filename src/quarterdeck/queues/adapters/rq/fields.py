"""From RQ's hashes and streams to jobs. One odd value never breaks a page; nothing is unpickled."""

import re
import zlib
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from quarterdeck.core.text import storable
from quarterdeck.queues.adapters.rq.counting import moment
from quarterdeck.queues.model import Attempt, JobError, JobState

FIELDS = (
    "status", "origin", "data", "description", "created_at", "enqueued_at", "started_at",
    "ended_at", "retries_left",
)  # fmt: skip
"""What is read of a job. `meta`, `result` and the names of callbacks are left alone."""

STATES = {
    "queued": JobState.WAITING,
    "scheduled": JobState.WAITING,
    "deferred": JobState.WAITING,
    "ready_to_enqueue": JobState.WAITING,
    "rate_limited": JobState.WAITING,
    "started": JobState.ACTIVE,
    "failed": JobState.FAILED,
    "stopped": JobState.FAILED,
    "finished": JobState.COMPLETED,
}
"""Cancelled jobs are in none of the four states."""

MAX_TEXT = 1_000_000
"""What is shown of one job at most, in bytes: a small text may unpack to gigabytes."""

_KEPT_RESULTS = 10
_OUTCOMES = {1: "success", 2: "failed", 3: "stopped", 4: "retried", 5: "failed"}

_PICKLE = 0x80
"""The first byte of every pickle since protocol 2, and of no JSON text."""

_TRACEBACK = re.compile(r"^Traceback \(most recent call last\):$", re.M)
_RAISED = re.compile(r"([^\W\d][\w.]*)(?:: (.*))?\Z", re.S)


@dataclass(frozen=True, slots=True)
class Result:
    """How an execution ended, by RQ's stream of results."""

    at: datetime
    outcome: str
    started_at: datetime | None
    ended_at: datetime | None
    error: JobError | None


def payload_of(data: bytes | None, description: bytes | None) -> tuple[Any, str | None]:
    """What can be shown of a job's arguments, and why they could not be decoded.

    Keyword arguments alone are shown as they are; with others, as `{"function", "args", "kwargs"}`.
    """
    if not data:
        return None, "The job has no data."
    raw = _inflated(data)
    if raw is None:
        return _text(description), f"The arguments are larger than {MAX_TEXT} bytes."
    if raw[:1] == bytes([_PICKLE]):
        return _text(description), None
    try:
        return _call(msgspec.json.decode(raw)), None
    except (ValueError, RecursionError) as error:
        reason = "they are nested too deeply" if isinstance(error, RecursionError) else error
        return _text(raw), f"The arguments are no call in JSON, nor pickled: {reason}."


def _call(decoded: Any) -> Any:
    """What to show of a call that RQ's JSON serializer wrote.

    Raises:
        ValueError: it did not.
    """
    if not isinstance(decoded, list) or len(decoded) != 4:
        raise ValueError("there are not four parts")
    function, _, args, kwargs = decoded
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise ValueError("its arguments are no list and object")
    return {"function": function, "args": args, "kwargs": kwargs} if args else kwargs


def results_of(stream: Any) -> list[Result]:
    """The entries of a stream as XREVRANGE gives them, the latest first."""
    return [_result(key, entry) for key, entry in stream] if isinstance(stream, list) else []


def attempts_of(hash_: Mapping[str, bytes | None], state: JobState, ended: Any) -> int | None:
    """How often the job was started, by the number of its results; None where RQ does not tell.

    Retries by a policy leave no result. Of many results the old ones are dropped.
    """
    if not isinstance(ended, int) or ended >= _KEPT_RESULTS:
        return None
    if hash_["retries_left"]:
        is_new = not ended and not hash_["started_at"] and state is JobState.WAITING
        return 0 if is_new else None
    return ended + 1 if state is JobState.ACTIVE else ended


def history_of(results: Sequence[Result]) -> list[Attempt]:
    """The attempts that left a result, the first one first."""
    found = []
    for number, result in enumerate(reversed(results), start=1):
        start, end = result.started_at or result.at, result.ended_at or result.at
        error = result.error
        found.append(
            Attempt(
                number,
                result.outcome,
                start,
                end,
                duration_ms=int((end - start).total_seconds() * 1000),
                message=error.message if error else None,
                stack_trace=error.stack_trace if error else None,
            )
        )
    return found


def error_of(text: str) -> JobError:
    """The message and the trace of what RQ noted of a failure."""
    traces = list(_TRACEBACK.finditer(text))
    if not traces:
        return JobError(text.strip() or "RQ noted no reason.")
    # Below the last traceback come its frames, which are indented, and then what was raised.
    lines = text[traces[-1].end() :].strip("\n").split("\n")
    while len(lines) > 1 and (not lines[0] or lines[0].startswith(" ")):
        del lines[0]
    raised = "\n".join(lines).strip()
    found = _RAISED.match(raised)
    return JobError((found.group(2) or found.group(1)) if found else raised, text)


def _result(key: bytes, entry: Mapping[bytes, bytes]) -> Result:
    kind = _number(entry.get(b"type"))
    outcome = _OUTCOMES.get(int(kind), "unknown") if kind is not None else "unknown"
    raw = entry.get(b"exc_string")
    text = _exception_text(raw) if raw else ""
    return Result(
        at=datetime.fromtimestamp(int(key.partition(b"-")[0]) / 1000, UTC),
        outcome=outcome,
        started_at=_clock_time(entry.get(b"execution_started_at")),
        ended_at=_clock_time(entry.get(b"execution_ended_at")),
        error=error_of(text) if text or outcome in {"failed", "stopped"} else None,
    )


def _exception_text(raw: bytes) -> str:
    try:
        packed = b64decode(raw, validate=True)
    except ValueError:
        return storable(_text(raw) or "")
    inflated = _inflated(packed)
    return "The error is too large to be shown." if inflated is None else _text(inflated) or ""


def _inflated(data: bytes) -> bytes | None:
    """The data unpacked, or as it is if it is not packed; None: it is too large."""
    unpacker = zlib.decompressobj()
    try:
        found = unpacker.decompress(data, MAX_TEXT + 1)
    except zlib.error:
        found = data
    return None if len(found) > MAX_TEXT else found


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else storable(raw[:MAX_TEXT].decode(errors="replace"))


def _number(raw: bytes | None) -> float | None:
    try:
        return float(raw or b"")
    except ValueError:
        return None


def _clock_time(raw: bytes | None) -> datetime | None:
    number = _number(raw)
    try:
        return None if number is None else datetime.fromtimestamp(number, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def latest(hash_: Mapping[str, bytes | None]) -> datetime | None:
    """When something last happened to a job."""
    names = ("created_at", "enqueued_at", "started_at", "ended_at")
    return max((at for name in names if (at := moment(hash_[name]))), default=None)
