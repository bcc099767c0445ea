"""Postfix's own log, by syslog or from a file.

It does not say which address it sends from. So give each address a transport of its own, and say it
in the name that it logs by (master.cf):

    out-7 unix - - n - - smtp -o smtp_bind_address=192.0.2.7 -o syslog_name=postfix/out-192.0.2.7

Any other word there, such as `postfix/bulk/smtp`, is taken for a pool.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.reputation.mail import MailEvent, MailOutcome, domain_of, is_bad_address
from quarterdeck.reputation.mail_ports import LineRefused
from quarterdeck.reputation.memory import NullSenders
from quarterdeck.reputation.model import Address
from quarterdeck.reputation.names import plain

_LINE = re.compile(
    r"^(?:<\d+>)?(?P<at>\d{4}-\d\d-\d\dT\S+|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) \S+ "
    r"(?P<tag>[^\s\[:]+)(?:\[\d+\])?: (?P<id>[0-9A-Za-z]{6,20}): (?P<rest>.*)$"
)
_FROM = re.compile(r"^from=<([^>]*)>")
_TO = re.compile(r"^to=<(?P<to>[^>]*)>.*?, dsn=(?P<dsn>\d\.\d+\.\d+), status=(?P<status>\w+)")
_OUTCOMES = {
    "sent": MailOutcome.DELIVERED,
    "bounced": MailOutcome.BOUNCED,
    "expired": MailOutcome.BOUNCED,
    "deferred": MailOutcome.DEFERRED,
}
_NO_NAMES = {"postfix", "smtp", ""}


class PostfixReader:
    """Reads deliveries of the smtp client; remembers which queue ids are of null senders."""

    def __init__(self, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._null = NullSenders()

    def read(self, line: str) -> Sequence[MailEvent]:
        """See `LineReader`."""
        found = _LINE.match(line)
        if found is None:
            return ()
        tag, message_id, rest = found["tag"], found["id"], found["rest"]
        sender = _FROM.match(rest)
        if sender is not None:
            self._null.note(message_id, sender[1])
        elif rest == "removed":
            self._null.forget(message_id)
        # Only the smtp client speaks with others' servers.
        told = _TO.match(rest) if tag.endswith("/smtp") else None
        outcome = _OUTCOMES.get(told["status"]) if told else None
        if told is None or outcome is None:
            return ()
        address, pool = _sent_from(tag)
        is_hard = outcome is MailOutcome.BOUNCED and is_bad_address(told["dsn"])
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
                is_hard=is_hard and told["status"] != "expired",
                is_null_sender=message_id in self._null,
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
        try:
            return plain(ip_address(name.removeprefix("out-"))), None
        except ValueError:
            return None, name.removeprefix("postfix-")
    return None, "postfix"
