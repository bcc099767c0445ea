"""Lines and requests on their way to the store: what is taken, refused, and said of it."""

import asyncio
import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from quarterdeck.core.clock import iso_z
from quarterdeck.core.errors import InvalidRequest, NotFound, TooManyRequests
from quarterdeck.facts import Facts
from quarterdeck.net.http import HttpClient
from quarterdeck.reputation import mail_book, mail_intake
from quarterdeck.reputation.mail_book import MailBook
from quarterdeck.reputation.mail_intake import MailIntake, MailReceipt
from quarterdeck.reputation.mail_ports import HookKeys
from quarterdeck.reputation.model import SendingAddress

pytest_plugins = ("facts_fixtures",)

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
OURS = SendingAddress(ip_address("192.0.2.1"))


class Desk:
    """A store, and what takes events for it."""

    def __init__(self, facts: Facts, **keys: Any) -> None:
        self.facts = facts
        self.book = MailBook(facts, b"k", clock=lambda: NOW)
        self.intake = MailIntake(self.book, HookKeys(**keys), HttpClient(), clock=lambda: NOW)

    async def accepted(self) -> int:
        rates = await self.book.rates([OURS], NOW)
        return rates[OURS.address].accepted_24h if rates else 0


@pytest.fixture
def desk(embedded_facts: Facts) -> Desk:
    return Desk(embedded_facts)


def neutral(number: int, **changes: Any) -> dict[str, Any]:
    line = {
        "ts": iso_z(NOW - timedelta(minutes=number)), "event": "delivered", "ip": "192.0.2.1",
        "id": f"m{number}", "rcpt": "jane@x.test",
    }  # fmt: skip
    return line | changes


def counts(receipt: MailReceipt) -> tuple[int, int, int]:
    return receipt.accepted, receipt.passed_over, receipt.rejected


async def test_good_lines_are_kept_and_bad_ones_named_by_where_they_stand(desk: Desk) -> None:
    lines = [json.dumps(neutral(1)), "", "x", json.dumps(neutral(2)), json.dumps({"ts": 1})]
    receipt = await desk.intake.take_lines("neutral", "\r\n".join(lines))
    assert counts(receipt) == (2, 0, 2)
    assert [line for line, _ in receipt.rejections] == [3, 5]
    assert await desk.accepted() == 2


async def test_array_is_taken_and_its_items_are_numbered(desk: Desk) -> None:
    items = [neutral(1), 5, neutral(2)]
    receipt = await desk.intake.take_lines("neutral", " " + json.dumps(items, indent=2))
    assert counts(receipt) == (2, 0, 1)
    assert [line for line, _ in receipt.rejections] == [2]


@pytest.mark.parametrize("away", [timedelta(hours=2), -timedelta(days=91)])
async def test_event_of_a_wrong_time_is_refused(desk: Desk, away: timedelta) -> None:
    wrong = json.dumps(neutral(1, ts=iso_z(NOW + away)))
    receipt = await desk.intake.take_lines("neutral", f"{wrong}\n{json.dumps(neutral(2))}")
    assert counts(receipt) == (1, 0, 1)
    assert str((NOW + away).date()) in receipt.rejections[0][1]


async def test_request_without_one_good_line_is_an_error_that_names_them(desk: Desk) -> None:
    with pytest.raises(InvalidRequest, match="None of the 30 lines") as refused:
        await desk.intake.take_lines("neutral", "x\n" * 30)
    assert len(refused.value.details) == 20
    with pytest.raises(InvalidRequest):
        await desk.intake.take_lines("sendmail", "x")
    assert counts(await desk.intake.take_lines("neutral", "\n\n")) == (0, 0, 0)
    assert counts(await desk.intake.take_lines("postfix", "x\ny")) == (0, 2, 0)


async def test_sources_do_not_mix(desk: Desk) -> None:
    """Queue ids are of their host: the same one elsewhere is another message."""
    at = "2026-11-26T11:00:00+00:00"
    null = f"{at} mta postfix/qmgr[1]: 4F2A00: from=<>, size=3, nrcpt=1 (queue active)"
    sent = (
        f"{at} mta postfix/out-192.0.2.1/smtp[2]: 4F2A00: to=<ok@y.test>, relay=mx[1.2.3.4]:25, "
        "delay=1, dsn=2.0.0, status=sent (250 ok)"
    )
    await desk.intake.take_lines("postfix", null, "a")
    await desk.intake.take_lines("postfix", sent, "a")
    assert await desk.accepted() == 0
    other = Desk(desk.facts)  # the same store, counted anew
    await other.intake.take_lines("postfix", null, "a")
    await other.intake.take_lines("postfix", sent.replace("ok@", "ok2@"), "b")
    assert await other.accepted() == 1


