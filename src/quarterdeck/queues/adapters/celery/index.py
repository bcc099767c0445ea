"""What we have noted of tasks, read from the Redis that holds it."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from quarterdeck.queues.adapters.celery.access import Access
from quarterdeck.queues.adapters.celery.names import ref_of
from quarterdeck.queues.adapters.celery.wire import Message, payload_of, text_or_none, time_of
from quarterdeck.queues.model import Job, JobError, JobRef, JobState

STATES = {
    "waiting": JobState.WAITING,
    "scheduled": JobState.WAITING,
    "active": JobState.ACTIVE,
    "failed": JobState.FAILED,
    "completed": JobState.COMPLETED,
}


@dataclass(frozen=True, slots=True)
class Record:
    """What is noted of one task. Everything but its id may be missing."""

    id: str
    fields: Mapping[str, str]

    @property
    def phase(self) -> str | None:
        """None: nothing is known of it."""
        return self.fields.get("phase")

    @property
    def queue(self) -> str | None:
        """None: neither its result nor an event of its producer was seen."""
        return self.fields.get("queue")

    @property
    def done_at(self) -> str:
        """When it ended last, as it is stored; empty: it did not."""
        return self.fields.get("done_at", "")

    @property
    def arguments(self) -> Mapping[str, Any] | None:
        """All of `args` and `kwargs`; None: they were not in its result."""
        stored = self.fields.get("arguments")
        found = msgspec.json.decode(stored) if stored else None
        return found if isinstance(found, dict) else None

    def time(self, name: str) -> datetime | None:
        """One of its times."""
        stored = self.fields.get(name)
        return time_of(float(stored)) if stored else None


class Index:
    """The records of one source."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._own = access.keys.own

    async def records(self, ids: Sequence[str]) -> list[Record]:
        """What is noted of these tasks, in one round trip."""
        if not ids:
            return []
        async with self._access.explained():
            pipeline = self._access.store.pipeline(transaction=False)
            for job_id in ids:
                pipeline.hgetall(f"{self._own}job:{job_id}")
            answers = await pipeline.execute()
        return [
            Record(job_id, {_text(name): _text(value) for name, value in answer.items()})
            for job_id, answer in zip(ids, answers, strict=True)
        ]

    async def sizes(self, queue: str, phases: Sequence[str]) -> list[int]:
        """How many tasks of a queue are in these phases."""
        async with self._access.explained():
            pipeline = self._access.store.pipeline(transaction=False)
            for phase in phases:
                pipeline.zcard(self._key(queue, phase))
            return list(await pipeline.execute())

    async def ids(self, queue: str, phases: Sequence[str], start: int, count: int) -> list[str]:
        """Tasks of these phases, the newest first. Reads `start + count` of each phase."""
        if count <= 0:
            return []
        async with self._access.explained():
            pipeline = self._access.store.pipeline(transaction=False)
            for phase in phases:
                pipeline.zrange(
                    self._key(queue, phase), 0, start + count - 1, desc=True, withscores=True
                )
            answers = await pipeline.execute()
        merged = sorted(
            ((score, _text(member)) for answer in answers for member, score in answer),
            reverse=True,
        )
        return [job_id for _, job_id in merged[start : start + count]]

    async def queues(self) -> list[str]:
        """Every queue that a task was noted of."""
        async with self._access.explained():
            return [_text(each) for each in await self._access.store.smembers(f"{self._own}queues")]

    def _key(self, queue: str, phase: str) -> str:
        return f"{self._own}{phase}:{queue}"


def job_of(record: Record, source: str, message: Message | None = None) -> Job | None:
    """A task from its record, with its message while it waits; None: it is in no queue."""
    fields, queue = record.fields, record.queue
    phase = "waiting" if message else record.phase
    if phase not in STATES or queue is None:
        return None
    state = STATES[phase]
    payload, payload_error = _payload(record, message)
    retries = message.retries if message else _number(fields.get("retries"))
    has_run = state in {JobState.FAILED, JobState.COMPLETED}
    times = [record.time(name) for name in ("sent_at", "waiting_at", "active_at", "done_at")]
    return Job(
        ref=JobRef(source, record.id),
        queue=ref_of(source, queue).name,
        state=state,
        payload=payload,
        attempts=None if retries is None else retries + 1 if has_run else retries,
        created_at=record.time("sent_at"),
        updated_at=max((moment for moment in times if moment), default=None),
        error=_error(fields) if state is JobState.FAILED else None,
        run_at=message.eta if message else record.time("eta"),
        native_state=_native(record, phase),
        payload_error=payload_error,
    )


def _payload(record: Record, message: Message | None) -> tuple[Any, str | None]:
    if message is not None:
        return message.payload, message.payload_error
    known = record.arguments
    if known is not None:
        return payload_of(known.get("args"), known.get("kwargs")), None
    args, kwargs = (record.fields.get(name) for name in ("args", "kwargs"))
    if args is None and kwargs is None:
        return None, "The arguments are not known: no event or result told them."
    try:
        # Events show arguments as Python writes them, up to 1024 characters. But their backslashes
        # may be of the text itself: then it cannot be read back.
        if "\\" in f"{args}{kwargs}":
            raise ValueError("ambiguous")
        return payload_of(
            list(ast.literal_eval(args or "()")), ast.literal_eval(kwargs or "{}")
        ), None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return {"args": args, "kwargs": kwargs}, "Only an extract of the arguments is known."


def _error(fields: Mapping[str, str]) -> JobError | None:
    message = fields.get("error")
    return None if message is None else JobError(message, text_or_none(fields.get("trace")))


def _native(record: Record, phase: str) -> str:
    if phase == "failed" and "doubt" in record.fields:
        return "RETRY NOT CONFIRMED"
    if phase == "active":
        started, done = record.time("started_at"), record.time("done_at")
        return "STARTED" if started and (done is None or started > done) else "RECEIVED"
    return {"failed": "FAILURE", "completed": "SUCCESS", "scheduled": "RECEIVED"}.get(
        phase, "PENDING"
    )


def _number(value: str | None) -> int | None:
    return int(value) if value and value.isdigit() else None


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
