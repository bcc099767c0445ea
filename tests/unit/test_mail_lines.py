"""Lines of mail servers: as they are documented, and mangled in every way."""

import json
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.cli.mail_lines import MailFormat
from quarterdeck.core.errors import InvalidRequest
from quarterdeck.reputation.adapters import LINES, line_reader
from quarterdeck.reputation.adapters.neutral import lines_of
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
    "Nov 26 10:00:03 mta postfix/out-2001-db8--7/smtp[1]: C91672584D4: to=<v6@d.test>, relay=x, "
    "dsn=2.0.0, status=sent (250 ok)",
    "Nov 26 10:00:03 mta postfix/out-2001:db8::7/smtp[1]: C91672584D4: to=<v6@d.test>, relay=x, "
    "dsn=5.0.0, status=bounced (host x[1.2.3.4] said: 550 spam (in reply to end of DATA command))",
    "Nov 26 10:00:03 mta postfix/bulk-eu/smtp[1]: C91672584D4: to=<un@d.test>, relay=x, "
    "dsn=5.0.0, status=bounced (host x[1.2.3.4] said: 550 who? (in reply to RCPT TO command))",
    "Nov 26 10:00:03 mta postfix/smtp[1]: C91672584D4: to=<ok@d.test>, "
    "relay=127.0.0.1[127.0.0.1]:10024, delay=1, dsn=2.0.0, status=sent (250 to the filter)",
    "Nov 26 10:00:03 mta postfix/smtp[1]: C91672584D4: to=<ok@d.test>, "
    "relay=localhost[::1]:10024, delay=1, dsn=4.4.1, status=deferred (the filter is away)",
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
    "2026-11-26 10:00:01 1xVb99-0006mR-1S ** un@d.test R=r T=s H=mx [1.2.3.4]: SMTP error from "
    "remote mail server after pipelined RCPT TO:<un@d.test>: 550 who?",
    "2026-11-26 10:00:01 1xVb99-0006mR-1S ** sp@d.test R=r T=s H=mx [1.2.3.4]: SMTP error from "
    "remote mail server after end of data: 550 spam",
    "2026-11-26 10:00:01 1xVb99-0006mR-1S ** ex@d.test R=r T=s H=mx [1.2.3.4]: SMTP error from "
    "remote mail server after RCPT TO:<ex@d.test>: 451 later: retry timeout exceeded",
    "2026-11-26 10:00:02 1xVb99-0006mR-1S == la@d.test R=r T=s defer (-44) H=mx [1.2.3.4]: "
    "SMTP error: 450 4.2.0 later",
    "2026-11-26 10:00:02 1xVb99-0006mR-1S => ok2@d.test R=f T=s H=localhost [127.0.0.1]:10024 "
    'C="250 to the filter"',
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
    reader = PostfixReader("mta", NullSenders(), lambda: NOW)
    events = [event for line in POSTFIX for event in reader.read(line)]
    assert told(events) == [
        ("ok@d.test", D, "2.0.0", False), ("no@d.test", L, "4.4.1", False),
        ("ex@d.test", B, "4.4.1", False), ("v6@d.test", D, "2.0.0", False),
        ("v6@d.test", B, "5.0.0", False), ("un@d.test", B, "5.0.0", True),
    ]  # fmt: skip
    four, six = ip_address("192.0.2.7"), ip_address("2001:db8::7")
    assert [each.ip for each in events] == [four, four, None, six, six, None]
    assert [each.pool for each in events] == [None, None, "postfix", None, None, "bulk-eu"]
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
        ("un@d.test", B, None, True), ("sp@d.test", B, None, False),
        ("ex@d.test", B, None, False), ("la@d.test", L, "4.2.0", False),
    ]  # fmt: skip
    assert [each.ip for each in events] == [
        ip_address("192.0.2.7"), ip_address("2001:db8::7"), None, None, None, None
    ]  # fmt: skip


