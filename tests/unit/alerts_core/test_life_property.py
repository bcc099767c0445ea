"""Whatever happens in whatever order: what must always hold of alerts and their notices."""

from collections import Counter
from datetime import timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from quarterdeck.alerts.model import AlertState, Matcher, Severity, Silence, Transition
from quarterdeck.alerts.observation import Observation
from quarterdeck.alerts.routing import Route
from quarterdeck.alerts.telling import Notice
from unit.alerts_core.book import Book, finding, seen

ROUTES = (Route("chat"), Route("mail", Severity.ERROR), Route("pager", step=2))
SUBJECTS = ("db", "api", "web")
PARENTS = {"db": (), "api": ("db",), "web": ("api", "web")}
TELLING = {
    Transition.FIRING, Transition.RAISED, Transition.REOPENED, Transition.FLAPPING,
    Transition.ESCALATED,
}  # fmt: skip
VALUES = st.sampled_from([True, False, None])


class Life(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.book = Book(ROUTES)

    @rule(
        values=st.lists(st.tuples(VALUES, VALUES), min_size=3, max_size=3),
        times=st.integers(1, 5),
        after=st.sampled_from([1, 15, 15, 15, 44, 100, 600, 4000]),
    )
    def look(self, values: list[tuple[bool | None, bool | None]], times: int, after: int) -> None:
        found = [_seen(subject, *both) for subject, both in zip(SUBJECTS, values, strict=True)]
        for _ in range(times):
            self.book.look(*found, after=after)

    @rule(present=st.sets(st.sampled_from(SUBJECTS), min_size=1, max_size=2))
    def miss_some(self, present: set[str]) -> None:
        self.book.repeat(330, *(_seen(subject, None, None) for subject in sorted(present)))

    @rule(subject=st.sampled_from(SUBJECTS), minutes=st.sampled_from([1, 10, 90]))
    def silence(self, subject: str, minutes: int) -> None:
        now = self.book.now
        matchers = [Matcher("service", subject)]
        end = now + timedelta(minutes=minutes)
        number = len(self.book.silences)
        self.book.silences.append(Silence(f"s{number}", matchers, "ann", "x", now, now, end))

    @precondition(lambda self: any(r.is_firing for r in self.book.records.values()))
    @rule(back=st.booleans(), pick=st.integers(0, 2))
    def acknowledge(self, back: bool, pick: int) -> None:
        firing = [each for each in self.book.records.values() if each.is_firing]
        record = firing[pick % len(firing)]
        if back:
            self.book.unacknowledge(record)
        else:
            self.book.acknowledge(record)

    @invariant()
    def one_open_alert_for_each_fingerprint(self) -> None:
        opened = Counter(
            each.alert.fingerprint
            for each in self.book.records.values()
            if each.alert.state is not AlertState.RESOLVED
        )
        assert not [each for each, number in opened.items() if number > 1]

    @invariant()
    def each_channel_hears_a_story_that_makes_sense(self) -> None:
        for record in self.book.records.values():
            for route in ROUTES:
                heard = [n for n in self.book.notices if n.alert.id == record.alert.id]
                mine = [n for n in heard if route.channel in n.channels]
                is_open = _check(mine)
                if record.alert.state is AlertState.RESOLVED and not record.alert.is_flapping:
                    assert not is_open, "told of the beginning, and never of the end"

    @invariant()
    def nothing_is_forgotten(self) -> None:
        for record in self.book.records.values():
            alert = record.alert
            if record.is_firing and not (alert.silenced_by or alert.inhibited_by):
                assert record.memory.owed is None
                assert "chat" in record.memory.told

    @invariant()
    def numbers_of_notices_are_unique_and_grow(self) -> None:
        by_alert: dict[str, int] = {}
        for notice in self.book.notices:
            assert notice.sequence == by_alert.get(notice.alert.id, 0) + 1
            by_alert[notice.alert.id] = notice.sequence


def _check(heard: list[Notice]) -> bool:
    """Whether the channel believes that it fires; fails on two opposite notices out of order."""
    is_open = False
    for notice in heard:
        if notice.transition in TELLING:
            is_open = True
        else:
            assert is_open, f"{notice.transition} without a beginning"
        if notice.transition is Transition.RESOLVED:
            assert notice.alert.state is AlertState.RESOLVED
            is_open = False
        elif notice.transition is not Transition.FLAPPING:
            assert notice.alert.state is AlertState.FIRING
    return is_open


def _seen(subject: str, warning: bool | None, error: bool | None) -> Observation:
    return seen(
        finding(error, Severity.ERROR, "error", for_s=30),
        finding(warning, Severity.WARNING, "warning", keep_s=20),
        subject=subject,
        depends_on=PARENTS[subject],
    )


TestLife = pytest.mark.slow(Life.TestCase)
TestLife.settings = settings(max_examples=150, stateful_step_count=40)
