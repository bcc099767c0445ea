"""Messages as Celery 5 and Kombu write them. Nothing but JSON is ever decoded.

Format: https://docs.celeryq.dev/en/stable/internals/protocol.html
"""

import base64
import binascii
import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

NAMELESS = "sha1-"
"""What stands for the id of a message that tells none: this, and the hash of its bytes."""


@dataclass(frozen=True, slots=True)
class Message:
    """A task that waits. `raw` are its exact bytes."""

    raw: bytes
    id: str
    name: str | None
    retries: int | None
    eta: datetime | None
    payload: Any
    payload_error: str | None


def read_message(raw: bytes) -> Message:
    """A waiting task; one that cannot be read is shown as the text that it is."""
    envelope = _object(raw)
    given = envelope.get("headers")
    headers: dict[str, Any] = given if isinstance(given, dict) else {}
    payload, error = _payload(envelope, headers)
    # The same hash as Redis has, which looks for it.
    digest = hashlib.sha1(raw, usedforsecurity=False).hexdigest()
    retries = headers.get("retries")
    return Message(
        raw=raw,
        id=text_or_none(headers.get("id")) or NAMELESS + digest,
        name=text_or_none(headers.get("task")),
        retries=retries if isinstance(retries, int) else None,
        eta=time_of(headers.get("eta")),
        payload=payload if envelope else raw.decode(errors="replace"),
        payload_error=error,
    )


def hash_of(job_id: str) -> str:
    """The hash of a message that tells no id; empty: it is a task's own id."""
    return job_id.removeprefix(NAMELESS) if job_id.startswith(NAMELESS) else ""


def read_body(raw: bytes) -> Any:
    """The JSON in an envelope; None: there is none."""
    envelope = _object(raw)
    try:
        return msgspec.json.decode(_body(envelope)) if envelope else None
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def read_value(raw: bytes) -> Any:
    """Any JSON; None: it is none."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None


def read_json(raw: bytes | str) -> dict[str, Any]:
    """A JSON object; empty: it is none."""
    return _object(raw)


def payload_of(args: Any, kwargs: Any) -> Any:
    """What is shown of a task: its keyword arguments, with positional ones as `args`."""
    if not args and isinstance(kwargs, dict):
        return kwargs
    return {"args": args, **kwargs} if isinstance(kwargs, dict) else {"args": args}


@dataclass(frozen=True, slots=True)
class Task:
    """All that is needed to send a task: again, and as the first of its tries."""

    id: str
    name: str
    arguments: Mapping[str, Any]
    queue: str

    @property
    def headers(self) -> dict[str, Any]:
        """Those of task protocol 2."""
        args, kwargs = self._arguments
        return {
            "lang": "py", "task": self.name, "id": self.id, "root_id": self.id, "parent_id": None,
            "group": None, "group_index": None, "shadow": None, "eta": None, "expires": None,
            "retries": 0, "timelimit": [None, None], "origin": "quarterdeck",
            "ignore_result": False, "argsrepr": repr(tuple(args))[:1024],
            "kwargsrepr": repr(kwargs)[:1024], "replaced_task_nesting": 0,
            "stamped_headers": None, "stamps": {},
        }  # fmt: skip

    @property
    def body(self) -> list[Any]:
        """Its arguments, and no links to other tasks."""
        return [*self._arguments, dict.fromkeys(("callbacks", "errbacks", "chain", "chord"))]

    @property
    def _arguments(self) -> tuple[list[Any], dict[str, Any]]:
        return self.arguments.get("args") or [], self.arguments.get("kwargs") or {}


def task_message(task: Task) -> bytes:
    """A task as a producer sends it to Redis."""
    properties = {
        "correlation_id": task.id, "reply_to": "",
        "delivery_info": {"exchange": "", "routing_key": task.queue},
    }  # fmt: skip
    return _envelope(task.body, task.headers, properties)


def command(
    method: str,
    arguments: Mapping[str, Any],
    destination: Sequence[str] | None,
    ticket: str,
    reply_to: Mapping[str, str],
) -> dict[str, Any]:
    """A command to workers: `ticket` comes back with their replies, which go to `reply_to`."""
    return {
        "method": method, "arguments": arguments, "destination": destination, "pattern": None,
        "matcher": None, "ticket": ticket, "reply_to": reply_to,
    }  # fmt: skip


def control_message(body: Mapping[str, Any], expires_at: float) -> bytes:
    """A command as it is published on Redis."""
    delivery = {"delivery_info": {"exchange": "celery.pidbox", "routing_key": ""}}
    return _envelope(body, {"clock": 1, "expires": expires_at}, delivery)


def time_of(value: Any) -> datetime | None:
    """A time as Celery writes it: seconds, or ISO 8601, which is UTC where it names no zone."""
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def text_or_none(value: Any) -> str | None:
    """A text that is not empty."""
    return value if isinstance(value, str) and value else None


def _envelope(body: Any, headers: Mapping[str, Any], properties: Mapping[str, Any]) -> bytes:
    given = {
        "body": base64.b64encode(msgspec.json.encode(body)).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": {
            **properties,
            "delivery_mode": 2,
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
        },
    }
    return msgspec.json.encode(given)


def _payload(envelope: Mapping[str, Any], headers: Mapping[str, Any]) -> tuple[Any, str | None]:
    if envelope.get("content-type") != "application/json":
        shown = {"args": headers.get("argsrepr"), "kwargs": headers.get("kwargsrepr")}
        kind = envelope.get("content-type") or "no JSON"
        return shown, f"The arguments are {kind}, which is not decoded here."
    try:
        body = _body(envelope)
    except ValueError:
        return None, "The arguments are not in base64."
    try:
        triple = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        return body.decode(errors="replace"), f"The arguments are not JSON: {error}."
    is_known = isinstance(triple, list) and len(triple) == 3 and isinstance(triple[1], dict)
    if not is_known:
        return body.decode(errors="replace"), "This is no task of Celery's protocol 2."
    return payload_of(triple[0], triple[1]), None


def _body(envelope: Mapping[str, Any]) -> bytes:
    body = envelope.get("body")
    if not isinstance(body, str):
        return msgspec.json.encode(body)
    properties = envelope.get("properties")
    if isinstance(properties, dict) and properties.get("body_encoding") == "base64":
        try:
            return base64.b64decode(body, validate=True)
        except binascii.Error as error:
            raise ValueError("not base64") from error
    return body.encode(errors="replace")


def _object(raw: bytes | str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return {}
    return found if isinstance(found, dict) else {}
