"""KumoMTA's log records: a JSON object a line."""

from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

import msgspec
from msgspec import Struct

from quarterdeck.reputation.mail import MailEvent, MailOutcome, domain_of, is_bad_address
from quarterdeck.reputation.mail_ports import LineRefused
from quarterdeck.reputation.model import Address
from quarterdeck.reputation.names import plain

_OUTCOMES = {
    "Delivery": MailOutcome.DELIVERED,
    "Bounce": MailOutcome.BOUNCED,
    "OOB": MailOutcome.BOUNCED,
    "Expiration": MailOutcome.BOUNCED,
    "TransientFailure": MailOutcome.DEFERRED,
    "Feedback": MailOutcome.COMPLAINED,
}
_BAD_ADDRESS = {"InvalidRecipient", "BadDomain", "InactiveMailbox"}
"""Of its own classification of bounces, which knows more than the status."""


class _Code(Struct, frozen=True):
    class_: int = msgspec.field(name="class")
    subject: int
    detail: int


class _Response(Struct, frozen=True):
    enhanced_code: _Code | None = None


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
    bounce_classification: Any = None
    feedback_report: dict[str, Any] | None = None


class KumomtaReader:
    """Reads log records; others than those of deliveries are passed over."""

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
    is_bad = kind in _BAD_ADDRESS if isinstance(kind, str) else is_bad_address(dsn)
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
        found = record.feedback_report.get("original_rcpt_to") or found
    texts = found if isinstance(found, list) else [found]
    return [text for text in texts if isinstance(text, str) and text] or [""]


def _source(record: _Record) -> Address | None:
    text = record.source_address.address if record.source_address else ""
    if record.feedback_report:
        text = str(record.feedback_report.get("source_ip") or text)
    host = text.rpartition(":")[0] if text.count(":") == 1 or "]" in text else text
    try:
        return plain(ip_address(host.strip("[]"))) if host else None
    except ValueError:
        return None


def _moment(given: float | str) -> datetime:
    try:
        if isinstance(given, str):
            moment = datetime.fromisoformat(given)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return datetime.fromtimestamp(given, UTC)
    except (ValueError, OverflowError, OSError):
        raise LineRefused("its timestamp cannot be read") from None
