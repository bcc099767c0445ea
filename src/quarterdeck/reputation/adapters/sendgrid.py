"""SendGrid's event webhook, signed with ECDSA over P-256 (Signed Event Webhook).

A request that is played again counts nothing, as its events count once by their ids; what is older
than SendGrid tries to deliver is refused all the same.
"""

import binascii
from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from msgspec import Struct

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import ConfigError, InvalidRequest, Unauthenticated
from quarterdeck.net.http import HttpClient
from quarterdeck.reputation.mail import (
    MailEvent,
    MailOutcome,
    domain_of,
    is_bad_address,
)
from quarterdeck.reputation.mail_ports import HookKeys, find_address, posted

OLDEST = timedelta(hours=25)
"""SendGrid tries for 24 h, and whether it signs anew each time is documented nowhere."""
_OUTCOMES = {
    "delivered": MailOutcome.DELIVERED,
    "bounce": MailOutcome.BOUNCED,
    "deferred": MailOutcome.DEFERRED,
    "spamreport": MailOutcome.COMPLAINED,
}


class _Event(Struct, frozen=True):
    event: str
    timestamp: float
    email: str = ""
    ip: str = ""
    sg_event_id: str = ""
    sg_message_id: str = ""
    status: str = ""
    type: str = ""
    pool: Any = None


class SendgridHook:
    """Takes batches of events. `ip` is the sending address, but for opens and clicks."""

    def __init__(self, keys: HookKeys, _http: HttpClient, clock: Clock) -> None:
        self._clock = clock
        self._key: EllipticCurvePublicKey | None = None
        if keys.sendgrid_key:
            self._key = _public_key(keys.sendgrid_key)

    async def read(self, headers: Mapping[str, str], body: bytes) -> Sequence[MailEvent]:
        """See `HookReader`."""
        self._require_signature(headers, body)
        events = posted(body, list[_Event])
        return [_mail(each) for each in events if each.event in _OUTCOMES]

    def _require_signature(self, headers: Mapping[str, str], body: bytes) -> None:
        signature = headers.get("x-twilio-email-event-webhook-signature", "")
        stamp = headers.get("x-twilio-email-event-webhook-timestamp", "")
        try:
            if self._key is None:
                raise InvalidSignature
            raw = b64decode(signature, validate=True)
            self._key.verify(raw, stamp.encode() + body, ECDSA(SHA256()))
            age_s = self._clock().timestamp() - int(stamp)
        except (InvalidSignature, binascii.Error, ValueError):
            raise Unauthenticated(
                "The signature is not SendGrid's: set reputation.sendgrid_key to the "
                "verification key of its Signed Event Webhook."
            ) from None
        if abs(age_s) > OLDEST.total_seconds():
            raise Unauthenticated(
                "The request was signed more than a day ago or ahead: see to this server's clock."
            )


def _public_key(text: str) -> EllipticCurvePublicKey:
    try:
        key = load_der_public_key(b64decode(text, validate=True))
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, EllipticCurvePublicKey):
        raise ConfigError(
            "reputation.sendgrid_key: expected the verification key as SendGrid shows it."
        )
    return key


def _mail(event: _Event) -> MailEvent:
    outcome = _OUTCOMES[event.event]
    try:
        at = datetime.fromtimestamp(event.timestamp, UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidRequest.of("timestamp", "give seconds since 1970", "body") from None
    name = event.pool.get("name") if isinstance(event.pool, dict) else event.pool
    return MailEvent(
        at=at,
        outcome=outcome,
        ip=find_address(event.ip),
        message_id=event.sg_message_id,
        recipient=event.email,
        recipient_domain=domain_of(event.email),
        pool=str(name) if name else "sendgrid",
        dsn=event.status or None,
        # A block is about us or the letter, not about the address.
        is_hard=outcome is MailOutcome.BOUNCED
        and event.type != "blocked"
        and is_bad_address(event.status or None),
        event_id=event.sg_event_id,
    )