async def test_columns_are_remembered_for_the_sources_that_sent_last(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_intake, "MOST_SOURCES", 2)
    names, line = "type,timeLogged,orig,rcpt,dlvSourceIp", "d,{},a@b.test,x@y.test,192.0.2.1"
    line = line.format(int(NOW.timestamp()) - 60)
    for source in "ab":
        await desk.intake.take_lines("powermta", names, source)
    await desk.intake.take_lines("powermta", line, "a")
    await desk.intake.take_lines("powermta", names, "c")
    assert counts(await desk.intake.take_lines("powermta", line, "a")) == (1, 0, 0)
    with pytest.raises(InvalidRequest, match="names of the columns"):
        await desk.intake.take_lines("powermta", line, "b")


async def test_large_request_is_stored_in_portions_and_others_have_their_turn(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_intake, "AT_ONCE", 10)
    monkeypatch.setattr(mail_intake, "PORTION", 100)
    monkeypatch.setattr(mail_book, "MOST_WAITING", 100)
    lines = [json.dumps(neutral(number % 60, id=str(number))) for number in range(250)]
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    receipt = await desk.intake.take_lines("neutral", "\n".join([*lines, "x"]))
    beside.cancel()
    assert counts(receipt) == (250, 0, 1)
    assert await desk.accepted() == 250
    assert turns >= 25


async def test_lines_of_two_requests_of_a_source_do_not_mix(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_intake, "AT_ONCE", 1)
    at = int(NOW.timestamp()) - 60
    one = "type,timeLogged,rcpt,dlvSourceIp\n" + f"d,{at},a@x.test,192.0.2.1\n" * 5
    two = "type,dlvSourceIp,rcpt,timeLogged\n" + f"d,192.0.2.1,b@x.test,{at}\n" * 5
    receipts = await asyncio.gather(
        *(desk.intake.take_lines("powermta", text, "mta") for text in (one, two))
    )
    assert [counts(each) for each in receipts] == [(5, 1, 0)] * 2


async def test_what_was_not_taken_counts_the_same_when_it_is_sent_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = "2026-11-26T11:00:00+00:00"
    begin = f"{at} mta postfix/qmgr[1]: 4F2A00: from=<>, size=3, nrcpt=1 (queue active)"
    end = (
        f"{at} mta postfix/out-192.0.2.1/smtp[2]: 4F2A00: to=<ok@y.test>, relay=mx[1.2.3.4]:25, "
        f"delay=1, dsn=2.0.0, status=sent (250 ok)\n{at} mta postfix/qmgr[1]: 4F2A00: removed"
    )
    await desk.intake.take_lines("postfix", begin)
    with monkeypatch.context() as patch:
        patch.setattr(mail_book, "MOST_WAITING", 0)
        with pytest.raises(TooManyRequests):
            await desk.intake.take_lines("postfix", end)
    assert counts(await desk.intake.take_lines("postfix", end)) == (1, 1, 0)
    assert await desk.accepted() == 0  # a notice


async def test_provider_is_told_of_events_of_a_wrong_time_and_keeps_the_others(
    embedded_facts: Facts,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    desk = Desk(embedded_facts, sendgrid_key=b64encode(public).decode())
    now = int(NOW.timestamp())
    events = [
        {"event": "delivered", "timestamp": at, "email": f"{at}@x.test", "ip": "192.0.2.1",
         "sg_event_id": str(at), "sg_message_id": "m"}
        for at in (now - 60, now + 86_400, now - 100 * 86_400)
    ]  # fmt: skip
    body = json.dumps(events).encode()
    headers = {
        "x-twilio-email-event-webhook-timestamp": str(now),
        "x-twilio-email-event-webhook-signature": b64encode(
            key.sign(str(now).encode() + body, ec.ECDSA(hashes.SHA256()))
        ).decode(),
    }
    for _ in range(2):
        assert counts(await desk.intake.take_hook("sendgrid", headers, body)) == (1, 0, 2)
    assert await desk.accepted() == 1
    with pytest.raises(NotFound, match="mailgun"):
        await desk.intake.take_hook("none", headers, body)
