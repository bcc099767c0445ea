"""PowerMTA's accounting files: CSV, whose first line names the columns.

By default only d and b records are written; `t` and `f` want to be enabled, and `dlvSourceIp` to be
added to the columns of b.
"""

import csv
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from ipaddress import ip_address

from quarterdeck.reputation.mail import (
    MailEvent,
    MailOutcome,
    domain_of,
    find_dsn,
    is_bad_address,
)
from quarterdeck.reputation.mail_ports import LineRefused
from quarterdeck.reputation.model import Address
from quarterdeck.reputation.names import plain

_OUTCOMES = {
    "d": MailOutcome.DELIVERED,
    "b": MailOutcome.BOUNCED,
    "rb": MailOutcome.BOUNCED,
    "t": MailOutcome.DEFERRED,
    "tq": MailOutcome.DEFERRED,
    "f": MailOutcome.COMPLAINED,
}
_BAD_ADDRESS = {"bad-mailbox", "bad-domain", "inactive-mailbox"}


class PowermtaReader:
    """Reads records below a line of column names; a new such line begins anew."""

    def __init__(self) -> None:
        self._names: list[str] = []

    def read(self, line: str) -> Sequence[MailEvent]:
        """See `LineReader`."""
        try:
            values = next(csv.reader([line], strict=True), [])
        except csv.Error as error:
            raise LineRefused(f"it is not CSV: {error}") from None
        if values[:1] == ["type"]:
            self._names = values
            return ()
        if not values:
            return ()
        if not self._names:
            raise LineRefused("the line with the names of the columns is missing before it")
        record = dict(zip(self._names, values, strict=False))
        outcome = _OUTCOMES.get(record["type"])
        return () if outcome is None else [_event(record, outcome)]


def _event(record: Mapping[str, str], outcome: MailOutcome) -> MailEvent:
    recipient = record.get("rcpt", "")
    dsn = find_dsn(record.get("dsnStatus", "")) or find_dsn(record.get("dsnDiag", ""))
    kind = record.get("bounceCat", "")
    is_bad = kind in _BAD_ADDRESS if kind else is_bad_address(dsn)
    sender = record.get("orig", "")
    return MailEvent(
        at=_moment(record.get("timeLogged", "")),
        outcome=outcome,
        ip=_address(record.get("dlvSourceIp", "")),
        message_id=record.get("envId") or record.get("jobId") or f"{sender}",
        recipient=recipient,
        recipient_domain=domain_of(recipient),
        pool=record.get("vmtaPool") or record.get("vmta") or None,
        dsn=dsn,
        is_hard=outcome is MailOutcome.BOUNCED and is_bad,
        is_null_sender="orig" in record and not sender.strip("<> "),
    )


def _address(text: str) -> Address | None:
    try:
        return plain(ip_address(text)) if text else None
    except ValueError:
        return None


def _moment(text: str) -> datetime:
    try:
        if text.isascii() and text.isdigit():
            return datetime.fromtimestamp(int(text), UTC)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        raise LineRefused("timeLogged: give seconds since 1970 or an ISO time") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
