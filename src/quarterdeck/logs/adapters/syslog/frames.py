"""A frame of syslog as a line."""

import re
from datetime import datetime

from quarterdeck.logs.adapters.syslog.header import (
    BOM,
    FACILITIES,
    SEVERITIES,
    Header,
    read_header,
    write_frame,
)
from quarterdeck.logs.drafts import Draft
from quarterdeck.logs.levels import Scale
from quarterdeck.logs.model import Level, Line
from quarterdeck.logs.texts import decoded
from quarterdeck.logs.timestamps import Moment, find_moment

ENDS = b"\r\n\x00"
"""What senders put behind a frame."""

FIELDS = ("request_id", "user_id", "tenant_id")

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def read_frame(
    frame: bytes, arrival: datetime, oldest: datetime, peer: str = "", cut: bool = False
) -> Line:
    """The line. Anything is one: what has no header that we know is a message.

    The tag or app name is the service. The metadata: `syslog` (`rfc5424` or `rfc3164`), `facility`,
    `hostname`, `process_id`, `message_id`, `sequence`, structured data as `<element>.<name>`,
    `utc_offset` of a time that is not in UTC, and `peer`, the address that sent it. `original` is
    empty as long as these give back the frame; a byte order mark, line ends behind the frame, and
    the year and zone that RFC 3164 does not have are not looked at.

    Raises:
        LineRejected: it is older than `oldest`.
    """
    frame = frame.rstrip(ENDS)
    text, broken = decoded(frame)
    header, message = read_header(text)
    draft = Draft(arrival, oldest, service=header.app, message=message)
    if broken:
        draft.repaired()
    if cut:
        draft.cut()
    _set_level(draft, header.priority)
    _set_metadata(draft, header, peer)
    draft.changed |= write_frame(header, message) != text.replace(BOM, "", 1)
    if header.time:
        draft.set_moment(_moment(draft, header.time))
    return draft.line(lambda: frame)


def _set_level(draft: Draft, priority: int | None) -> None:
    if priority is None:
        return
    facility, severity = divmod(priority, 8)
    draft.grade(Scale.SYSLOG.find(severity) or Level.INFO, SEVERITIES[severity])
    draft.metadata["facility"] = FACILITIES[facility]


def _set_metadata(draft: Draft, header: Header, peer: str) -> None:
    named = {
        "syslog": header.form,
        "hostname": header.hostname,
        "process_id": header.process_id,
        "message_id": header.message_id,
        "sequence": header.sequence,
        "peer": peer,
    }
    draft.metadata |= {name: value for name, value in named.items() if value}
    for element, name, value in header.data:
        full = f"{element}.{name}" if name else element
        draft.changed |= full in draft.metadata
        draft.note(full, value, element)
        if name in FIELDS and not getattr(draft, name):
            setattr(draft, name, value)


def _moment(draft: Draft, text: str) -> Moment | None:
    moment = find_moment(text, draft.arrival)
    if moment is None:
        return None
    if match := _RFC_3339.fullmatch(text):
        if match[1] not in ("Z", "+00:00"):
            draft.note("utc_offset", match[1], "syslog")
        return Moment(moment.at, exact=True)
    told = f"{moment.at:%b} {moment.at.day:2} {moment.at:%H:%M:%S}"
    return Moment(moment.at, moment.assumed_utc, exact=moment.exact or text == told)