def test_kumomta_records() -> None:
    [event] = read("kumomta", json.dumps(KUMO))
    assert told([event]) == [("no@d.test", B, "5.1.1", True)]
    assert (event.ip, event.pool) == (ip_address("192.0.2.7"), "bulk")
    v6 = KUMO | {"type": "Delivery", "source_address": {"address": "[2001:db8::7]:25"}}
    assert read("kumomta", json.dumps(v6))[0].ip == ip_address("2001:db8::7")
    policy = KUMO | {"bounce_classification": "SpamBlock"}
    assert not read("kumomta", json.dumps(policy))[0].is_hard
    unclassified = KUMO | {"bounce_classification": "Uncategorized"}
    assert read("kumomta", json.dumps(unclassified))[0].is_hard
    late = {"response": {"code": 550, "enhanced_code": None, "command": "."}}
    assert not read("kumomta", json.dumps(unclassified | late))[0].is_hard
    hidden = KUMO | {"type": "Feedback", "recipient": "fbl@a.test", "feedback_report": {"x": 1}}
    assert read("kumomta", json.dumps(hidden))[0].recipient_domain == ""
    assert read("kumomta", json.dumps(KUMO | {"type": "OOB"})) == []
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
    assert not any(each.is_null_sender for each in events)
    with pytest.raises(LineRefused, match="names of the columns"):
        read("powermta", PMTA[1])
    names = "type,timeLogged,timeQueued,orig,rcpt"
    with pytest.raises(LineRefused, match="rcpt"):
        read("powermta", names, "d,1795687200,1,a@b,")
    twice = read("powermta", names, "t,1795687200,5,a@b,x@y", "d,1795687300,5,a@b,x@y",
                 "d,1795687300,6,a@b,x@y", "d,1795687300,6,,x@y", "tq,1795687300,,,")  # fmt: skip
    assert len({each.message_id for each in twice[:2]}) == 1
    assert len({each.message_id for each in twice[:3]}) == 2
    assert [each.is_null_sender for each in twice] == [False, False, False, True]


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


def test_formats_of_ship_are_those_that_the_server_reads() -> None:
    assert list(MailFormat) == list(LINES)


def test_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(InvalidRequest) as refused:
        line_reader("sendmail")
    assert "postfix" in refused.value.details[0]["message"]


@pytest.mark.parametrize("dsn", [None, "5.0.0"])
def test_status_that_says_nothing_counts_only_of_a_recipient(dsn: str | None) -> None:
    assert is_bad_address(dsn)
    assert not is_bad_address(dsn, is_of_recipient=False)
    assert is_bad_address("5.1.1", is_of_recipient=False)


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
        known.note("mta", str(number), "<>")
    assert [known.knows("mta", str(number)) for number in (0, 89, 90, 99)] == [
        False, False, True, True
    ]  # fmt: skip
    known.note("mta", "99", "<a@b>")
    assert not known.knows("mta", "99")
    assert not known.knows("mta2", "98")


@pytest.mark.parametrize("kind", ["postfix", "exim"])
def test_lines_that_are_sent_again_are_read_the_same(kind: str) -> None:
    """Also when the first of the message came in an earlier request, which is not sent again."""
    first = {
        "postfix": "Nov 26 10:00:00 mta postfix/qmgr[7]: C91672584D4: from=<>, size=3, nrcpt=1 (q)",
        "exim": "2026-11-26 10:00:00 1xVb99-0006mR-1S <= <> H=app [10.0.0.1] P=esmtp S=300",
    }[kind]
    reader = line_reader(kind)
    reader.read(first)
    again = [[event for line in GOOD[kind][1:] for event in reader.read(line)] for _ in range(2)]
    assert again[0] == again[1]
    assert all(each.is_null_sender for each in again[0])


def test_json_array_is_read_as_its_items() -> None:
    array = json.dumps([NEUTRAL, 5, {"x": "é"}], indent=1, ensure_ascii=False)
    assert [json.loads(each) for each in lines_of(array, is_json=True)] == [NEUTRAL, 5, {"x": "é"}]
    assert lines_of("[a\r\n\nb", is_json=False) == ["[a", "", "b"]
    with pytest.raises(InvalidRequest):
        lines_of("[1", is_json=True)


GOOD = {
    "postfix": POSTFIX, "exim": EXIM, "kumomta": (json.dumps(KUMO),), "powermta": PMTA,
    "neutral": (json.dumps(NEUTRAL),),
}  # fmt: skip


@pytest.mark.slow
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
    reader = PostfixReader("mta", NullSenders(), lambda: NOW + timedelta(days=400))
    assert [event.at.year for line in POSTFIX for event in reader.read(line)] == [2027] * 6
