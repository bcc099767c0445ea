"""Mailgun's webhooks, signed with HMAC-SHA256 over timestamp and token."""

import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from ipaddress import ip_address

import msgspec
from msgspec import Struct, field

from quarterdeck.core.errors import InvalidRequest, Unauthenticated
from quarterdeck.net.http import HttpClient
from quarterdeck.reputation.mail import (
    MailEvent,
    MailOutcome,
    domain_of,
    find_dsn,
    is_bad_address,
)
from quarterdeck.reputation.mail_ports import HookKeys
from quarterdeck.reputation.model import Address
from quarterdeck.reputation.names import plain


class _Signature(Struct, frozen=True):
    timestamp: str
    token: str
    signature: str


class _Envelope(Struct, frozen=True):
    sending_ip: str = field(name="sending-ip", default="")


class _Status(Struct, frozen=True):
    message: str = ""
    description: str = ""
    enhanced_code: str = field(name="enhanced-code", default="")


class _Headers(Struct, frozen=True):
    message_id: str = field(name="message-id", default="")


class _Message(Struct, frozen=True):
    headers: _Headers = _Headers()


class _Event(Struct, frozen=True):
    event: str
    timestamp: float
    id: str = ""
    severity: str = ""
    recipient: str = ""
    envelope: _Envelope = _Envelope()
    status: _Status = field(name="delivery-status", default=_Status())
    message: _Message = _Message()


class _Document(Struct, frozen=True):
    signature: _Signature
    event: _Event = field(name="event-data")


class MailgunHook:
    """Takes one event a request. What is sent again counts once: it has the same id."""

    def __init__(self, keys: HookKeys, _http: HttpClient) -> None:
        self._key = keys.mailgun_key.encode()

    async def read(self, _headers: Mapping[str, str], body: bytes) -> Sequence[MailEvent]:
        """See `HookReader`."""
        try:
            document = msgspec.json.decode(body, type=_Document)
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidRequest.of("body", f"it is no event: {error}", "body") from None
        self._require_signature(document.signature)
        outcome = _outcome(document.event)
        return [] if outcome is None else [_mail(document.event, outcome)]

    def _require_signature(self, given: _Signature) -> None:
        said = f"{given.timestamp}{given.token}".encode()
        expected = hmac.new(self._key, said, sha256).hexdigest()
        if not self._key or not hmac.compare_digest(expected.encode(), given.signature.encode()):
            raise Unauthenticated(
                "The signature is not Mailgun's: set reputation.mailgun_key to its HTTP webhook "
                "signing key."
            )


def _outcome(event: _Event) -> MailOutcome | None:
    if event.event == "failed":
        is_final = event.severity == "permanent"
        return MailOutcome.BOUNCED if is_final else MailOutcome.DEFERRED
    return {"delivered": MailOutcome.DELIVERED, "complained": MailOutcome.COMPLAINED}.get(
        event.event
    )


def _mail(event: _Event, outcome: MailOutcome) -> MailEvent:
    try:
        at = datetime.fromtimestamp(event.timestamp, UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidRequest.of("timestamp", "give seconds since 1970", "body") from None
    status = event.status
    dsn = status.enhanced_code or find_dsn(status.message) or find_dsn(status.description)
    return MailEvent(
        at=at,
        outcome=outcome,
        ip=_address(event.envelope.sending_ip),
        message_id=event.message.headers.message_id,
        recipient=event.recipient,
        recipient_domain=domain_of(event.recipient),
        pool="mailgun",
        dsn=dsn or None,
        is_hard=outcome is MailOutcome.BOUNCED and is_bad_address(dsn or None),
        event_id=event.id,
    )


def _address(text: str) -> Address | None:
    try:
        return plain(ip_address(text)) if text else None
    except ValueError:
        return None
