"""Exim's main log. It says which address it sends from only with both of these selectors:

log_selector = +incoming_interface +outgoing_interface

Its times are taken for UTC, unless it says otherwise itself: `log_timezone = true`. A letter that
is handed to 127.0.0.1 or ::1 has not left: that is a filter, which gives it back.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from quarterdeck.reputation.mail import (
    MailEvent,
    MailOutcome,
    domain_of,
    find_dsn,
    is_bad_address,
)
from quarterdeck.reputation.mail_ports import LineRefused, find_address
from quarterdeck.reputation.memory import NullSenders

_LINE = re.compile(
    r"^(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?(?: [+-]\d{4})?) (?:\[\d+\] )?"
    r"(?P<id>[0-9A-Za-z]{6}-[0-9A-Za-z]{6,11}-[0-9A-Za-z]{2,4}) "
    r"(?P<flag><=|=>|->|\*\*|==) (?P<rest>.*)$"
)
_OUTCOMES = {
    "=>": MailOutcome.DELIVERED,
    "->": MailOutcome.DELIVERED,
    "**": MailOutcome.BOUNCED,
    "==": MailOutcome.DEFERRED,
}
_INTERFACE = re.compile(r" I=\[([0-9a-fA-F.:]+)\]")
_OF_LETTER = re.compile(
    r"remote mail server after (?!RCPT|pipelined RCPT)|: 4\d\d[ -]|retry timeout exceeded"
)
_REMOTE = re.compile(r" H=\S+ (?!\[(?:127\.0\.0\.1|::1)\])")
_RECIPIENT = re.compile(r"^(?:[^<\s]*\s)?<([^>\s]+)>|^(\S+)")


class EximReader:
    """Reads remote deliveries; remembers which message ids are of null senders."""

    def __init__(self, source: str, memory: NullSenders) -> None:
        self._source = source
        self._null = memory

    def read(self, line: str) -> Sequence[MailEvent]:
        """See `LineReader`."""
        found = _LINE.match(line)
        if found is None:
            return ()
        message_id, flag, rest = found["id"], found["flag"], found["rest"]
        if flag == "<=":
            self._null.note(self._source, message_id, rest.split(" ", 1)[0])
            return ()
        outcome = _OUTCOMES[flag]
        recipient = _RECIPIENT.match(rest)
        # A local delivery has no host.
        if recipient is None or not _REMOTE.search(rest):
            return ()
        whom = recipient[1] or recipient[2]
        dsn = find_dsn(_answer(rest))
        is_bad = is_bad_address(dsn, is_of_recipient=not _OF_LETTER.search(rest))
        interface = _INTERFACE.search(rest)
        return [
            MailEvent(
                at=_moment(found["at"]),
                outcome=outcome,
                ip=find_address(interface[1]) if interface else None,
                message_id=message_id,
                recipient=whom,
                recipient_domain=domain_of(whom),
                pool="exim",
                dsn=dsn,
                is_hard=outcome is MailOutcome.BOUNCED and is_bad,
                is_null_sender=self._null.knows(self._source, message_id),
            )
        ]


def _answer(rest: str) -> str:
    """The other side's words: behind `C=`, or behind the colon of an error."""
    _, marker, quoted = rest.partition(' C="')
    return quoted if marker else rest.partition(": ")[2]


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise LineRefused("its time cannot be read") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
