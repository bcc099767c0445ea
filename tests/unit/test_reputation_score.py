"""The score: every number of the page that describes it, and what may never happen."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.reputation.mail import MailRates
from quarterdeck.reputation.model import DnsIdentity, IpStatus, Tier
from quarterdeck.reputation.score import (
    BOUNCES_LIMIT,
    COMPLAINTS,
    HARD_BOUNCES,
    Exposure,
    Known,
    points,
    score_of,
    status_of,
    wilson,
)

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
QUIET = MailRates(45_000, 315_000, 0, 0, 300_000, 0, 315_000, 45_000)
NAMED = DnsIdentity(ip_address("192.0.2.1"), NOW, True, "mta1.acme.example", True, False)


def listed(list_id: str, weight: float, hours: float, *, now: bool = True) -> Exposure:
    return Exposure(list_id, (), weight, timedelta(hours=hours), now)


def share(total: int, wanted: float) -> int:
    """How many of a total make a lower bound of this share."""
    return next(count for count in range(total) if wilson(count, total) >= wanted)


CLEAN = Known(
    rates=replace(QUIET, hard_bounces_7d=share(315_000, 0.015)), identity=NAMED, lists_checked=8
)


def test_samples_of_the_spec_come_out() -> None:
    score = score_of(CLEAN)
    assert (score.value, score.confidence) == (98, "high")
    assert status_of([], score, CLEAN.rates) is IpStatus.GOOD
    after = replace(CLEAN, exposures=[listed("spamhaus", 30, 2)])
    assert score_of(after).value == 92
    assert status_of([Tier.MAJOR], score_of(after), after.rates) is IpStatus.CRITICAL
    late = replace(CLEAN, exposures=[listed("spamhaus", 30, 72)])
    assert score_of(late).value == 68
    assert status_of([Tier.MAJOR], score_of(late), late.rates) is IpStatus.CRITICAL


def test_other_numbers_of_the_page() -> None:
    only = replace(CLEAN, exposures=[listed("uceprotect-3", 1, 72)])
    assert score_of(only).value == 97
    complaints = Known(rates=replace(QUIET, complaints_7d=share(300_000, 0.0031)))
    assert score_of(complaints).value == 69
    assert status_of([], score_of(complaints), complaints.rates) is IpStatus.WARNING
    bounces = Known(rates=replace(QUIET, hard_bounces_7d=share(315_000, 0.102)))
    assert score_of(bounces).value == 68
    assert status_of([], score_of(bounces), bounces.rates) is IpStatus.WARNING
    nothing = score_of(Known())
    assert (nothing.value, nothing.breakdown, nothing.confidence) == (100, [], "none")


def test_one_complaint_in_300_costs_two_points() -> None:
    rates = replace(QUIET, complaints_7d=1, complainable_7d=300)
    assert score_of(Known(rates=rates)).value == 98


def test_limit_of_a_receiver_is_a_warning_by_itself() -> None:
    rates = replace(QUIET, hard_bounces_7d=share(315_000, BOUNCES_LIMIT))
    # The cap leaves 68; with the score raised by hand the status stays.
    score = replace(score_of(Known(rates=rates)), value=90)
    assert status_of([], score, rates) is IpStatus.WARNING
    assert status_of([], score, QUIET) is IpStatus.GOOD


@pytest.mark.parametrize(
    ("tiers", "status"),
    [
        ([], IpStatus.GOOD), ([Tier.INFO], IpStatus.GOOD), ([Tier.MINOR], IpStatus.WARNING),
        ([Tier.STANDARD], IpStatus.WARNING), ([Tier.MINOR, Tier.MAJOR], IpStatus.CRITICAL),
    ],
)  # fmt: skip
def test_status_is_of_the_worst_list(tiers: list[Tier], status: IpStatus) -> None:
    assert status_of(tiers, score_of(Known()), None) is status


@pytest.mark.parametrize(
    ("hours", "now", "expected"),
    [
        (0, True, 0.2), (2, True, 0.2), (36, True, 0.5), (500, True, 1), (36, False, 0.5),
        (0, False, 0),
    ],
)  # fmt: skip
def test_exposure_is_slow_and_never_nothing_while_listed(
    hours: float, now: bool, expected: float
) -> None:
    assert listed("x", 10, hours, now=now).share == pytest.approx(expected)


def test_listings_share_their_cap() -> None:
    known = Known(exposures=[listed("a", 30, 72), listed("b", 30, 72), listed("c", 20, 72)])
    score = score_of(known)
    assert score.value == 60
    assert [round(part.points, 1) for part in score.breakdown] == [15, 15, 10]


@pytest.mark.parametrize(
    ("changes", "cost", "why"),
    [
        ({"has_ptr": False, "ptr": None}, 10, "no name"),
        ({"is_forward_confirmed": False}, 8, "does not lead back"),
        ({"is_generic": True}, 4, "looks generic"),
        ({"helo": "mail.x", "helo_resolves": False}, 5, "does not resolve"),
        ({"helo": "mail.x", "helo_resolves": True, "helo_matches": False}, 2, "not its name"),
        ({"has_ptr": False, "helo": "mail.x", "helo_resolves": False}, 15, "no name"),
        ({"has_ptr": None, "ptr": None, "is_forward_confirmed": None}, 0, ""),
    ],
)
def test_names_cost_what_is_known_of_them(changes: dict[str, object], cost: int, why: str) -> None:
    score = score_of(Known(identity=replace(NAMED, **changes)))  # type: ignore[arg-type]
    assert score.value == 100 - cost
    assert why in "".join(part.why for part in score.breakdown)


@pytest.mark.parametrize(
    ("volume", "median", "cost"),
    [
        (90_000, 45_000, 0), (225_000, 45_000, 10), (900, 1, 0), (5000, None, 0),
        (157_500, 45_000, 5),
    ],
)  # fmt: skip
def test_jump_of_the_volume_costs_points(volume: int, median: float | None, cost: int) -> None:
    rates = replace(QUIET, accepted_24h=volume, daily_median=median)
    assert score_of(Known(rates=rates)).value == 100 - cost


def test_anchors_are_met_exactly() -> None:
    assert [points(rate, COMPLAINTS) for rate, _ in COMPLAINTS] == [0, 12, 31, 40]
    assert [points(rate, HARD_BOUNCES) for rate, _ in HARD_BOUNCES] == [0, 3, 15, 32]
    assert points(1, COMPLAINTS) == 40


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_lower_bound_is_below_the_share(count: int, total: int) -> None:
    bound = wilson(min(count, total), total)
    assert 0 <= bound <= (min(count, total) / total if total else 0) + 1e-12


COUNT = st.integers(0, 10**6)
MEDIAN = st.none() | st.floats(0, 10**6)
RATES = st.builds(MailRates, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, MEDIAN)
EXPOSURES = st.lists(
    st.builds(
        Exposure, st.just("x"), st.just(()), st.floats(0, 40),
        st.timedeltas(timedelta(), timedelta(days=30)), st.booleans(),
    ),
    max_size=8,
)  # fmt: skip


@given(EXPOSURES, st.none() | RATES)
def test_score_is_what_its_parts_say(exposures: list[Exposure], rates: MailRates | None) -> None:
    score = score_of(Known(exposures=exposures, rates=rates))
    assert 0 <= score.value <= 100
    total = sum(part.points for part in score.breakdown)
    assert score.value == max(0, round(100 - total))
    assert all(part.points > 0 and part.why for part in score.breakdown)
