"""What stands before the message: RFC 5424's header, and the many forms of RFC 3164's."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
)  # fmt: skip
SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")

BOM = "\ufeff"
NIL = "-"

_PRI = re.compile(r"<(\d{1,3})>", re.ASCII)
_RFC_5424 = re.compile(r"1 ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+)(?: |$)")
_ELEMENT = re.compile(r'\[([^\s=\]"]+)((?: [^\s=\]"]+="(?:[^"\\]|\\.)*")*)\]', re.DOTALL)
_PARAM = re.compile(r' ([^\s=\]"]+)="((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\\]])')
_TO_ESCAPE = re.compile(r'["\\\]]')

# Cisco counts its messages, puts `*` before a clock that nobody set, and `:` behind the time.
_TIME = re.compile(
    r"(?:(?P<sequence>\d{1,10}): )?[*.]?"
    r"(?P<time>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d 20\d\d(?= )"
    r"|[A-Z][a-z]{2} [ \d]\d (?:\d{4} )?\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: [A-Z]{3,4}(?=:))?"
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)"
    r"(?P<cisco>:)?(?: |$)",
    re.ASCII,
)
_TAG = re.compile(r"([^\s:\[\]]{1,256})(?:\[([^\]\s]*)\](?::|(?= ))|:)(?: |$)")


@dataclass(slots=True)
class Header:
    """What a frame says beside its message. Empty text: it has no such thing."""

    form: str = ""
    """`rfc5424`, `rfc3164`, or empty: the whole frame is the message."""
    priority: int | None = None
    time: str = ""
    hostname: str = ""
    app: str = ""
    process_id: str = ""
    message_id: str = ""
    sequence: str = ""
    data: Sequence[tuple[str, str, str]] = field(default_factory=list)
    """Element, name and value of structured data; an element without any has empty ones."""


def read_header(frame: str) -> tuple[Header, str]:
    """The header and the message. What looks like no header is the message."""
    header = Header()
    rest = frame
    if (match := _PRI.match(frame)) and int(match[1]) < len(FACILITIES) * 8:
        header.priority = int(match[1])
        rest = frame[match.end() :]
        if fields := _RFC_5424.match(rest):
            return _read_5424(header, fields, rest)
    return _read_3164(header, rest)


def _read_5424(header: Header, fields: re.Match[str], rest: str) -> tuple[Header, str]:
    values = [("" if value == NIL else value) for value in fields.groups()]
    header.form = "rfc5424"
    header.time, header.hostname, header.app, header.process_id, header.message_id = values
    rest = rest[fields.end() :]
    if rest.startswith(NIL):
        rest = rest[1:]
    else:
        header.data, end = _read_data(rest)
        rest = rest[end:]
    return header, rest.removeprefix(" ").removeprefix(BOM)


def _read_data(text: str) -> tuple[list[tuple[str, str, str]], int]:
    data: list[tuple[str, str, str]] = []
    at = 0
    while match := _ELEMENT.match(text, at):
        element, params = match.groups()
        pairs = [(p[1], _ESCAPED.sub(r"\1", p[2])) for p in _PARAM.finditer(params)]
        data += [(element, name, value) for name, value in pairs or [("", "")]]
        at = match.end()
    return data, at


def _read_3164(header: Header, rest: str) -> tuple[Header, str]:
    time = _TIME.match(rest)
    if time is None and header.priority is None:
        return header, rest
    header.form = "rfc3164"
    if time is not None:
        header.time, header.sequence = time["time"], time["sequence"] or ""
        rest = rest[time.end() :]
        if time["cisco"]:
            return header, rest
        if not _TAG.match(rest):
            header.hostname, _, rest = rest.partition(" ")
    if tag := _TAG.match(rest):
        header.app, header.process_id = tag[1], tag[2] or ""
        rest = rest[tag.end() :]
    return header, rest


def write_frame(header: Header, message: str) -> str:
    """The frame that says the same: where it is the one that came, the header lost nothing."""
    priority = "" if header.priority is None else f"<{header.priority}>"
    if header.form == "rfc5424":
        fields = (header.time, header.hostname, header.app, header.process_id, header.message_id)
        shown = " ".join(value or NIL for value in fields)
        return f"{priority}1 {shown} {_write_data(header.data)}{' ' if message else ''}{message}"
    process = f"[{header.process_id}]" if header.process_id else ""
    tag = f"{header.app}{process}:" if header.app else ""
    parts = (header.time, header.hostname, tag, message)
    return priority + " ".join(part for part in parts if part)


def _write_data(data: Sequence[tuple[str, str, str]]) -> str:
    text, last = "", ""
    for element, name, value in data:
        if element != last:
            text += f"{']' if last else ''}[{element}"
        if name:
            escaped = _TO_ESCAPE.sub(lambda m: "\\" + m[0], value)
            text += f' {name}="{escaped}"'
        last = element
    return f"{text}]" if text else NIL
