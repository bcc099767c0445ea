"""Who is told of what: silences, inhibition, steps of escalation, acknowledgements."""

from datetime import timedelta

import pytest

from quarterdeck.alerts.model import Matcher, Severity, Silence, Transition
from quarterdeck.alerts.routing import Route
from quarterdeck.alerts.silencing import is_silenced
from unit.alerts_core.book import Book, finding, seen
from unit.alerts_core.test_lifecycle import BAD, GOOD, both

STEPS = (Route("chat"), Route("mail", Severity.WARNING), Route("pager", Severity.ERROR, step=2))


def silence(book: Book, minutes: float, start: float = 0) -> None:
    begin = book.now + timedelta(minutes=start)
    book.silences.append(
        Silence(
            f"s{len(book.silences)}", [Matcher("service", "e*l")], "ann", "x", book.now, begin,
            begin + timedelta(minutes=minutes),
        )
    )  # fmt: skip


def sent(book: Book) -> list[tuple[Transition, tuple[str, ...]]]:
    return [(notice.transition, tuple(notice.channels)) for notice in book.notices]


def test_silenced_alert_is_told_when_the_silence_ends() -> None:
    book = Book()
    silence(book, 10)
    book.look(BAD)
    assert (book.told, book.only.alert.silenced_by) == ([], "s0")
    book.repeat(570, BAD)
    assert book.told == []
    book.look(BAD)
    assert (book.told, book.only.alert.silenced_by) == ([Transition.FIRING], None)


def test_alert_that_ends_within_its_silence_is_not_told_at_all() -> None:
    book = Book()
    silence(book, 10)
    book.look(BAD)
    book.look(GOOD)
    book.repeat(1200, GOOD)
    assert book.told == []


def test_end_is_told_to_those_who_heard_of_it_even_when_silenced() -> None:
    book = Book(STEPS)
    book.look(BAD)
    silence(book, 60)
    book.look(BAD)
    book.look(GOOD)
    assert sent(book) == [
        (Transition.FIRING, ("chat", "mail")), (Transition.RESOLVED, ("chat", "mail")),
    ]  # fmt: skip


def test_alert_told_before_its_silence_is_not_told_again_after_it() -> None:
    book = Book()
    book.look(BAD)
    silence(book, 10)
    book.repeat(1200, BAD)
    assert book.told == [Transition.FIRING]


def test_rise_within_a_silence_is_told_after_it() -> None:
    book = Book()
    book.look(*both(True, False))
    silence(book, 10)
    book.look(*both(True, True))
    assert book.told == [Transition.FIRING]
    book.repeat(600, *both(True, True))
    assert book.told == [Transition.FIRING, Transition.RAISED]


def test_rise_that_fell_again_within_a_silence_is_not_told() -> None:
    book = Book()
    book.look(*both(True, False))
    silence(book, 10)
    book.look(*both(True, True))
    book.look(*both(True, False))
    book.repeat(900, *both(True, False))
    assert book.told == [Transition.FIRING]


def test_silence_that_begins_later_withholds_nothing_before() -> None:
    book = Book()
    silence(book, 10, start=60)
    book.look(BAD)
    assert book.told == [Transition.FIRING]


@pytest.mark.parametrize(
    ("name", "value", "fits"),
    [
        ("service", "email", True), ("service", "em*", True), ("service", "e", False),
        ("severity", "error", True), ("severity", "warning", False), ("rule", "rul*", True),
        ("source", "queue", True), ("tenant", "*", False), ("service", "*a*i*", True),
        ("service", "EMAIL", False), ("service", "e.ail", False),
    ],
)  # fmt: skip
def test_matcher_fits_what_it_names(name: str, value: str, fits: bool) -> None:
    book = Book()
    book.look(BAD)
    assert is_silenced(book.only.alert, [Matcher(name, value)]) is fits


def test_silence_needs_all_its_matchers() -> None:
    book = Book()
    book.look(BAD)
    two = [Matcher("service", "email"), Matcher("severity", "info")]
    assert not is_silenced(book.only.alert, two)
    assert not is_silenced(book.only.alert, [])


def test_dependent_is_withheld_while_its_dependency_alerts_and_told_after() -> None:
    book = Book()
    parent, child = seen(finding(True), subject="db"), seen(finding(True), depends_on=["db"])
    book.look(child, parent)
    assert [notice.alert.service for notice in book.notices] == ["db"]
    shown = {each.alert.service: each.alert.inhibited_by for each in book.records.values()}
    assert shown == {"email": "db", "db": None}
    book.look(child, seen(finding(False), subject="db"))
    assert {(n.alert.service, n.transition) for n in book.notices[1:]} == {
        ("db", Transition.RESOLVED),
        ("email", Transition.FIRING),
    }


