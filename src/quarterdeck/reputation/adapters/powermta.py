"""PowerMTA's accounting files: CSV, whose first line names the columns.

By default only d and b records are written; `t` and `f` want to be enabled, and `dlvSourceIp` to be
added to the columns of b. Without `envId` a letter is known by job, sender and `timeQueued`.
"""

import csv
from collections.abc import Mapping, Sequence
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

_OUTCOMES = {
    "d": MailOutcome.DELIVERED,
    "b": MailOutcome.BOUNCED,
    "rb": MailOutcome.BOUNCED,
    "t": MailOutcome.DEFERRED,
    "f": MailOutcome.COMPLAINED,
}
_BAD_ADDRESS = {"bad-mailbox", "bad-domain", "inactive-mailbox"}


class PowermtaReader:
    """Reads records below a line of column names; a new such line begins anew."""

    def __init__(self, _source: str, _memory: NullSenders) -> None:
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
    if not recipient and outcome is not MailOutcome.COMPLAINED:
        raise LineRefused("rcpt: it is empty or its column is not there")
    dsn = find_dsn(record.get("dsnStatus", "")) or find_dsn(record.get("dsnDiag", ""))
    kind = record.get("bounceCat", "")
    is_bad = kind in _BAD_ADDRESS if kind else is_bad_address(dsn)
    # A complaint or a remote bounce is a letter to us: its sender says nothing of ours.
    is_ours = record["type"] in {"d", "b", "t"}
    return MailEvent(
        at=_moment(record.get("timeLogged", "")),
        outcome=outcome,
        ip=find_address(record.get("dlvSourceIp", "")),
        message_id=record.get("envId") or _letter(record),
        recipient=recipient,
        recipient_domain=domain_of(recipient),
        pool=record.get("vmtaPool") or record.get("vmta") or None,
        dsn=dsn,
        is_hard=outcome is MailOutcome.BOUNCED and is_bad,
        is_null_sender=is_ours and not record.get("orig", "?").strip("<> "),
    )


def _letter(record: Mapping[str, str]) -> str:
    return " ".join(record.get(name, "") for name in ("jobId", "orig", "timeQueued"))


def _moment(text: str) -> datetime:
    try:
        if text.isascii() and text.isdigit():
            return datetime.fromtimestamp(int(text), UTC)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        raise LineRefused("timeLogged: give seconds since 1970 or an ISO time") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
