"""An entry of a stream, however it was encoded, as a line."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from quarterdeck.logs.drafts import Draft
from quarterdeck.logs.model import Line
from quarterdeck.logs.timestamps import Moment, find_moment, moment_of_ns

Pairs = Sequence[tuple[str, object]]
"""Names and values; a value that is no text, which is against Loki's rules, is its JSON text."""

SERVICE = ("service_name", "service", "app", "job")
LEVEL = ("level", "detected_level", "severity")
FIELDS = {"request_id", "user_id", "tenant_id"}

_LABEL = re.compile(
    r'\s*([A-Za-z_:][\w:.]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`)\s*(?:,|$)', re.DOTALL
)
_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL
)
_PLAIN = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_PLAIN |= {character: character for character in "\\\"'"}
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(slots=True)
class Entry:
    """One line of a stream."""

    labels: Pairs
    line: str
    time: int | str
    """Nanoseconds since 1970, 0 for none; or a text."""
    structured: Pairs
    original: Callable[[], str]
    repaired: bool = False


def line_of(entry: Entry, arrival: datetime, oldest: datetime) -> Line:
    """The line.

    Raises:
        LineRejected: it is older than `oldest`.
    """
    draft = Draft(arrival, oldest, message=entry.line)
    if entry.repaired:
        draft.repaired()
    _set_time(draft, entry.time)
    for prefix, pairs in (("labels", entry.labels), ("structured_metadata", entry.structured)):
        for name, value in pairs:
            if name in FIELDS and isinstance(value, str) and not getattr(draft, name):
                setattr(draft, name, value)
            else:
                draft.note(name, value, prefix)
    draft.service = _first(draft, SERVICE)
    if level := _first(draft, LEVEL):
        draft.set_level(level)
    return draft.line(entry.original)


def _set_time(draft: Draft, time: int | str) -> None:
    if isinstance(time, str):
        draft.set_moment(find_moment(time, draft.arrival))
    elif time:
        moment = moment_of_ns(time)
        if not moment.exact:
            draft.note("time_unix_nano", str(time), "labels")
        draft.set_moment(Moment(moment.at, exact=True))


def _first(draft: Draft, names: Sequence[str]) -> str:
    """The value of the first of these; that one is no metadata if it is called like the field."""
    for name in names:
        value = draft.metadata.get(name)
        if value and isinstance(value, str):
            if name == names[0]:
                del draft.metadata[name]
            return value
    return ""


def read_labels(text: str) -> Pairs:
    """`{a="b", c="d"}`; what is no such text becomes a label `labels`, so that nothing is lost."""
    inner = text.strip()
    if not inner:
        return []
    whole: Pairs = [("labels", text)]
    if inner[0] != "{" or inner[-1] != "}":
        return whole
    inner = inner[1:-1].rstrip()
    pairs: list[tuple[str, object]] = []
    at = 0
    while at < len(inner):
        match = _LABEL.match(inner, at)
        if match is None:
            return whole
        pairs.append((match[1], _unquoted(match[2]) if match[3] is None else match[3]))
        at = match.end()
    return pairs


def _unquoted(text: str) -> str:
    """A text as Go quotes it."""
    if "\\" not in text:
        return text
    return _SURROGATE.sub("\ufffd", _ESCAPE.sub(_character, text))


def _character(match: re.Match[str]) -> str:
    if match[5] is not None:
        return _PLAIN.get(match[5], match[0])
    octal = match[4]
    code = int(octal, 8) if octal else int(match[1] or match[2] or match[3], 16)
    return chr(code) if code < 0x110000 else "\ufffd"
