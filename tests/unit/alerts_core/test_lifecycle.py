"""The states of an alert, with a clock that is turned by hand."""

from dataclasses import replace
from datetime import timedelta

import pytest

from quarterdeck.alerts.advance import Look
from quarterdeck.alerts.model import AlertState, Severity, Transition
from quarterdeck.alerts.observation import Observation
from unit.alerts_core.book import Book, finding, seen

BAD, GOOD, UNKNOWN = seen(finding(True)), seen(finding(False)), seen(finding(None))


def test_condition_without_for_fires_at_once() -> None:
    book = Book()
    book.look(BAD)
    assert book.told == [Transition.FIRING]
    alert = book.only.alert
    assert (alert.state, alert.count, alert.fired_at) == (AlertState.FIRING, 1, book.now)


def test_unknown_neither_fires_nor_resolves() -> None:
    book = Book()
    book.look(UNKNOWN)
    assert book.records == {}
    book.look(BAD)
    book.repeat(3600, UNKNOWN)
    assert book.states == [AlertState.FIRING]
    assert book.told == [Transition.FIRING]


def test_source_that_does_not_answer_leaves_its_alerts_alone() -> None:
    book = Book()
    book.look(BAD)
    book.repeat(3600)
    assert book.states == [AlertState.FIRING]


def test_alert_fires_after_its_for_and_not_before() -> None:
    book = Book()
    slow = seen(finding(True, for_s=300))
    book.look(slow)
    book.repeat(285, slow)
    assert book.states == [AlertState.PENDING]
    assert book.events == []
    book.look(slow)
    assert book.told == [Transition.FIRING]


def test_pending_alert_that_ends_leaves_nothing() -> None:
    book = Book()
    book.look(seen(finding(True, for_s=300)))
    book.look(seen(finding(False, for_s=300)))
    assert (book.records, book.notices, book.events) == ({}, [], [])


@pytest.mark.parametrize("gap_s", [46, 3600, 86_400 * 3], ids=["missed-looks", "hour", "weekend"])
def test_time_without_a_look_does_not_count_towards_for(gap_s: float) -> None:
    book = Book()
    slow = seen(finding(True, for_s=60))
    book.look(slow)
    book.look(slow)
    book.look(slow, after=gap_s)
    assert book.only.memory.held_s == {"rule": 15.0}
    book.repeat(30, slow)
    assert book.states == [AlertState.PENDING]
    book.look(slow)
    assert book.states == [AlertState.FIRING]


def test_time_with_an_unknown_value_does_not_count_towards_for() -> None:
    book = Book()
    slow, dark = seen(finding(True, for_s=30)), seen(finding(None, for_s=30))
    book.look(slow)
    book.repeat(600, dark)
    book.look(slow)
    book.look(slow)
    assert book.states == [AlertState.PENDING]
    book.look(slow)
    assert book.states == [AlertState.FIRING]


def test_firing_alert_survives_a_gap_and_stays_firing() -> None:
    book = Book()
    book.look(seen(finding(True, for_s=60)))
    book.repeat(60, seen(finding(True, for_s=60)))
    book.look(seen(finding(True, for_s=60)), after=7200)
    assert book.states == [AlertState.FIRING]
    assert book.told == [Transition.FIRING]


def test_alert_is_kept_firing_for_its_time_and_then_resolved() -> None:
    book = Book()
    bad, good = seen(finding(True, keep_s=60)), seen(finding(False, keep_s=60))
    book.look(bad)
    book.look(good)
    book.repeat(45, good)
    assert book.states == [AlertState.FIRING]
    book.look(good, after=3600)  # nobody looked: that is no minute of calm
    assert book.states == [AlertState.FIRING]
    book.look(good)
    assert book.told == [Transition.FIRING, Transition.RESOLVED]


def test_condition_that_comes_back_while_kept_firing_starts_the_time_anew() -> None:
    book = Book()
    bad, good = seen(finding(True, keep_s=60)), seen(finding(False, keep_s=60))
    book.look(bad)
    book.repeat(60, good)
    book.look(bad)
    book.repeat(60, good)
    assert book.states == [AlertState.FIRING]
    book.look(good)
    assert book.states == [AlertState.RESOLVED]
    assert book.told == [Transition.FIRING, Transition.RESOLVED]


def test_alert_that_fires_again_soon_goes_on_under_its_id() -> None:
    book = Book()
    book.look(BAD)
    first = book.only.alert
    book.acknowledge(book.only)
    book.look(GOOD)
    book.look(BAD, after=900)
    again = book.only.alert
    assert (again.id, again.count, again.started_at) == (first.id, 2, first.started_at)
    assert (again.acknowledged_at, again.resolved_at, again.fired_at) == (None, None, book.now)
    assert book.told[-2:] == [Transition.RESOLVED, Transition.REOPENED]


def test_alert_that_fires_again_late_is_a_new_one() -> None:
    book = Book()
    book.look(BAD)
    book.look(GOOD)
    book.look(BAD, after=901)
    assert len(book.records) == 2
    assert book.told == [Transition.FIRING, Transition.RESOLVED, Transition.FIRING]


def test_pending_alert_that_began_soon_enough_reopens_the_last_one() -> None:
    book = Book()
    slow, calm = seen(finding(True, for_s=60)), seen(finding(False, for_s=60))
    book.look(slow)
    book.repeat(60, slow)
    book.look(calm)
    book.look(slow, after=890)
    assert book.states == [AlertState.RESOLVED, AlertState.PENDING]
    book.repeat(60, slow)
    assert book.states == [AlertState.FIRING]
    assert book.told[-1] is Transition.REOPENED


