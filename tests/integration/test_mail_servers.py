"""Lines that real mail servers write: what they did is what is read of them."""

import subprocess
from collections import Counter
from ipaddress import ip_address
from pathlib import Path

from mail_world import LETTER, SENDING, exim, lines_until, postfix, send, sink
from quarterdeck.reputation.adapters import line_reader
from quarterdeck.reputation.mail import MailEvent, MailOutcome

HERE = ip_address(SENDING)
D, B, L = MailOutcome.DELIVERED, MailOutcome.BOUNCED, MailOutcome.DEFERRED


def read(kind: str, lines: list[str]) -> list[MailEvent]:
    reader = line_reader(kind)
    return [event for line in lines for event in reader.read(line)]


def test_postfix_tells_what_became_of_each_letter() -> None:
    with sink() as port, postfix(port) as (own, log):
        send(own, "news@sender.test", "ok1@d.test", "bad@d.test", "later@d.test")
        send(own, "<>", "ok2@d.test")
        send(own, "news@sender.test", "ok3@bulk.test")
        send(own, "<>", "spam@d.test")
        send(own, "<>", "gone@d.test")
        lines = lines_until(
            log, "to=<ok1@d.test>", "to=<bad@d.test>", "to=<later@d.test>", "to=<ok2@d.test>",
            "to=<ok3@bulk.test>", "to=<news@sender.test>", "to=<spam@d.test>", "to=<gone@d.test>",
        )  # fmt: skip
    events = read("postfix", lines)
    found = {(each.recipient, each.outcome, each.dsn) for each in events}
    assert found == {
        ("ok1@d.test", D, "2.0.0"), ("bad@d.test", B, "5.1.1"), ("later@d.test", L, "4.2.0"),
        ("ok2@d.test", D, "2.0.0"), ("ok3@bulk.test", D, "2.0.0"),
        ("spam@d.test", B, "5.0.0"), ("gone@d.test", B, "5.0.0"),
        ("news@sender.test", D, "2.0.0"),  # the notice about bad@
    }  # fmt: skip
    by_recipient = {each.recipient: each for each in events}
    assert {each.ip for each in events if each.recipient_domain == "d.test"} == {HERE}
    bulk = by_recipient["ok3@bulk.test"]
    assert (bulk.ip, bulk.pool) == (None, "bulk-eu")
    assert {name for name, each in by_recipient.items() if each.is_null_sender} == {
        "ok2@d.test", "news@sender.test", "spam@d.test", "gone@d.test",
    }  # fmt: skip
    assert {name for name, each in by_recipient.items() if each.is_hard} == {
        "bad@d.test", "gone@d.test",
    }  # fmt: skip
    ids = Counter(each.message_id for each in events)
    assert sorted(ids.values()) == [1, 1, 1, 1, 1, 3]


def test_exim_tells_what_became_of_each_letter() -> None:
    with sink() as port, exim(port) as (command, log):
        _send(command, "news@sender.test", "ok1@d.test", "bad@d.test", "later@d.test")
        _send(command, "<>", "ok2@d.test")
        _send(command, "<>", "spam@d.test")
        _send(command, "<>", "gone@d.test")
        lines = lines_until(
            log, "=> ok1@", "** bad@", "== later@", "=> ok2@", "=> news@sender", "** spam@",
            "** gone@",
        )  # fmt: skip
    events = read("exim", lines)
    assert {(each.recipient, each.outcome, each.dsn) for each in events} == {
        ("ok1@d.test", D, "2.0.0"), ("bad@d.test", B, "5.1.1"), ("later@d.test", L, "4.2.0"),
        ("ok2@d.test", D, "2.0.0"), ("news@sender.test", D, "2.0.0"),
        ("spam@d.test", B, None), ("gone@d.test", B, None),
    }  # fmt: skip
    assert {each.ip for each in events} == {HERE}
    assert {each.recipient for each in events if each.is_null_sender} == {
        "ok2@d.test", "news@sender.test", "spam@d.test", "gone@d.test",
    }  # fmt: skip
    assert {each.recipient for each in events if each.is_hard} == {"bad@d.test", "gone@d.test"}


def _send(command: list[str], sender: str, *recipients: str) -> None:
    subprocess.run(
        [*command, "-f", sender, *recipients], input=LETTER, text=True, check=True, timeout=60,
        cwd=Path("/"), capture_output=True,
    )  # fmt: skip
