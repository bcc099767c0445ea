"""Our own form, for whoever can write a line of JSON.

{"ts": "2026-11-26T10:00:00Z", "event": "bounced", "ip": "203.0.113.12", "id": "4F2A",
 "rcpt": "jane@example.org", "dsn": "5.1.1"}
"""

from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_address
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from quarterdeck.reputation.mail import MailEvent, MailOutcome, domain_of, is_bad_address
from quarterdeck.reputation.mail_ports import LineRefused
from quarterdeck.reputation.model import Address
from quarterdeck.reputation.names import plain

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

    def read(self, line: str) -> Sequence[MailEvent]:
        """See `LineReader`."""
        try:
            told = msgspec.json.decode(line, type=NeutralLine)
        except (msgspec.DecodeError, RecursionError) as error:
            text = str(error) or "it is nested too deeply"
            raise LineRefused(text[0].lower() + text[1:]) from None
        return [self.event(told)]

    def event(self, told: NeutralLine) -> MailEvent:
        """What a line says."""
        if told.ts.tzinfo is None:
            raise LineRefused("ts: give its offset or Z")
        if not told.ip and not told.pool:
            raise LineRefused("ip: say where it was sent from, or name a pool")
        if not told.rcpt and not told.rcpt_domain:
            raise LineRefused("rcpt: say whom it was for, or name rcpt_domain")
        is_bounce = told.event is MailOutcome.BOUNCED
        is_bad = is_bad_address(told.dsn or None) if told.hard is None else told.hard
        return MailEvent(
            at=told.ts,
            outcome=told.event,
            ip=_address(told.ip),
            message_id=told.id,
            recipient=told.rcpt,
            recipient_domain=told.rcpt_domain or domain_of(told.rcpt),
            pool=told.pool or None,
            dsn=told.dsn or None,
            is_hard=is_bounce and is_bad,
            is_null_sender=told.null_sender,
            event_id=told.event_id,
        )


def _address(text: str) -> Address | None:
    try:
        return plain(ip_address(text)) if text else None
    except ValueError:
        raise LineRefused("ip: give an IPv4 or IPv6 address") from None
