"""Lines of mail servers: as they are documented, and mangled in every way."""

import json
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.reputation.adapters import LINES, line_reader
from quarterdeck.reputation.adapters.postfix import PostfixReader, moment_of
from quarterdeck.reputation.mail import MailEvent, MailOutcome, find_dsn, is_bad_address
from quarterdeck.reputation.mail_ports import LineRefused
from quarterdeck.reputation.memory import NullSenders

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
D, B, L, C = (
    MailOutcome.DELIVERED,
    MailOutcome.BOUNCED,
    MailOutcome.DEFERRED,
    MailOutcome.COMPLAINED,
)

POSTFIX = (
    "Nov 26 10:00:00 mta postfix/qmgr[7]: C91672584D4: from=<news@a.test>, size=3, nrcpt=2 (queue)",
    "Nov 26 10:00:01 mta postfix/out-192.0.2.7/smtp[26031]: C91672584D4: to=<ok@d.test>, "
    "orig_to=<x@y>, relay=mx.d.test[192.0.2.9]:25, conn_use=2, delay=0.02, delays=0.01/0/0/0, "
    "dsn=2.0.0, status=sent (250 2.0.0 OK)",
    "Nov 26 10:00:02 mta postfix/out-192.0.2.7/smtp[26031]: C91672584D4: to=<no@d.test>, "
    "relay=none, delay=30, delays=0/0/30/0, dsn=4.4.1, status=deferred (connect: timed out)",
    "Nov 26 10:00:03 mta postfix/smtp[1]: C91672584D4: to=<ex@d.test>, relay=none, delay=9, "
    "dsn=4.4.1, status=expired (returned to sender)",
    "Nov 26 10:00:03 mta postfix/local[1]: C91672584D4: to=<root@here>, relay=local, delay=0, "
    "dsn=2.0.0, status=sent (delivered to mailbox)",
    "Nov 26 10:00:04 mta postfix/qmgr[7]: C91672584D4: removed",
)  # fmt: skip
EXIM = (
    "2026-11-26 10:00:00 1xVb99-0006mR-1S <= news@a.test H=app [10.0.0.1] P=esmtp S=300",
    "2026-11-26 10:00:00 +0000 1xVb99-0006mR-1S => ok2@d.test R=r T=s H=127.0.0.9 "
    '[127.0.0.9]:2525 I=[192.0.2.7]:52179 C="250 2.0.0 OK"',
    "2026-11-26 10:00:01 1xVb99-0006mR-1S ** Jane <no@d.test> R=r T=s H=mx [1.2.3.4] "
    "I=[2001:db8::7]: SMTP error from remote mail server after RCPT TO:<no@d.test>: 550 5.1.1 no",
    "2026-11-26 10:00:02 1xVb99-0006mR-1S == la@d.test R=r T=s defer (-44) H=mx [1.2.3.4]: "
    "SMTP error: 450 4.2.0 later",
    "2026-11-26 10:00:02 1xVb99-0006mR-1S => root <root@here> R=local T=maildir",
    "2026-11-26 10:00:02 1xVb99-0006mR-1S Completed",
)  # fmt: skip
KUMO = {
    "type": "Bounce", "id": "m1", "sender": "news@a.test", "recipient": "no@d.test",
    "timestamp": 1795687200, "egress_pool": "bulk", "bounce_classification": "InvalidRecipient",
    "source_address": {"address": "192.0.2.7:53210"},
    "response": {"code": 550, "enhanced_code": {"class": 5, "subject": 1, "detail": 1}},
}  # fmt: skip
PMTA = (
    "type,timeLogged,orig,rcpt,dlvSourceIp,bounceCat,dsnStatus,vmtaPool,envId",
    "d,1795687200,news@a.test,ok@d.test,192.0.2.7,,2.0.0 (success),bulk,e1",
    "b,2026-11-26 10:00:00+0000,news@a.test,no@d.test,192.0.2.7,bad-mailbox,5.1.1,bulk,e2",
    "b,1795687200,news@a.test,full@d.test,192.0.2.7,quota-issues,5.2.2,bulk,e3",
    "t,1795687200,news@a.test,la@d.test,192.0.2.7,,4.2.0,bulk,e4",
    "f,1795687200,,angry@d.test,192.0.2.7,,,bulk,e5",
    "r,1795687200,x,y,,,,,",
)
NEUTRAL = {
    "ts": "2026-11-26T10:00:00Z", "event": "bounced", "ip": "192.0.2.7", "id": "m1",
    "rcpt": "no@d.test", "dsn": "5.1.1",
}  # fmt: skip


