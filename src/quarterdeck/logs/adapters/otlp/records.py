"""A log record of OpenTelemetry, however it was encoded, as a line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from quarterdeck.logs.drafts import Draft, LineRejected
from quarterdeck.logs.levels import Scale
from quarterdeck.logs.model import Line
from quarterdeck.logs.objects import encode
from quarterdeck.logs.timestamps import Moment, moment_of_ns

Pairs = Sequence[tuple[str, object]]

FIELDS = {"request_id": "request_id", "user_id": "user_id", "tenant_id": "tenant_id"}
"""Attributes that are fields of a line."""

COPIED = {
    "request.id": "request_id", "http.request.id": "request_id",
    "enduser.id": "user_id", "user.id": "user_id",
    "tenant.id": "tenant_id", "organization.id": "tenant_id",
}  # fmt: skip
"""Attributes that fill a field where the one of its name is missing, and stay what they are."""

RENAMED = {
    "exception.type": "error_type",
    "exception.message": "error_message",
    "exception.stacktrace": "stack_trace",
}


@dataclass(slots=True)
class Origin:
    """The resource and the scope that records share."""

    service: str = ""
    metadata: dict[str, object] = field(default_factory=dict)
    repaired: bool = False

    def add(self, prefix: str, pairs: Pairs) -> None:
        """Take attributes of the resource or scope."""
        for name, value in pairs:
            if prefix == "resource" and name == "service.name" and isinstance(value, str):
                self.service = self.service or value
                continue
            full = f"{prefix}.{name}"
            while full in self.metadata:
                full = f"{prefix}.{full}"
            self.metadata[full] = value


@dataclass(slots=True)
class Record:
    """One log record. Zero and empty text: it has no such thing."""

    origin: Origin
    original: Callable[[], str]
    time_ns: int = 0
    observed_ns: int = 0
    severity_number: int = 0
    severity_text: str = ""
    body: object = None
    body_is_text: bool = True
    attributes: Pairs = ()
    details: Pairs = ()
    """Whatever else it says, by the name that it gets in the metadata."""
    repaired: bool = False
    changed: bool = False
    """It said something that has no place here."""


def line_of(record: Record, arrival: datetime, oldest: datetime) -> Line:
    """The line.

    Raises:
        LineRejected: it says nothing, or is older than `oldest`.
    """
    draft = Draft(arrival, oldest, service=record.origin.service, changed=record.changed)
    if record.repaired or record.origin.repaired:
        draft.repaired()
    _set_time(draft, record)
    _set_level(draft, record)
    _set_message(draft, record)
    for name, value in record.details:
        if value:
            draft.note(name, value, "record")
    _take_attributes(draft, record.attributes)
    for name, value in record.origin.metadata.items():
        draft.note(name, value, "origin")
    if record.body is None and not draft.metadata:
        raise LineRejected("it has neither a body nor attributes")
    return draft.line(record.original)


def _set_time(draft: Draft, record: Record) -> None:
    nanoseconds = record.time_ns or record.observed_ns
    if record.observed_ns:
        draft.note("observed_time_unix_nano", str(record.observed_ns), "record")
    if not nanoseconds:
        return
    moment = moment_of_ns(nanoseconds)
    if record.time_ns and not moment.exact:
        draft.note("time_unix_nano", str(record.time_ns), "record")
    draft.set_moment(Moment(moment.at, exact=True))


def _set_level(draft: Draft, record: Record) -> None:
    number, text = record.severity_number, record.severity_text
    if number:
        draft.note("severity_number", number, "record")
    level = Scale.OTLP.find(number)
    if level is not None:
        draft.grade(level, text or level)
    elif text:
        draft.set_level(text)
    elif number:
        draft.set_level(str(number), Scale.OTLP)


def _set_message(draft: Draft, record: Record) -> None:
    if isinstance(record.body, str):
        draft.message = record.body
    elif record.body is not None:
        draft.message = encode(record.body).decode()
    draft.changed |= record.body is not None and not record.body_is_text


def _take_attributes(draft: Draft, attributes: Pairs) -> None:
    for name, value in attributes:
        if name in FIELDS and isinstance(value, str) and not getattr(draft, name):
            setattr(draft, name, value)
        else:
            draft.note(RENAMED.get(name, name), value, "attributes")
    for name, target in COPIED.items():
        value = draft.metadata.get(name)
        if isinstance(value, str | int) and not getattr(draft, target):
            setattr(draft, target, str(value))
    if not draft.service and isinstance(name_ := draft.metadata.get("service.name"), str):
        draft.service = name_