def both(warning: bool | None, error: bool | None, for_s: float = 0.0) -> list[Observation]:
    return [
        seen(
            finding(error, Severity.ERROR, "error", for_s=for_s),
            finding(warning, Severity.WARNING, "warning"),
        )
    ]


def test_rise_is_told_again_and_clears_the_acknowledgement() -> None:
    book = Book()
    book.look(*both(True, False))
    book.acknowledge(book.only)
    book.look(*both(True, True))
    alert = book.only.alert
    assert (alert.severity, alert.rule, alert.message) == (Severity.ERROR, "error", "error speaks")
    assert alert.acknowledged_at is None
    assert book.told == [Transition.FIRING, Transition.ACKNOWLEDGED, Transition.RAISED]


def test_fall_is_not_told_and_keeps_the_acknowledgement() -> None:
    book = Book()
    book.look(*both(False, True))
    book.acknowledge(book.only)
    book.look(*both(True, False))
    assert book.only.alert.severity is Severity.WARNING
    assert book.only.alert.acknowledged_by == "ann"
    assert book.told == [Transition.FIRING, Transition.ACKNOWLEDGED]
    book.look(*both(False, False))
    assert book.told[-1] is Transition.RESOLVED


def test_rise_waits_for_its_own_for() -> None:
    book = Book()
    book.look(*both(True, True, for_s=60))
    assert book.only.alert.severity is Severity.WARNING
    book.repeat(45, *both(True, True, for_s=60))
    assert book.only.alert.severity is Severity.WARNING
    book.look(*both(True, True, for_s=60))
    assert book.told == [Transition.FIRING, Transition.RAISED]


def test_only_an_unripe_worse_rule_keeps_a_milder_alert_going() -> None:
    book = Book()
    book.look(*both(True, False, for_s=60))
    book.look(*both(False, True, for_s=60))
    assert (book.states, book.only.alert.severity) == ([AlertState.FIRING], Severity.WARNING)


def test_milder_rule_speaks_at_once_when_the_worse_one_ends() -> None:
    book = Book()
    mild = finding(True, Severity.WARNING, "warning", for_s=600)
    book.look(seen(finding(True), finding(False, Severity.WARNING, "warning", for_s=600)))
    book.look(seen(finding(False), mild))
    assert (book.states, book.only.alert.severity) == ([AlertState.FIRING], Severity.WARNING)


def test_rule_of_a_group_that_is_unknown_keeps_the_alert() -> None:
    book = Book()
    book.look(*both(False, True))
    book.look(*both(False, None))
    assert (book.states, book.only.alert.severity) == ([AlertState.FIRING], Severity.ERROR)


def test_subject_that_is_gone_is_resolved_after_five_minutes_of_answers() -> None:
    book = Book()
    other = seen(finding(False), subject="other")
    book.look(BAD, other)
    book.repeat(300, other)
    assert AlertState.FIRING in book.states
    book.look(other)
    assert book.told == [Transition.FIRING, Transition.RESOLVED]


def test_subject_that_comes_back_is_not_resolved() -> None:
    book = Book()
    other = seen(finding(False), subject="other")
    book.look(BAD, other)
    book.repeat(285, other)
    book.look(BAD, other)
    book.repeat(285, other)
    book.repeat(3600)  # no answer at all
    assert book.told == [Transition.FIRING]


def test_look_that_a_rival_overtook_is_passed_over() -> None:
    book = Book()
    book.look(BAD)
    late = replace(GOOD, at=book.now - timedelta(seconds=1))
    book.advance(Look([late], frozenset({"queue"})))
    assert book.states == [AlertState.FIRING]


def test_clock_that_jumps_back_stops_nothing() -> None:
    book = Book()
    book.look(BAD)
    book.look(GOOD, after=-7200)
    assert book.states == [AlertState.RESOLVED]


def test_followers_hear_of_changes_but_not_of_each_look() -> None:
    book = Book()
    book.look(BAD)
    book.repeat(150, BAD)
    book.look(GOOD)
    assert [each.state for each in book.events] == [AlertState.FIRING, AlertState.RESOLVED]


def test_alert_that_changes_too_often_is_told_once_to_flap_and_at_last_how_it_is() -> None:
    book = Book()
    for _ in range(10):
        book.look(BAD)
        book.look(GOOD)
    assert len(book.records) == 1
    one_by_one = [
        Transition.FIRING, Transition.RESOLVED, Transition.REOPENED, Transition.RESOLVED,
        Transition.REOPENED,
    ]  # fmt: skip
    assert book.told == [*one_by_one, Transition.FLAPPING]
    assert book.only.alert.is_flapping
    book.look(BAD)
    book.repeat(3585, BAD)
    assert len(book.told) == 6
    book.look(BAD)
    assert book.told[6:] == [Transition.FIRING]
    assert not book.only.alert.is_flapping
    book.look(GOOD)
    assert book.told[7:] == [Transition.RESOLVED]


def test_flapping_alert_that_ends_quietly_is_told_its_end_after_an_hour() -> None:
    book = Book()
    for _ in range(3):
        book.look(BAD)
        book.look(GOOD)
    assert book.told[-1] is Transition.FLAPPING
    book.look(BAD, after=2000)  # longer than a reopening, but it has not kept still for an hour
    assert len(book.records) == 1
    book.look(GOOD)
    book.repeat(3585, GOOD)
    assert len(book.told) == 6
    book.look(GOOD)
    assert book.told[6:] == [Transition.RESOLVED]
