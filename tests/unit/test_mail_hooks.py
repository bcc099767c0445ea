"""Webhooks of providers: good signatures, and every way to have a bad one."""

import hmac
import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from quarterdeck.core.errors import ConfigError, InvalidRequest, Unauthenticated
from quarterdeck.net.http import HttpClient
from quarterdeck.reputation.adapters import HOOKS, load
from quarterdeck.reputation.mail import MailEvent, MailOutcome
from quarterdeck.reputation.mail_ports import HookKeys, HookReader

D, B, L, C = (
    MailOutcome.DELIVERED,
    MailOutcome.BOUNCED,
    MailOutcome.DEFERRED,
    MailOutcome.COMPLAINED,
)
TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail"
CERTIFICATE = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123abcd.pem"


class Amazon(HttpClient):
    """What Amazon's servers have, by address."""

    def __init__(self) -> None:
        super().__init__()
        self.key = rsa.generate_private_key(65537, 2048)
        self.asked: list[str] = []

    async def get_bytes(self, url: str, *, timeout_s: float = 5, limit: int = 65536) -> bytes:
        self.asked.append(url)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
        now = datetime(2026, 11, 26, tzinfo=UTC)
        certificate = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name)
            .public_key(self.key.public_key()).serial_number(1).not_valid_before(now)
            .not_valid_after(now + timedelta(days=1)).sign(self.key, hashes.SHA256())
        )  # fmt: skip
        return certificate.public_bytes(serialization.Encoding.PEM)

    def signed(self, version: str = "2", **changes: Any) -> bytes:
        message = {
            "Type": "Notification", "MessageId": "n-1", "TopicArn": TOPIC, "Message": "{}",
            "Timestamp": "2026-11-26T10:00:00.000Z", "SignatureVersion": version,
            "SigningCertURL": CERTIFICATE,
        } | changes  # fmt: skip
        names = ["Message", "MessageId"]
        if message["Type"] == "Notification":
            names += ["Subject", "Timestamp", "TopicArn", "Type"]
        else:
            names += ["SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
        text = "".join(f"{name}\n{message[name]}\n" for name in names if name in message)
        algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()
        signature = self.key.sign(text.encode(), padding.PKCS1v15(), algorithm)
        return json.dumps(message | {"Signature": b64encode(signature).decode()}).encode()


def hook(name: str, http: HttpClient | None = None, **keys: Any) -> HookReader:
    reader: HookReader = load(HOOKS[name])(HookKeys(**keys), http or HttpClient())
    return reader


def told(events: Any) -> list[tuple[str, MailOutcome, str | None, bool]]:
    found: list[MailEvent] = list(events)
    return [(each.recipient, each.outcome, each.dsn, each.is_hard) for each in found]


# Amazon SES

DELIVERY = {
    "eventType": "Delivery",
    "mail": {"messageId": "m1", "tags": {"ses:outgoing-ip": ["192.0.2.7"],
                                         "ses:configuration-set": ["bulk"]}},
    "delivery": {"timestamp": "2026-11-26T10:00:00.000Z", "recipients": ["ok@d.test"]},
}  # fmt: skip
BOUNCE = {
    "notificationType": "Bounce", "mail": {"messageId": "m2"},
    "bounce": {
        "bounceType": "Permanent", "timestamp": "2026-11-26T10:00:00.000Z",
        "bouncedRecipients": [{"emailAddress": "no@d.test", "status": "5.1.1"}],
    },
}  # fmt: skip
COMPLAINT = {
    "eventType": "Complaint", "mail": {"messageId": "m3"},
    "complaint": {"timestamp": "2026-11-26T10:00:00.000Z",
                  "complainedRecipients": [{"emailAddress": "angry@d.test"}]},
}  # fmt: skip
DELAY = {
    "eventType": "DeliveryDelay", "mail": {"messageId": "m4"},
    "deliveryDelay": {"timestamp": "2026-11-26T10:00:00.000Z",
                      "delayedRecipients": [{"emailAddress": "la@d.test", "status": "4.2.0"}]},
}  # fmt: skip


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (DELIVERY, [("ok@d.test", D, None, False)]), (BOUNCE, [("no@d.test", B, "5.1.1", True)]),
        (COMPLAINT, [("angry@d.test", C, None, False)]),
        (DELAY, [("la@d.test", L, "4.2.0", False)]), ({"mail": {}}, []), ([], []),
    ],
)  # fmt: skip
async def test_ses_events_are_read(version: str, event: Any, expected: Any) -> None:
    amazon = Amazon()
    reader = hook("ses", amazon, ses_topics=[TOPIC])
    body = amazon.signed(version, Message=json.dumps(event), Subject="x")
    assert told(await reader.read({}, body)) == expected


