"""Mailgun's webhooks, signed with HMAC-SHA256 over timestamp and token.

The signature does not cover the event. So each token is good for one event only, which may be sent
again; what was seen is forgotten when this server ends, and signatures of more than a day are none.
"""

import hmac
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import msgspec
from msgspec import Struct, field

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import InvalidRequest, Unauthenticated
from quarterdeck.net.http import HttpClient
from quarterdeck.reputation.mail import (
    MailEvent,
    MailOutcome,
    domain_of,
    find_dsn,
    is_bad_address,
)
from quarterdeck.reputation.mail_ports import HookKeys, find_address, posted

OLDEST = timedelta(days=1)
"""Mailgun tries for 8 h."""
MOST_TOKENS = 200_000
"""Some 50 MB. A token that had to be forgotten is good for another event until it is too old."""
_REFUSALS = {550, 551, 553}
"""Replies to the naming of a recipient that say that there is none (RFC 5321, 4.2.3)."""


class _Signature(Struct, frozen=True):
    timestamp: str
    token: str
    signature: str
    parent_signature: str = field(name="parent-signature", default="")
    """With the key of the account that a subaccount belongs to."""


class _Envelope(Struct, frozen=True):
    sending_ip: str = field(name="sending-ip", default="")


class _Status(Struct, frozen=True):
    code: int | None = None
    message: str | None = None
    description: str | None = None
    enhanced_code: str | None = field(name="enhanced-code", default=None)


class _Headers(Struct, frozen=True):
    message_id: str = field(name="message-id", default="")


class _Message(Struct, frozen=True):
    headers: _Headers = _Headers()


class _Event(Struct, frozen=True):
    event: str
    timestamp: float
    id: str = ""
    severity: str | None = None
    reason: str | None = None
    recipient: str = ""
    envelope: _Envelope = _Envelope()
    status: _Status = field(name="delivery-status", default=_Status())
    message: _Message = _Message()


class _Document(Struct, frozen=True):
    signature: _Signature
    event: msgspec.Raw = field(name="event-data")


class MailgunHook:
    """Takes one event a request. What is sent again counts once: it has the same id."""

    def __init__(self, keys: HookKeys, _http: HttpClient, clock: Clock) -> None:
        self._key = keys.mailgun_key.encode()
        self._clock = clock
        self._seen: OrderedDict[str, bytes] = OrderedDict()

    async def read(self, _headers: Mapping[str, str], body: bytes) -> Sequence[MailEvent]:
        """See `HookReader`."""
        document = posted(body, _Document)
        self._require_signature(document.signature)
        event = posted(document.event, _Event)
        self._require_first_use(document.signature.token, bytes(document.event))
        outcome = _outcome(event)
        return [] if outcome is None else [_mail(event, outcome)]

    def _require_signature(self, given: _Signature) -> None:
        said = f"{given.timestamp}{given.token}".encode()
        expected = hmac.new(self._key, said, sha256).hexdigest().encode()
        are_good = [
            hmac.compare_digest(expected, each.encode())
            for each in (given.signature, given.parent_signature)
        ]
        if not self._key or not any(are_good):
            raise Unauthenticated(
                "The signature is not Mailgun's: set reputation.mailgun_key to its HTTP webhook "
                "signing key."
            )
        is_time = given.timestamp.isascii() and given.timestamp.isdigit()
        age_s = self._clock().timestamp() - int(given.timestamp) if is_time else float("inf")
        if abs(age_s) > OLDEST.total_seconds():
            raise Unauthenticated(
                "The request was signed more than a day ago or ahead: see to this server's clock."
            )

    def _require_first_use(self, token: str, event: bytes) -> None:
        """Mailgun sends an event again after our errors, and may do it with the same token."""
        digest = sha256(event).digest()
        if self._seen.setdefault(token, digest) != digest:
            raise Unauthenticated("This signature came with another event already.")
        if len(self._seen) > MOST_TOKENS:
            self._seen.popitem(last=False)


def _outcome(event: _Event) -> MailOutcome | None:
    if event.event == "failed":
        if (event.reason or "").startswith("suppress-"):
            return None  # nothing was sent: Mailgun knew the recipient
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
    words = f"{status.message or ''} {status.description or ''}"
    dsn = status.enhanced_code or find_dsn(words)
    is_bad = is_bad_address(dsn, is_of_recipient=status.code in _REFUSALS)
    return MailEvent(
        at=at,
        outcome=outcome,
        ip=find_address(event.envelope.sending_ip),
        message_id=event.message.headers.message_id,
        recipient=event.recipient,
        recipient_domain=domain_of(event.recipient),
        pool="mailgun",
        dsn=dsn,
        is_hard=outcome is MailOutcome.BOUNCED and event.reason != "old" and is_bad,
        event_id=event.id,
    )