def test_end_of_a_dependent_is_told_while_its_dependency_alerts() -> None:
    book = Book()
    child = seen(finding(True), depends_on=["db"])
    book.look(child, seen(finding(False), subject="db"))
    book.look(child, seen(finding(True), subject="db"))
    book.look(seen(finding(False), depends_on=["db"]), seen(finding(True), subject="db"))
    assert [n.transition for n in book.notices if n.alert.service == "email"] == [
        Transition.FIRING, Transition.RESOLVED,
    ]  # fmt: skip


def test_mild_trouble_below_does_not_hide_an_outage_above() -> None:
    book = Book()
    below = seen(finding(True, Severity.INFO), subject="db")
    book.look(seen(finding(True), depends_on=["db"]), below)
    assert {notice.alert.service for notice in book.notices} == {"email", "db"}


@pytest.mark.parametrize("length", [1, 2, 3])
def test_circle_of_dependencies_hides_nobody(length: int) -> None:
    book = Book()
    names = [f"n{index}" for index in range(length)]
    circle = [
        seen(finding(True), subject=name, depends_on=[names[(index + 1) % length]])
        for index, name in enumerate(names)
    ]
    book.look(*circle)
    assert {notice.alert.service for notice in book.notices} == set(names)


def test_second_step_is_told_after_ten_minutes_and_hears_the_end() -> None:
    book = Book(STEPS)
    book.look(BAD)
    book.repeat(585, BAD)
    assert len(book.notices) == 1
    book.look(BAD)
    book.repeat(7200, BAD)
    book.look(GOOD)
    assert sent(book) == [
        (Transition.FIRING, ("chat", "mail")),
        (Transition.ESCALATED, ("pager",)),
        (Transition.RESOLVED, ("chat", "mail", "pager")),
    ]


def test_step_without_channels_for_the_severity_is_passed_over() -> None:
    book = Book(STEPS)
    mild = seen(finding(True, Severity.INFO))
    book.look(mild)
    book.repeat(7200, mild)
    assert sent(book) == [(Transition.FIRING, ("chat",))]


def test_escalation_due_during_a_restart_is_made_up_for() -> None:
    book = Book(STEPS)
    book.look(BAD)
    book.look(BAD, after=86_400)
    assert book.told == [Transition.FIRING, Transition.ESCALATED]


def test_acknowledged_alert_is_not_escalated_until_it_is_given_back() -> None:
    book = Book(STEPS)
    book.look(BAD)
    book.acknowledge(book.only)
    book.acknowledge(book.only)
    book.repeat(3600, BAD)
    assert book.told == [Transition.FIRING, Transition.ACKNOWLEDGED]
    book.unacknowledge(book.only)
    book.unacknowledge(book.only)
    book.repeat(585, BAD)
    assert book.told[2:] == [Transition.UNACKNOWLEDGED]
    book.look(BAD)
    assert book.told[3:] == [Transition.ESCALATED]


def test_silenced_alert_is_not_escalated_until_its_time_after_the_silence() -> None:
    book = Book(STEPS)
    book.look(BAD)
    silence(book, 60)
    book.repeat(3600, BAD)
    book.look(BAD)
    book.repeat(570, BAD)
    assert book.told == [Transition.FIRING]
    book.repeat(30, BAD)
    assert book.told == [Transition.FIRING, Transition.ESCALATED]


def test_raised_alert_reaches_the_channels_that_its_severity_asks_for() -> None:
    book = Book([Route("chat"), Route("phone", Severity.ERROR)])
    book.look(*both(True, False))
    book.look(*both(True, True))
    book.look(*both(False, False))
    assert sent(book) == [
        (Transition.FIRING, ("chat",)),
        (Transition.RAISED, ("chat", "phone")),
        (Transition.RESOLVED, ("chat", "phone")),
    ]


def test_numbers_of_notices_grow_by_one() -> None:
    book = Book(STEPS)
    for _ in range(3):
        book.look(BAD)
        book.look(GOOD)
    assert [notice.sequence for notice in book.notices] == [1, 2, 3, 4, 5, 6]


def test_channel_that_was_told_the_worse_hears_of_the_milder_and_of_the_end() -> None:
    book = Book([Route("chat"), Route("phone", Severity.ERROR)])
    for _ in range(3):
        book.look(*both(False, True))
        book.look(*both(False, False))
    assert book.told[-1] is Transition.FLAPPING
    book.look(*both(True, False))
    book.repeat(3600, *both(True, False))
    book.look(*both(False, False))
    assert sent(book)[-2:] == [
        (Transition.FIRING, ("chat", "phone")), (Transition.RESOLVED, ("chat", "phone")),
    ]  # fmt: skip


def test_alert_that_goes_on_begins_at_the_first_step_again() -> None:
    book = Book(STEPS)
    book.look(BAD)
    book.repeat(600, BAD)
    book.look(GOOD)
    book.look(BAD)
    book.repeat(600, BAD)
    assert sent(book)[-2:] == [
        (Transition.REOPENED, ("chat", "mail")), (Transition.ESCALATED, ("pager",)),
    ]  # fmt: skip
