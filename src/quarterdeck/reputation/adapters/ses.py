"""Amazon SES through SNS: the signature of each message is verified with Amazon's certificate.

Only topics that the settings name may post; their subscription is confirmed by calling the address
that Amazon gives, if it is one of Amazon's. A message that is played again counts nothing: SNS
sends again by itself, and an event counts once by the id of its message.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from msgspec import Struct, field

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import InvalidRequest, Unauthenticated
from quarterdeck.net.http import HttpClient
from quarterdeck.reputation.mail import MailEvent, MailOutcome, domain_of
from quarterdeck.reputation.mail_ports import HookKeys, find_address, posted

AMAZON = re.compile(r"^https://sns\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/")
CERTIFICATE = re.compile(AMAZON.pattern + r"SimpleNotificationService-[0-9a-f]+\.pem$")
MOST_CERTIFICATES = 20

_OF_SUBSCRIPTION = (
    "Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type",
)  # fmt: skip
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": _OF_SUBSCRIPTION,
    "UnsubscribeConfirmation": _OF_SUBSCRIPTION,
}
_UNTRIED = "OnAccountSuppressionList"
"""Of bounces and complaints: SES sent nothing, because it knew the recipient."""
_HASHES: dict[str, type[HashAlgorithm]] = {"1": SHA1, "2": SHA256}


class _Recipient(Struct, frozen=True, rename="camel"):
    email_address: str
    status: str = ""


class _Delivery(Struct, frozen=True):
    timestamp: str
    recipients: list[str] = []


class _Bounce(Struct, frozen=True, rename="camel"):
    timestamp: str
    bounce_type: str = ""
    bounce_sub_type: str = ""
    bounced_recipients: list[_Recipient] = []


class _Complaint(Struct, frozen=True, rename="camel"):
    timestamp: str
    complaint_sub_type: str | None = None
    complained_recipients: list[_Recipient] = []


class _Delay(Struct, frozen=True, rename="camel"):
    timestamp: str
    delayed_recipients: list[_Recipient] = []


class _Mail(Struct, frozen=True, rename="camel"):
    message_id: str = ""
    tags: dict[str, list[str]] = {}


class _Event(Struct, frozen=True, rename="camel"):
    mail: _Mail
    event_type: str = ""
    notification_type: str = ""
    delivery: _Delivery | None = None
    bounce: _Bounce | None = None
    complaint: _Complaint | None = None
    delay: _Delay | None = field(name="deliveryDelay", default=None)


class SesHook:
    """Takes SNS messages. Only deliveries name the address; the rest is of the pool."""

    def __init__(self, keys: HookKeys, http: HttpClient, _clock: Clock) -> None:
        self._topics = frozenset(keys.ses_topics)
        self._http = http
        self._certificates: dict[str, RSAPublicKey] = {}

    async def read(self, _headers: Mapping[str, str], body: bytes) -> Sequence[MailEvent]:
        """See `HookReader`."""
        told = posted(body, dict[str, Any])
        message = {name: value for name, value in told.items() if isinstance(value, str)}
        kind = message.get("Type", "")
        if kind not in _SIGNED:
            raise InvalidRequest.of(
                "Type", "it is no message of SNS; leave raw message delivery off", "body"
            )
        await self._require_signature(message, _SIGNED[kind])
        if kind == "SubscriptionConfirmation":
            await self._confirm(message.get("SubscribeURL", ""))
        if kind != "Notification":
            return []
        return _events(message.get("Message", ""), message.get("MessageId", ""))

    async def _require_signature(self, message: Mapping[str, str], names: Sequence[str]) -> None:
        if message.get("TopicArn") not in self._topics:
            raise Unauthenticated(
                "This topic may not post here: add its ARN to reputation.ses_topics."
            )
        text = "".join(f"{name}\n{message[name]}\n" for name in names if message.get(name))
        algorithm = _HASHES.get(message.get("SignatureVersion", ""))
        try:
            if algorithm is None:
                raise InvalidSignature
            key = await self._key(message.get("SigningCertURL", ""))
            signature = b64decode(message.get("Signature", ""), validate=True)
            key.verify(signature, text.encode(), PKCS1v15(), algorithm())
        except (InvalidSignature, binascii.Error, ValueError):
            raise Unauthenticated("The signature is not that of Amazon SNS.") from None

    async def _key(self, url: str) -> RSAPublicKey:
        if not CERTIFICATE.match(url):
            raise InvalidSignature
        known = self._certificates.get(url)
        if known is not None:
            return known
        pem = await self._http.get_bytes(url)
        key = x509.load_pem_x509_certificate(pem).public_key()
        if not isinstance(key, RSAPublicKey):
            raise InvalidSignature
        if len(self._certificates) >= MOST_CERTIFICATES:
            self._certificates.clear()
        self._certificates[url] = key
        return key

    async def _confirm(self, url: str) -> None:
        if not AMAZON.match(url):
            raise InvalidRequest.of("SubscribeURL", "it is none of Amazon's", "body")
        await self._http.get_bytes(url)


def _events(text: str, event_id: str) -> list[MailEvent]:
    try:
        told = msgspec.json.decode(text, type=_Event)
    except msgspec.ValidationError as error:
        if _is_of_ses(text):
            raise InvalidRequest.of("Message", f"it is no event of SES: {error}", "body") from None
        return []
    except (msgspec.DecodeError, RecursionError):
        return []  # such as the words of a successful set-up
    found: list[MailEvent] = []
    for outcome, at, whom, status, is_hard in _told(told):
        found.append(
            MailEvent(
                at=_moment(at),
                outcome=outcome,
                ip=find_address(_tag(told, "ses:outgoing-ip")),
                message_id=told.mail.message_id,
                recipient=whom,
                recipient_domain=domain_of(whom),
                pool=_tag(told, "ses:configuration-set") or "ses",
                dsn=status or None,
                is_hard=is_hard,
                event_id=f"{event_id} {outcome}",
            )
        )
    return found


def _is_of_ses(text: str) -> bool:
    """Whether it should be an event: a topic may carry other things."""
    try:
        told = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return isinstance(told, dict) and "mail" in told


def _tag(event: _Event, name: str) -> str:
    return next(iter(event.mail.tags.get(name, ())), "")


def _told(event: _Event) -> list[tuple[MailOutcome, str, str, str, bool]]:
    """Outcome, time, recipient, status and whether the address is bad."""
    found: list[tuple[MailOutcome, str, str, str, bool]] = []
    if event.delivery:
        at = event.delivery.timestamp
        found += [
            (MailOutcome.DELIVERED, at, whom, "", False) for whom in event.delivery.recipients
        ]
    if event.bounce and event.bounce.bounce_sub_type != _UNTRIED:
        is_hard = event.bounce.bounce_type == "Permanent"
        found += [
            (MailOutcome.BOUNCED, event.bounce.timestamp, each.email_address, each.status, is_hard)
            for each in event.bounce.bounced_recipients
        ]
    if event.complaint and event.complaint.complaint_sub_type != _UNTRIED:
        found += [
            (MailOutcome.COMPLAINED, event.complaint.timestamp, each.email_address, "", False)
            for each in event.complaint.complained_recipients
        ]
    if event.delay:
        found += [
            (MailOutcome.DEFERRED, event.delay.timestamp, each.email_address, each.status, False)
            for each in event.delay.delayed_recipients
        ]
    return found


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidRequest.of("timestamp", "it is no time with its zone", "body")
    return moment
