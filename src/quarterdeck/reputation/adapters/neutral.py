"""Our own form, for whoever can write a line of JSON.

{"ts": "2026-11-26T10:00:00Z", "event": "bounced", "ip": "203.0.113.12", "id": "4F2A",
 "rcpt": "jane@example.org", "dsn": "5.1.1"}

Who cannot say `rcpt` gives `rcpt_domain`, and an `event_id` where a letter has several recipients
at one domain: they are told apart by nothing else.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.reputation.mail import (
    MailEvent,
    MailOutcome,
    domain_of,
    is_bad_address,
)
from quarterdeck.reputation.mail_ports import LineRefused, find_address
from quarterdeck.reputation.memory import NullSenders

Text = Annotated[str, Meta(max_length=1000)]


class NeutralLine(Struct, frozen=True, forbid_unknown_fields=True):
    """A line. `ip` or `pool` says where it was sent from, `rcpt` or `rcpt_domain` where to."""

    ts: datetime
    event: MailOutcome
    id: Text
    ip: Text = ""
    pool: Text = ""
    rcpt: Text = ""
    rcpt_domain: Text = ""
    dsn: Annotated[str, Meta(pattern=r"^$|^[245]\.\d{1,3}\.\d{1,3}$")] = ""
    hard: bool | None = None
    """Of a bounce: the address is bad. Left out, `dsn` says it."""
    null_sender: bool = False
    event_id: Text = ""


class NeutralReader:
    """Reads our own form."""

    def __init__(self, _source: str, _memory: NullSenders) -> None:
        pass

    def read(self, line: str) -> Sequence[MailEvent]:
        """See `LineReader`."""
        try:
            told = msgspec.json.decode(line, type=NeutralLine)
        except (msgspec.DecodeError, RecursionError) as error:
            text = str(error) or "it is nested too deeply"
            raise LineRefused(text[0].lower() + text[1:]) from None
        return [_event(told)]


def lines_of(text: str, *, is_json: bool) -> Sequence[str]:
    """The lines of a text; of JSON also the items of an array, each as a line.

    Raises:
        InvalidRequest: it begins as an array, and is none.
    """
    if is_json and text.lstrip()[:1] == "[":
        try:
            items = msgspec.json.decode(text, type=list[msgspec.Raw])
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidRequest.of("body", f"it is no JSON array: {error}", "body") from None
        return [bytes(item).decode() for item in items]
    return [line.rstrip("\r") for line in text.split("\n")]


def _event(told: NeutralLine) -> MailEvent:
    if told.ts.tzinfo is None:
        raise LineRefused("ts: give its offset or Z")
    if not told.ip and not told.pool:
        raise LineRefused("ip: say where it was sent from, or name a pool")
    address = find_address(told.ip)
    if told.ip and address is None:
        raise LineRefused("ip: give an IPv4 or IPv6 address")
    if not told.rcpt and not told.rcpt_domain:
        raise LineRefused("rcpt: say whom it was for, or name rcpt_domain")
    is_bounce = told.event is MailOutcome.BOUNCED
    is_bad = is_bad_address(told.dsn or None) if told.hard is None else told.hard
    return MailEvent(
        at=told.ts,
        outcome=told.event,
        ip=address,
        message_id=told.id,
        recipient=told.rcpt,
        recipient_domain=told.rcpt_domain or domain_of(told.rcpt),
        pool=told.pool or None,
        dsn=told.dsn or None,
        is_hard=is_bounce and is_bad,
        is_null_sender=told.null_sender,
        event_id=told.event_id,
    )