async def test_ses_names_the_address_where_amazon_does() -> None:
    amazon = Amazon()
    reader = hook("ses", amazon, ses_topics=[TOPIC])
    [event] = await reader.read({}, amazon.signed(Message=json.dumps(DELIVERY)))
    assert (event.ip, event.pool) == (ip_address("192.0.2.7"), "bulk")
    [event] = await reader.read({}, amazon.signed(Message=json.dumps(BOUNCE)))
    assert (event.ip, event.pool) == (None, "ses")
    assert amazon.asked == [CERTIFICATE]  # fetched once


@pytest.mark.parametrize(
    "changes",
    [
        {"TopicArn": "arn:aws:sns:eu-west-1:666:evil"},
        {"SigningCertURL": "https://evil.test/SimpleNotificationService-0123abcd.pem"},
        {"SigningCertURL": "https://sns.x.amazonaws.com.evil.test/SimpleNotificationService-1.pem"},
        {"SigningCertURL": "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem"},
        {"SigningCertURL": "https://sns.x.amazonaws.com/../SimpleNotificationService-1.pem?x"},
        {"SignatureVersion": "3"},
    ],
)  # fmt: skip
async def test_ses_message_from_elsewhere_is_refused(changes: dict[str, str]) -> None:
    amazon = Amazon()
    reader = hook("ses", amazon, ses_topics=[TOPIC])
    with pytest.raises(Unauthenticated):
        await reader.read({}, amazon.signed(**changes))
    assert amazon.asked in ([], [CERTIFICATE])


async def test_ses_message_that_was_changed_is_refused() -> None:
    amazon = Amazon()
    reader = hook("ses", amazon, ses_topics=[TOPIC])
    body = amazon.signed(Message=json.dumps(DELIVERY)).replace(b"ok@d.test", b"ko@d.test")
    with pytest.raises(Unauthenticated):
        await reader.read({}, body)
    with pytest.raises(Unauthenticated):
        await hook("ses", amazon).read({}, amazon.signed())


async def test_ses_subscription_is_confirmed_only_at_amazon() -> None:
    amazon = Amazon()
    reader = hook("ses", amazon, ses_topics=[TOPIC])
    url = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t"
    kind = {"Type": "SubscriptionConfirmation", "Token": "t"}
    assert await reader.read({}, amazon.signed(SubscribeURL=url, **kind)) == []
    assert amazon.asked == [CERTIFICATE, url]
    with pytest.raises(InvalidRequest):
        await reader.read({}, amazon.signed(SubscribeURL="https://evil.test/", **kind))
    assert len(amazon.asked) == 2


# SendGrid

EVENTS = [
    {"event": "delivered", "timestamp": 1795687200, "email": "ok@d.test", "ip": "192.0.2.7",
     "sg_event_id": "e1", "sg_message_id": "m1", "pool": {"name": "bulk", "id": 1}},
    {"event": "bounce", "timestamp": 1795687200, "email": "no@d.test", "ip": "192.0.2.7",
     "sg_event_id": "e2", "sg_message_id": "m2", "status": "5.1.1", "type": "bounce"},
    {"event": "bounce", "timestamp": 1795687200, "email": "bl@d.test", "sg_event_id": "e3",
     "sg_message_id": "m3", "status": "5.1.1", "type": "blocked"},
    {"event": "spamreport", "timestamp": 1795687200, "email": "angry@d.test"},
    {"event": "open", "timestamp": 1795687200, "email": "ok@d.test", "ip": "203.0.113.99"},
]  # fmt: skip


class Sendgrid:
    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())

    @property
    def public(self) -> str:
        der = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return b64encode(der).decode()

    def headers(self, body: bytes, stamp: str = "1795687200") -> Mapping[str, str]:
        signature = self.key.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        return {
            "x-twilio-email-event-webhook-signature": b64encode(signature).decode(),
            "x-twilio-email-event-webhook-timestamp": stamp,
        }