def read(kind: str, *lines: str) -> list[MailEvent]:
    reader = line_reader(kind)
    return [event for line in lines for event in reader.read(line)]


def told(events: list[MailEvent]) -> list[tuple[str, MailOutcome, str | None, bool]]:
    return [(each.recipient, each.outcome, each.dsn, each.is_hard) for each in events]


def test_postfix_lines() -> None:
    reader = PostfixReader(lambda: NOW)
    events = [event for line in POSTFIX for event in reader.read(line)]
    assert told(events) == [
        ("ok@d.test", D, "2.0.0", False), ("no@d.test", L, "4.4.1", False),
        ("ex@d.test", B, "4.4.1", False),
    ]  # fmt: skip
    assert [each.ip for each in events] == [ip_address("192.0.2.7")] * 2 + [None]
    assert [each.pool for each in events] == [None, None, "postfix"]
    assert events[0].at == datetime(2026, 11, 26, 10, 0, 1, tzinfo=UTC)
    assert not any(each.is_null_sender for each in events)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("Nov 26 10:00:00", datetime(2026, 11, 26, 10, tzinfo=UTC)),
        ("Dec 31 23:59:59", datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("Feb  1 00:00:00", datetime(2026, 2, 1, tzinfo=UTC)),
        ("2026-11-26T11:00:00.5+01:00", datetime(2026, 11, 26, 10, 0, 0, 500000, tzinfo=UTC)),
    ],
)
def test_time_without_a_year_is_of_the_last_one(text: str, at: datetime) -> None:
    assert moment_of(text, NOW) == at


def test_leap_day_finds_its_year() -> None:
    assert moment_of("Feb 29 12:00:00", datetime(2025, 3, 1, tzinfo=UTC)).year == 2024


def test_exim_lines() -> None:
    events = read("exim", *EXIM)
    assert told(events) == [
        ("ok2@d.test", D, "2.0.0", False), ("no@d.test", B, "5.1.1", True),
        ("la@d.test", L, "4.2.0", False),
    ]  # fmt: skip
    assert [each.ip for each in events] == [
        ip_address("192.0.2.7"), ip_address("2001:db8::7"), None
    ]  # fmt: skip


def test_kumomta_records() -> None:
    [event] = read("kumomta", json.dumps(KUMO))
    assert told([event]) == [("no@d.test", B, "5.1.1", True)]
    assert (event.ip, event.pool) == (ip_address("192.0.2.7"), "bulk")
    v6 = KUMO | {"type": "Delivery", "source_address": {"address": "[2001:db8::7]:25"}}
    assert read("kumomta", json.dumps(v6))[0].ip == ip_address("2001:db8::7")
    policy = KUMO | {"bounce_classification": "SpamBlock"}
    assert not read("kumomta", json.dumps(policy))[0].is_hard
    feedback = KUMO | {
        "type": "Feedback", "sender": "", "bounce_classification": None,
        "feedback_report": {"source_ip": "192.0.2.8", "original_rcpt_to": ["a@d.test", "b@e.test"]},
    }  # fmt: skip
    found = read("kumomta", json.dumps(feedback))
    assert [(each.recipient_domain, each.outcome) for each in found] == [
        ("d.test", C),
        ("e.test", C),
    ]
    assert {each.ip for each in found} == {ip_address("192.0.2.8")}
    assert not any(each.is_null_sender for each in found)
    assert read("kumomta", json.dumps(KUMO | {"type": "Reception"})) == []


def test_powermta_records() -> None:
    events = read("powermta", *PMTA)
    assert told(events) == [
        ("ok@d.test", D, "2.0.0", False), ("no@d.test", B, "5.1.1", True),
        ("full@d.test", B, "5.2.2", False), ("la@d.test", L, "4.2.0", False),
        ("angry@d.test", C, None, False),
    ]  # fmt: skip
    assert {each.at for each in events} == {datetime(2026, 11, 26, 10, tzinfo=UTC)}
    assert {each.pool for each in events} == {"bulk"}
    with pytest.raises(LineRefused, match="names of the columns"):
        read("powermta", PMTA[1])


