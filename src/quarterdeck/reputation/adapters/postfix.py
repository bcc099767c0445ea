"""Postfix's own log, by syslog or from a file.

It does not say which address it sends from. So give each address a transport of its own, and say it
in the name that it logs by (master.cf):

    out-7 unix - - n - - smtp -o smtp_bind_address=192.0.2.7 -o syslog_name=postfix/out-192.0.2.7

Of an IPv6 address the colons may be dashes, `postfix/out-2001-db8--7`: syslog takes a colon for the
end of a name. Any other word there, such as `postfix/bulk/smtp`, is taken for a pool.

A letter that is handed to 127.0.0.1 or ::1 has not left: that is a filter, which gives it back.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.reputation.mail import (
    MailEvent,
    MailOutcome,
    domain_of,
    is_bad_address,
)
from quarterdeck.reputation.mail_ports import LineRefused, find_address
from quarterdeck.reputation.memory import NullSenders
from quarterdeck.reputation.model import Address

_LINE = re.compile(
    r"^(?:<\d+>)?(?P<at>\d{4}-\d\d-\d\dT\S+|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) \S+ "
    r"(?P<tag>\S+?)(?:\[\d+\])?: (?P<id>[0-9A-Za-z]{6,20}): (?P<rest>.*)$"
)
_FROM = re.compile(r"^from=<([^>]*)>")
_TO = re.compile(r"^to=<(?P<to>[^>]*)>.*?, dsn=(?P<dsn>\d\.\d+\.\d+), status=(?P<status>\w+)")
_TO_FILTER = re.compile(r", relay=\S*\[(?:127\.0\.0\.1|::1)\]")
_OF_LETTER = re.compile(r"\(in reply to (?!RCPT TO)")
_OUTCOMES = {
    "sent": MailOutcome.DELIVERED,
    "bounced": MailOutcome.BOUNCED,
    "expired": MailOutcome.BOUNCED,
    "deferred": MailOutcome.DEFERRED,
}
_NO_NAMES = {"postfix", "smtp", ""}


class PostfixReader:
    """Reads deliveries of the smtp client; remembers which queue ids are of null senders."""

    def __init__(self, source: str, memory: NullSenders, clock: Clock = utc_now) -> None:
        self._source = source
        self._null = memory
        self._clock = clock

    def read(self, line: str) -> Sequence[MailEvent]:
        """See `LineReader`."""
        found = _LINE.match(line)
        if found is None:
            return ()
        tag, message_id, rest = found["tag"], found["id"], found["rest"]
        sender = _FROM.match(rest)
        if sender is not None:
            self._null.note(self._source, message_id, sender[1])
        # Only the smtp client speaks with others' servers.
        told = _TO.match(rest) if tag.endswith("/smtp") else None
        outcome = _OUTCOMES.get(told["status"]) if told else None
        if told is None or outcome is None or _TO_FILTER.search(rest):
            return ()
        address, pool = _sent_from(tag)
        is_bad = is_bad_address(told["dsn"], is_of_recipient=not _OF_LETTER.search(rest))
        return [
            MailEvent(
                at=moment_of(found["at"], self._clock()),
                outcome=outcome,
                ip=address,
                message_id=message_id,
                recipient=told["to"],
                recipient_domain=domain_of(told["to"]),
                pool=pool,
                dsn=told["dsn"],
                is_hard=told["status"] == "bounced" and is_bad,
                is_null_sender=self._null.knows(self._source, message_id),
            )
        ]


def moment_of(text: str, now: datetime) -> datetime:
    """A time as syslog writes it; one without a year is of the last year, and in UTC.

    Raises:
        LineRefused: it is none.
    """
    try:
        if text[0].isdigit():
            moment = datetime.fromisoformat(text)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        for year in (now.year, now.year - 1, now.year - 2):
            try:
                moment = datetime.strptime(f"{year} {text} +0000", "%Y %b %d %H:%M:%S %z")
            except ValueError:
                continue  # 29 February of another year
            if moment <= now + timedelta(days=1):
                return moment
    except ValueError:
        pass
    raise LineRefused("its time cannot be read")


def _sent_from(tag: str) -> tuple[Address | None, str | None]:
    for name in tag.split("/"):
        if name in _NO_NAMES:
            continue
        given = name.removeprefix("out-")
        address = find_address(given) or find_address(given.replace("-", ":"))
        return address, None if address else name.removeprefix("postfix-")
    return None, "postfix"
