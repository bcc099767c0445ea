"""From the JSON that Sidekiq keeps to jobs. Pure; one odd value never breaks a page.

Format: https://github.com/sidekiq/sidekiq/wiki/Job-Format
"""

import zlib
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from quarterdeck.core.nesting import is_deeper
from quarterdeck.core.text import is_storable, storable
from quarterdeck.queues.adapters.sidekiq.keys import is_job_id
from quarterdeck.queues.model import JobError

DEEPEST = 100
"""Ruby reads and writes no JSON that is nested deeper."""

MAX_TRACE = 1_000_000
"""What a trace may unpack to, in bytes: a small text may hold gigabytes."""

_MILLISECONDS = 100_000_000_000
"""Times from here on are in milliseconds, as Sidekiq 8 writes them; before, in seconds."""

_OF_A_FAILURE = (
    "retry_count", "failed_at", "retried_at", "error_message", "error_class", "error_backtrace",
)  # fmt: skip
_WRAPPERS = {
    "ActiveJob::QueueAdapters::SidekiqAdapter::JobWrapper",
    "Sidekiq::ActiveJob::Wrapper",
}

_JOB = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Item:
    """One job. `raw` are its exact bytes, which are what Redis finds it by."""

    raw: bytes
    jid: str
    queue: str
    fields: Mapping[str, msgspec.Raw]

    def get(self, name: str) -> Any:
        """A field; None: there is none, or it cannot be read."""
        return _decoded(self.fields.get(name))

    def time(self, name: str) -> datetime | None:
        """A field that is a time."""
        return moment(self.get(name))

    @property
    def attempts(self) -> int:
        """How often it has failed: Sidekiq counts from the first retry, which is number 0."""
        count = self.get("retry_count")
        return max(count + 1, 0) if isinstance(count, int) else 0

    @property
    def max_attempts(self) -> int | None:
        """How often it may run; None: as often as the workers' settings say."""
        retry = self.get("retry")
        if isinstance(retry, bool):
            return None if retry else 1
        return max(retry, 0) + 1 if isinstance(retry, int) else None


@dataclass(frozen=True, slots=True)
class Running:
    """What a worker says that it runs."""

    item: Item
    begun_at: datetime | None


def item_of(raw: bytes, queue: str | None = None) -> Item | None:
    """A job of this queue, or of the one that it names; None: it is none, or has no usable id."""
    try:
        fields = _JOB.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    jid = _decoded(fields.get("jid"))
    named = queue or _decoded(fields.get("queue"))
    if not isinstance(jid, str) or not isinstance(named, str):
        return None
    if not is_job_id(jid) or not named or not is_storable(named):
        return None
    return Item(raw, jid, named, fields)


def running_of(raw: bytes) -> Running | None:
    """The job in a worker's report: a text in itself, but an object before Sidekiq 6.1."""
    try:
        work = _JOB.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    payload, queue = work.get("payload"), _decoded(work.get("queue"))
    if payload is None or not isinstance(queue, str):
        return None
    text = _decoded(payload)
    item = item_of(
        text.encode(errors="replace") if isinstance(text, str) else bytes(payload), queue
    )
    return None if item is None else Running(item, moment(_decoded(work.get("run_at"))))


def moment(value: Any) -> datetime | None:
    """A time as Sidekiq writes it: seconds, from version 8 on milliseconds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value / 1000 if value >= _MILLISECONDS else value, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def payload_of(item: Item) -> tuple[Any, str | None]:
    """What is shown of a job, and why its arguments could not be read.

    The class, and beside it the parts of an only argument that is an object, or else `args`.
    """
    raw = item.fields.get("args")
    if raw is None:
        return None, "The job has no arguments."
    args = _decoded(raw)
    if not isinstance(args, list) or is_deeper(args, DEEPEST):
        return storable(bytes(raw).decode(errors="replace")), "The arguments are no list in JSON."
    name = item.get("class")
    if name in _WRAPPERS and len(args) == 1 and isinstance(args[0], dict):
        name = item.get("wrapped") or args[0].get("job_class")
        args = args[0].get("arguments", args)
    if isinstance(args, list) and len(args) == 1 and isinstance(args[0], dict):
        return {"class": name, **args[0]} if "class" not in args[0] else args[0], None
    return {"class": name, "args": args}, None


def message_of(item: Item) -> str | None:
    """What went wrong the last time; None: nothing did."""
    message, name = item.get("error_message"), item.get("error_class")
    found = message if isinstance(message, str) and message else name
    return storable(found) if isinstance(found, str) and found else None


def error_of(item: Item) -> JobError | None:
    """The last failure. Without a backtrace, the trace is what Ruby's would begin with."""
    message, name = message_of(item), item.get("error_class")
    if message is None:
        return None
    if not isinstance(name, str) or not name:
        return JobError(message)
    first = message if message == name else f"{name}: {message}"
    return JobError(message, "\n".join([storable(first), *_frames(item.get("error_backtrace"))]))


def retried(item: Item, now: datetime) -> bytes:
    """The job as one that has never run; its other fields stay as they are, to the byte.

    The time is written as the job has its others: Sidekiq tells seconds by the decimal point.
    """
    fields = {name: raw for name, raw in item.fields.items() if name not in _OF_A_FAILURE}
    created = item.get("created_at")
    in_ms = isinstance(created, int) and created >= _MILLISECONDS
    at = int(now.timestamp() * 1000) if in_ms else float(now.timestamp())
    return msgspec.json.encode({**fields, "enqueued_at": at})


def _decoded(raw: msgspec.Raw | None) -> Any:
    try:
        return None if raw is None else msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None


def _frames(packed: Any) -> list[str]:
    """The lines of a trace as Sidekiq packs them; none where they cannot be read."""
    lines = packed
    if isinstance(packed, str):
        try:
            unpacker = zlib.decompressobj()
            found = unpacker.decompress(b64decode(packed), MAX_TRACE + 1)
        except (ValueError, zlib.error):
            return []
        lines = _decoded(msgspec.Raw(found)) if len(found) <= MAX_TRACE else None
    if not isinstance(lines, list):
        return []
    return [f"  {storable(line)}" for line in lines if isinstance(line, str)]