def test_neutral_lines() -> None:
    [event] = read("neutral", json.dumps(NEUTRAL))
    assert told([event]) == [("no@d.test", B, "5.1.1", True)]
    [event] = read("neutral", json.dumps(NEUTRAL | {"hard": False, "ip": "::ffff:192.0.2.7"}))
    assert (event.is_hard, event.ip) == (False, ip_address("192.0.2.7"))
    [event] = read("neutral", json.dumps({**NEUTRAL, "ip": "", "pool": "eu", "event": "delivered"}))
    assert (event.ip, event.pool, event.is_hard) == (None, "eu", False)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"ts": "2026-11-26T10:00:00"}, "ts: give its offset or Z"),
        ({"ts": "yesterday"}, "ts"), ({"event": "opened"}, "event"), ({"ip": "x"}, "ip: give an"),
        ({"ip": ""}, "or name a pool"), ({"rcpt": ""}, "or name rcpt_domain"),
        ({"dsn": "550"}, "dsn"), ({"more": 1}, "more"), ({"id": 5}, "id"), ({"hard": "no"}, "hard"),
    ],
)  # fmt: skip
def test_wrong_neutral_line_is_refused_with_its_field(changes: dict[str, object], why: str) -> None:
    with pytest.raises(LineRefused, match=why):
        read("neutral", json.dumps(NEUTRAL | changes))


def test_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(InvalidRequest) as refused:
        line_reader("sendmail")
    assert "postfix" in refused.value.details[0]["message"]


@pytest.mark.parametrize(
    ("dsn", "is_bad"),
    [
        ("5.1.1", True), ("5.0.0", True), ("5.2.1", True), (None, True), ("5.1.10", True),
        ("5.7.1", False), ("5.2.2", False), ("5.1.11", False), ("4.1.1", False),
    ],
)  # fmt: skip
def test_bad_address_is_told_from_bad_mail(dsn: str | None, is_bad: bool) -> None:
    assert is_bad_address(dsn) is is_bad


@pytest.mark.parametrize(
    ("text", "dsn"),
    [
        ("550 5.1.1 no such user", "5.1.1"), ("mx 10.5.1.1 said 4.2.0", "4.2.0"), ("550 no", None),
        ("version 5.1.1.2", None),
    ],
)  # fmt: skip
def test_status_is_found_in_words(text: str, dsn: str | None) -> None:
    assert find_dsn(text) == dsn


def test_memory_of_null_senders_is_bounded() -> None:
    known = NullSenders(most=10)
    for number in range(100):
        known.note(str(number), "<>")
    assert [str(number) in known for number in (0, 89, 90, 99)] == [False, False, True, True]
    known.note("99", "<a@b>")
    known.forget("98")
    assert "99" not in known
    assert "98" not in known


GOOD = {
    "postfix": POSTFIX, "exim": EXIM, "kumomta": (json.dumps(KUMO),), "powermta": PMTA,
    "neutral": (json.dumps(NEUTRAL),),
}  # fmt: skip


@settings(max_examples=400)
@given(st.data())
def test_mangled_lines_are_read_passed_over_or_refused(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(LINES)))
    reader = line_reader(kind)
    for _ in range(3):
        line = data.draw(st.sampled_from(GOOD[kind]))
        at = data.draw(st.integers(0, len(line)))
        until = data.draw(st.integers(at, len(line)))
        line = line[:at] + data.draw(st.text(max_size=5)) + line[until:]
        try:
            events = reader.read(line)
        except LineRefused as refused:
            assert str(refused)
        else:
            assert all(each.at.tzinfo is not None for each in events)


@given(st.text())
def test_any_text_is_survived(text: str) -> None:
    for kind in LINES:
        try:
            line_reader(kind).read(text)
        except LineRefused:
            continue


def test_times_of_all_forms_are_aware() -> None:
    reader = PostfixReader(lambda: NOW + timedelta(days=400))
    assert [event.at.year for line in POSTFIX for event in reader.read(line)] == [2027] * 3
