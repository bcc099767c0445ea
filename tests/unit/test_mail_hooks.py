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
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
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


def hook(name: str, http: HttpClient | None = None, now: datetime = NOW, **keys: Any) -> HookReader:
    reader: HookReader = load(HOOKS[name])(HookKeys(**keys), http or HttpClient(), lambda: now)
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


def untried(event: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    return event | {kind: event[kind] | {name: "OnAccountSuppressionList"}}


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (DELIVERY, [("ok@d.test", D, None, False)]), (BOUNCE, [("no@d.test", B, "5.1.1", True)]),
        (COMPLAINT, [("angry@d.test", C, None, False)]),
        (DELAY, [("la@d.test", L, "4.2.0", False)]), ({"mail": {}}, []), ([], []),
        (untried(BOUNCE, "bounce", "bounceSubType"), []),
        (untried(COMPLAINT, "complaint", "complaintSubType"), []),
    ],
)  # fmt: skip
async def test_ses_events_are_read(version: str, event: Any, expected: Any) -> None:
    amazon = Amazon()
    reader = hook("ses", amazon, ses_topics=[TOPIC])
    body = amazon.signed(version, Message=json.dumps(event), Subject="x")
    assert told(await reader.read({}, body)) == expected


async def test_ses_event_of_another_form_is_refused() -> None:
    amazon = Amazon()
    reader = hook("ses", amazon, ses_topics=[TOPIC])
    with pytest.raises(InvalidRequest):
        await reader.read({}, amazon.signed(Message=json.dumps(DELIVERY | {"delivery": 5})))
    for other in ("Successfully validated SNS topic.", '{"alarm": 1}', "[" * 10_000):
        assert await reader.read({}, amazon.signed(Message=other)) == []


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


async def test_ses_message_without_its_envelope_is_refused() -> None:
    """Raw message delivery has no signature, and would else be answered as if it were taken."""
    reader = hook("ses", ses_topics=[TOPIC])
    for body in (json.dumps(DELIVERY).encode(), b"{}", b'{"Type": ["Notification"]}'):
        with pytest.raises(InvalidRequest) as refused:
            await reader.read({}, body)
        assert "raw message delivery" in refused.value.details[0]["message"]
    with pytest.raises(Unauthenticated):
        await reader.read({}, json.dumps({"Type": "Notification", "TopicArn": TOPIC}).encode())
    with pytest.raises(Unauthenticated):
        await reader.read({}, b'{"Type": "Notification", "TopicArn": [], "Signature": 5}')


async def test_ses_end_of_a_subscription_is_taken_with_a_signature() -> None:
    amazon = Amazon()
    reader = hook("ses", amazon, ses_topics=[TOPIC])
    end = amazon.signed(Type="UnsubscribeConfirmation", Token="t", SubscribeURL="https://x.test/")
    assert await reader.read({}, end) == []
    assert amazon.asked == [CERTIFICATE]
    with pytest.raises(Unauthenticated):
        await reader.read({}, end.replace(b"x.test", b"y.test"))


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


async def test_sendgrid_request_of_another_day_is_refused() -> None:
    sendgrid, body = Sendgrid(), json.dumps(EVENTS).encode()
    for days in (-2, 2):
        reader = hook("sendgrid", now=NOW + timedelta(days=days), sendgrid_key=sendgrid.public)
        with pytest.raises(Unauthenticated, match="clock"):
            await reader.read(sendgrid.headers(body), body)
    reader = hook("sendgrid", sendgrid_key=sendgrid.public)
    # What is signed is both in one: the end of the one is not the begin of the other.
    with pytest.raises(Unauthenticated):
        await reader.read(sendgrid.headers(body[1:], "1795687200["), body[1:])


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


def mailgun(key: str = "s3cret", token: str = "t" * 50, **event: Any) -> bytes:
    signature = hmac.new(key.encode(), f"1795687200{token}".encode(), sha256).hexdigest()
    data = {
        "event": "failed", "severity": "permanent", "timestamp": 1795687200.5, "id": "e1",
        "recipient": "no@d.test", "envelope": {"sending-ip": "192.0.2.7"},
        "delivery-status": {"code": 550, "message": "5.1.1 no such user"},
        "message": {"headers": {"message-id": "m1"}},
    } | event  # fmt: skip
    signed = {"timestamp": "1795687200", "token": token, "signature": signature}
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
        ({"delivery-status": {"code": 550, "message": None}}, [("no@d.test", B, None, True)]),
        ({"delivery-status": {"code": 554, "message": "spam"}}, [("no@d.test", B, None, False)]),
        ({"reason": "old"}, [("no@d.test", B, "5.1.1", False)]),
        ({"reason": "suppress-bounce", "delivery-status": {"code": 605}}, []),
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
    for days in (-2, 2):
        late = hook("mailgun", now=NOW + timedelta(days=days), mailgun_key="s3cret")
        with pytest.raises(Unauthenticated, match="clock"):
            await late.read({}, mailgun())


async def test_mailgun_signature_is_good_for_one_event() -> None:
    reader = hook("mailgun", mailgun_key="s3cret")
    once = await reader.read({}, mailgun())
    assert await reader.read({}, mailgun()) == once
    with pytest.raises(Unauthenticated, match="another event"):
        await reader.read({}, mailgun(recipient="forged@d.test"))


async def test_mailgun_tokens_are_remembered_within_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("quarterdeck.reputation.adapters.mailgun.MOST_TOKENS", 2)
    reader = hook("mailgun", mailgun_key="s3cret")
    for token in "abc":
        await reader.read({}, mailgun(token=token))
    with pytest.raises(Unauthenticated):
        await reader.read({}, mailgun(token="c", recipient="forged@d.test"))
    assert await reader.read({}, mailgun(token="a", recipient="other@d.test"))


async def test_mailgun_event_of_a_subaccount_may_be_signed_by_the_account() -> None:
    reader = hook("mailgun", mailgun_key="s3cret")
    own = json.loads(mailgun("of the subaccount"))
    own["signature"]["parent-signature"] = json.loads(mailgun())["signature"]["signature"]
    assert len(await reader.read({}, json.dumps(own).encode())) == 1


@pytest.mark.parametrize("name", ["ses", "mailgun"])
@pytest.mark.parametrize("body", [b"", b"[]", b"x", b'{"x": "\xff"}', b"[" * 10_000])
async def test_body_that_is_none_is_refused(name: str, body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        await hook(name, mailgun_key="s3cret", ses_topics=[TOPIC]).read({}, body)


async def test_mailgun_event_of_another_form_is_told_only_to_mailgun() -> None:
    reader = hook("mailgun", mailgun_key="s3cret")
    with pytest.raises(InvalidRequest):
        await reader.read({}, mailgun(recipient=5))
    with pytest.raises(Unauthenticated):
        await reader.read({}, mailgun("other key", recipient=5))


def test_keys_are_in_no_repr() -> None:
    keys = HookKeys((TOPIC,), "public-key", "s3cret")
    assert "s3cret" not in repr(keys)
