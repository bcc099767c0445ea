"""KumoMTA's log records: a JSON object a line.

Bounces that come back as letters (`OOB`) are passed over: they say neither which address nor which
pool the letter was sent from, nor its id.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from quarterdeck.reputation.mail import (
    MailEvent,
    MailOutcome,
    domain_of,
    is_bad_address,
)
from quarterdeck.reputation.mail_ports import LineRefused, find_address
from quarterdeck.reputation.memory import NullSenders
from quarterdeck.reputation.model import Address

_OUTCOMES = {
    "Delivery": MailOutcome.DELIVERED,
    "Bounce": MailOutcome.BOUNCED,
    "Expiration": MailOutcome.BOUNCED,
    "TransientFailure": MailOutcome.DEFERRED,
    "Feedback": MailOutcome.COMPLAINED,
}
_BAD_ADDRESS = {"InvalidRecipient", "BadDomain", "InactiveMailbox"}
"""Of its own classification of bounces, which knows more than the status."""
_UNCLASSIFIED = (None, "Uncategorized")
"""The second is what it writes as long as no classifier is configured."""


class _Code(Struct, frozen=True):
    class_: int = msgspec.field(name="class")
    subject: int
    detail: int


class _Response(Struct, frozen=True):
    enhanced_code: _Code | None = None
    command: str | None = None


class _Source(Struct, frozen=True):
    address: str = ""


class _Record(Struct, frozen=True):
    type: str
    id: str = ""
    sender: str = ""
    recipient: Any = ""
    timestamp: float | str = 0.0
    response: _Response | None = None
    source_address: _Source | None = None
    egress_pool: str | None = None
    bounce_classification: str | None = None
    feedback_report: dict[str, Any] | None = None


class KumomtaReader:
    """Reads log records; others than those of deliveries are passed over."""

    def __init__(self, _source: str, _memory: NullSenders) -> None:
        pass

    def read(self, line: str) -> Sequence[MailEvent]:
        """See `LineReader`."""
        try:
            record = msgspec.json.decode(line, type=_Record)
        except (msgspec.DecodeError, RecursionError) as error:
            raise LineRefused(f"it is no log record: {error}") from None
        outcome = _OUTCOMES.get(record.type)
        if outcome is None:
            return ()
        return [_event(record, outcome, recipient) for recipient in _recipients(record)]


def _event(record: _Record, outcome: MailOutcome, recipient: str) -> MailEvent:
    code = record.response.enhanced_code if record.response else None
    dsn = f"{code.class_}.{code.subject}.{code.detail}" if code else None
    kind = record.bounce_classification
    if kind in _UNCLASSIFIED:
        command = record.response.command if record.response else None
        is_bad = is_bad_address(dsn, is_of_recipient=(command or "RCPT").startswith("RCPT"))
    else:
        is_bad = kind in _BAD_ADDRESS
    is_hard = outcome is MailOutcome.BOUNCED and record.type != "Expiration" and is_bad
    return MailEvent(
        at=_moment(record.timestamp),
        outcome=outcome,
        ip=_source(record),
        message_id=record.id,
        recipient=recipient,
        recipient_domain=domain_of(recipient),
        pool=record.egress_pool,
        dsn=dsn,
        is_hard=is_hard,
        is_null_sender=not record.sender and outcome is not MailOutcome.COMPLAINED,
    )


def _recipients(record: _Record) -> list[str]:
    found = record.recipient
    if record.feedback_report:
        # The recipient of the record is that of the report: ourselves.
        found = record.feedback_report.get("original_rcpt_to")
    texts = found if isinstance(found, list) else [found]
    return [text for text in texts if isinstance(text, str) and text] or [""]


def _source(record: _Record) -> Address | None:
    text = record.source_address.address if record.source_address else ""
    if record.feedback_report:
        text = str(record.feedback_report.get("source_ip") or text)
    host = text.rpartition(":")[0] if text.count(":") == 1 or "]" in text else text
    return find_address(host.strip("[]"))


def _moment(given: float | str) -> datetime:
    try:
        if isinstance(given, str):
            moment = datetime.fromisoformat(given)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return datetime.fromtimestamp(given, UTC)
    except (ValueError, OverflowError, OSError):
        raise LineRefused("its timestamp cannot be read") from None