async def test_sendgrid_events_are_read() -> None:
    sendgrid, body = Sendgrid(), json.dumps(EVENTS).encode()
    reader = hook("sendgrid", sendgrid_key=sendgrid.public)
    events = await reader.read(sendgrid.headers(body), body)
    assert told(events) == [
        ("ok@d.test", D, None, False), ("no@d.test", B, "5.1.1", True),
        ("bl@d.test", B, "5.1.1", False), ("angry@d.test", C, None, False),
    ]  # fmt: skip
    assert (events[0].ip, events[0].pool, events[0].event_id) == (
        ip_address("192.0.2.7"), "bulk", "e1"
    )  # fmt: skip


async def test_sendgrid_bad_signatures_are_refused() -> None:
    sendgrid, body = Sendgrid(), json.dumps(EVENTS).encode()
    reader = hook("sendgrid", sendgrid_key=sendgrid.public)
    good = sendgrid.headers(body)
    for headers in (
        {}, Sendgrid().headers(body), {**good, "x-twilio-email-event-webhook-timestamp": "1"},
        {**good, "x-twilio-email-event-webhook-signature": "no base64!"},
    ):  # fmt: skip
        with pytest.raises(Unauthenticated):
            await reader.read(headers, body)
    with pytest.raises(Unauthenticated):
        await reader.read(good, body + b" ")
    with pytest.raises(Unauthenticated, match="sendgrid_key"):
        await hook("sendgrid").read(good, body)


@pytest.mark.parametrize("key", ["x", "bm8ga2V5", "MFkw"])
def test_sendgrid_key_that_is_none_is_refused_at_the_start(key: str) -> None:
    with pytest.raises(ConfigError, match="sendgrid_key"):
        hook("sendgrid", sendgrid_key=key)


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'[{"event": "bounce"}]'])
async def test_sendgrid_body_that_is_none_is_refused(body: bytes) -> None:
    sendgrid = Sendgrid()
    with pytest.raises(InvalidRequest):
        await hook("sendgrid", sendgrid_key=sendgrid.public).read(sendgrid.headers(body), body)


# Mailgun


def mailgun(key: str = "s3cret", **event: Any) -> bytes:
    signature = hmac.new(key.encode(), b"1795687200" + b"t" * 50, sha256).hexdigest()
    data = {
        "event": "failed", "severity": "permanent", "timestamp": 1795687200.5, "id": "e1",
        "recipient": "no@d.test", "envelope": {"sending-ip": "192.0.2.7"},
        "delivery-status": {"code": 550, "message": "5.1.1 no such user"},
        "message": {"headers": {"message-id": "m1"}},
    } | event  # fmt: skip
    signed = {"timestamp": "1795687200", "token": "t" * 50, "signature": signature}
    return json.dumps({"signature": signed, "event-data": data}).encode()


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({}, [("no@d.test", B, "5.1.1", True)]),
        ({"severity": "temporary"}, [("no@d.test", L, "5.1.1", False)]),
        ({"event": "delivered", "delivery-status": {}}, [("no@d.test", D, None, False)]),
        ({"event": "complained", "delivery-status": {}}, [("no@d.test", C, None, False)]),
        ({"delivery-status": {"enhanced-code": "5.7.1"}}, [("no@d.test", B, "5.7.1", False)]),
        ({"event": "opened"}, []),
    ],
)
async def test_mailgun_events_are_read(event: dict[str, Any], expected: Any) -> None:
    events = await hook("mailgun", mailgun_key="s3cret").read({}, mailgun(**event))
    assert told(events) == expected
    assert all(each.ip == ip_address("192.0.2.7") for each in events)


async def test_mailgun_bad_signatures_are_refused() -> None:
    reader = hook("mailgun", mailgun_key="s3cret")
    with pytest.raises(Unauthenticated):
        await reader.read({}, mailgun("another"))
    with pytest.raises(Unauthenticated):
        await reader.read({}, mailgun().replace(b'1795687200"', b'1795687201"'))
    with pytest.raises(Unauthenticated, match="mailgun_key"):
        await hook("mailgun").read({}, mailgun(""))
    with pytest.raises(InvalidRequest):
        await reader.read({}, b"{}")


def test_keys_are_in_no_repr() -> None:
    keys = HookKeys((TOPIC,), "public-key", "s3cret")
    assert "s3cret" not in repr(keys)
