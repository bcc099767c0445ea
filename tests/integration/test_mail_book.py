"""Counts of mail, compared with a plain count of the same events, on every store of facts."""

import asyncio
import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_address
from statistics import median
from typing import Any

import pytest

from quarterdeck.core.errors import SourceUnavailable, TooManyRequests
from quarterdeck.facts import Facts
from quarterdeck.reputation import mail_book
from quarterdeck.reputation.mail import MailEvent, MailOutcome, MailRates
from quarterdeck.reputation.mail_book import MailBook
from quarterdeck.reputation.model import SendingAddress

pytest_plugins = ("facts_fixtures",)

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
A, B = (SendingAddress(ip_address(text)) for text in ("192.0.2.1", "2001:db8::1"))
P, Q = (SendingAddress(ip_address(text), pool="bulk") for text in ("192.0.2.11", "192.0.2.12"))
D, BO, DE, C = MailOutcome


def event(outcome: MailOutcome, number: int = 0, **changes: object) -> MailEvent:
    made = MailEvent(
        NOW - timedelta(hours=1), outcome, A.address, f"m{number}", "jane@x.test", "x.test"
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def book(facts: Facts, **options: object) -> MailBook:
    return MailBook(facts, b"k", clock=lambda: NOW, **options)  # type: ignore[arg-type]


async def counted(facts: Facts, *events: MailEvent, **options: object) -> MailRates:
    mail = book(facts, **options)
    await mail.take(events)
    return (await mail.rates([A], NOW))[A.address]


async def test_nothing_is_known_of_an_address_without_events(facts: Facts) -> None:
    assert await book(facts).rates([A, P], NOW) == {}


async def test_each_count_is_of_what_it_says(facts: Facts) -> None:
    rates = await counted(
        facts,
        event(D, 1), event(D, 2, at=NOW - timedelta(days=2)),
        event(D, 3, is_null_sender=True), event(BO, 4, is_hard=True), event(BO, 5),
        event(DE, 6), event(DE, 6, at=NOW - timedelta(minutes=5)), event(D, 6),
        event(C, 1, recipient_domain="x.test"),
        event(D, 7, at=NOW - timedelta(days=8)), event(D, 8, recipient_domain="deaf.test"),
    )  # fmt: skip
    assert rates.accepted_24h == 3  # 1, 6 and 8
    assert rates.attempted_7d == 6
    assert (rates.hard_bounces_7d, rates.complaints_7d) == (1, 1)
    assert rates.complainable_7d == 3  # 1, 2 and 6: x.test has complained once
    assert (rates.deferred_7d, rates.pairs_7d) == (1, 6)
    assert rates.daily_median == 1


async def test_event_that_is_sent_again_counts_once(facts: Facts) -> None:
    mail = book(facts)
    once = event(D, 1, event_id="sg-1")
    for _ in range(3):
        await mail.take([once, replace(once, at=once.at + timedelta(seconds=1)), event(D, 2)])
    rates = (await mail.rates([A], NOW))[A.address]
    assert (rates.accepted_24h, rates.attempted_7d) == (2, 2)


async def test_hidden_recipients_are_told_apart_by_their_domain(facts: Facts) -> None:
    rates = await counted(
        facts,
        event(D, recipient=""), event(D, recipient=""),
        event(D, recipient="", recipient_domain="y.test"),
        event(C, recipient="", recipient_domain=""), event(D, 9, recipient_domain=""),
    )  # fmt: skip
    assert (rates.accepted_24h, rates.attempted_7d, rates.complaints_7d) == (3, 3, 1)
    assert rates.complainable_7d == 0  # nothing says which domain complained


async def test_who_asks_at_once_shares_a_count(
    embedded_facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail = book(embedded_facts)
    await mail.take([event(D)])
    asked = 0
    fetch = embedded_facts.fetch

    async def counting(*given: Any) -> Any:
        nonlocal asked
        asked += 1
        return await fetch(*given)

    monkeypatch.setattr(embedded_facts, "fetch", counting)
    found = await asyncio.gather(*(mail.rates([A], NOW) for _ in range(10)))
    assert [each[A.address].accepted_24h for each in found] == [1] * 10
    assert asked == 1


async def test_pool_is_shared_by_its_addresses(facts: Facts) -> None:
    mail = book(facts)
    await mail.take([event(D, n, ip=None, pool="bulk") for n in range(10)])
    await mail.take([event(D, 100, ip=P.address, pool="bulk")])
    rates = await mail.rates([A, P, Q], NOW)
    assert set(rates) == {P.address, Q.address}
    assert (rates[P.address].accepted_24h, rates[Q.address].accepted_24h) == (6, 5)


async def test_domains_of_the_settings_hear_complaints(facts: Facts) -> None:
    rates = await counted(facts, event(D, 1), event(D, 2), complaint_domains=["X.test"])
    assert rates.complainable_7d == 2


async def test_median_is_of_active_days_without_today(facts: Facts) -> None:
    events = [
        event(D, n, at=NOW - timedelta(days=3 * day), recipient=f"{day}@x")
        for day, count in enumerate((50, 1, 2, 3, 100))
        for n in range(count)
    ]
    assert (await counted(facts, *events)).daily_median == 2.5


async def test_random_events_are_counted_as_by_hand(facts: Facts) -> None:
    dice = random.Random(7)
    events = [
        MailEvent(
            NOW - timedelta(seconds=dice.randrange(20 * 86400)),
            dice.choice([D, D, D, BO, DE, C]),
            dice.choice([A.address, B.address]),
            f"m{dice.randrange(300)}",
            f"r{dice.randrange(3)}@x",
            dice.choice(["x.test", "y.test", "z.test"]),
            is_hard=dice.random() < 0.5,
            is_null_sender=dice.random() < 0.1,
        )
        for _ in range(3000)
    ]
    events = [
        replace(each, recipient_domain="z.test") if each.outcome is C else each for each in events
    ]
    mail = book(facts)
    await asyncio.gather(*(mail.take(events[at : at + 100]) for at in range(0, 3000, 100)))
    await mail.take(dice.sample(events, 500))
    rates = await mail.rates([A, B], NOW)
    for each in (A, B):
        assert rates[each.address] == by_hand(events, each)


def by_hand(events: list[MailEvent], of: SendingAddress) -> MailRates:
    ours = [each for each in events if each.ip == of.address]
    week = [each for each in ours if each.at > NOW - timedelta(days=7)]
    mail = [each for each in week if not each.is_null_sender]

    def pairs(*outcomes: MailOutcome, hard: bool = False) -> int:
        return len(
            {
                (each.message_id, each.recipient)
                for each in mail
                if each.outcome in outcomes and (each.is_hard or not hard)
            }
        )

    def accepted(some: list[MailEvent]) -> int:
        return len({each for each in some if each.outcome is D and not each.is_null_sender})

    days: dict[date, list[MailEvent]] = {}
    for each in ours:
        if each.at.date() < NOW.date():
            days.setdefault(each.at.date(), []).append(each)
    active = [accepted(days[day]) for day in sorted(days, reverse=True) if accepted(days[day])]
    return MailRates(
        accepted_24h=accepted([each for each in week if each.at > NOW - timedelta(days=1)]),
        attempted_7d=pairs(D, BO),
        hard_bounces_7d=pairs(BO, hard=True),
        complaints_7d=len({each for each in week if each.outcome is C}),
        complainable_7d=accepted([each for each in week if each.recipient_domain == "z.test"]),
        deferred_7d=pairs(DE),
        pairs_7d=pairs(D, BO, DE),
        daily_median=median(active[:14]),
    )


async def test_who_sends_too_much_is_told_to_come_again(
    embedded_facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_book, "MOST_WAITING", 10)
    mail = book(embedded_facts)
    first = asyncio.create_task(mail.take([event(D, n) for n in range(8)]))
    await asyncio.sleep(0)
    with pytest.raises(TooManyRequests):
        await mail.take([event(D, n) for n in range(8)])
    await first
    await mail.take([event(D, n) for n in range(8)])


async def test_what_cannot_be_stored_is_said(
    embedded_facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail = book(embedded_facts)
    await mail.open()

    async def away(_: object) -> None:
        raise SourceUnavailable("facts", "The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(embedded_facts, "insert", away)
        with pytest.raises(SourceUnavailable, match="disk is full"):
            await mail.take([event(D)])
    await mail.take([event(D)])
    assert (await mail.rates([A], NOW))[A.address].accepted_24h == 1


async def test_recipients_are_nowhere_in_the_store(embedded_facts: Facts) -> None:
    mail = book(embedded_facts)
    await mail.take([event(D)])
    rows = await embedded_facts.fetch("SELECT toString(tuple(*)) AS row FROM mail_events", dict)
    assert "jane" not in str(rows)
    assert "x.test" in str(rows)
