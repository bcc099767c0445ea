"""Two limits and counting: what falls, what rises, and what does neither."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.health.model import Outcome, ServiceStatus, Threshold
from quarterdeck.health.rules import (
    DEFAULT_THRESHOLDS,
    Latch,
    MetricLatches,
    Side,
    down_recovered,
    side_of,
    side_of_outcome,
    with_defaults,
    worst,
)

ABOVE = Threshold(degraded=1000, recovered=800, down=5000)
BELOW = Threshold(degraded=14, recovered=21, down=0)

Counts = tuple[int, int]
counts = st.tuples(st.integers(1, 5), st.integers(1, 5))
sides = st.lists(st.sampled_from(Side), max_size=60)


def seen(side_list: list[Side], limits: Counts) -> list[bool | None]:
    latch, states = Latch(), []
    for side in side_list:
        latch.see(side, *limits)
        states.append(latch.is_set)
    return states


def statuses(
    values: Sequence[float | None], threshold: Threshold, fall: int = 3, rise: int = 2
) -> list[ServiceStatus]:
    latches, found = MetricLatches(), []
    for value in values:
        latches.see(value, threshold, fall, rise)
        found.append(latches.status)
    return found


@given(sides, counts)
def test_latch_changes_only_after_its_count_in_a_row(side_list: list[Side], limits: Counts) -> None:
    fall, rise = limits
    states = seen(side_list, limits)
    for place, (before, after) in enumerate(pairwise([None, *states])):
        if after and not before:
            assert side_list[place - fall + 1 : place + 1] == [Side.BAD] * fall
        if before and not after:
            assert side_list[place - rise + 1 : place + 1] == [Side.GOOD] * rise


@given(sides, counts)
def test_latch_holds_what_the_last_full_run_said(side_list: list[Side], limits: Counts) -> None:
    fall, rise = limits
    states = seen([*side_list, *[Side.BAD] * fall], limits)
    assert states[-1]
    states = seen([*side_list, *[Side.GOOD] * rise], limits)
    assert states[-1] is False


@given(
    st.lists(st.floats(800, 1000, exclude_min=True), min_size=1, max_size=200),
    st.sampled_from(["good", "bad"]),
    counts,
)
def test_value_inside_the_band_never_flaps(values: list[float], before: str, cs: Counts) -> None:
    known = [100.0] if before == "good" else [2000.0] * cs[0]
    found = statuses([*known, *values], ABOVE, *cs)[len(known) - 1 :]
    assert set(found) == {found[0]}


@given(st.lists(st.floats(14, 21, exclude_max=True), min_size=1, max_size=200))
def test_value_inside_the_band_never_flaps_where_less_is_worse(values: list[float]) -> None:
    assert set(statuses([*[13.0] * 3, *values], BELOW)[2:]) == {ServiceStatus.DEGRADED}
    assert set(statuses([30.0, *values], BELOW)) == {ServiceStatus.HEALTHY}


@given(st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9)), max_size=60), counts)
def test_unknown_values_change_nothing(values: list[float | None], cs: Counts) -> None:
    with_unknown = statuses(values, ABOVE, *cs)
    known = [value for value in values if value is not None]
    kept = [s for s, value in zip(with_unknown, values, strict=True) if value is not None]
    assert kept == statuses(known, ABOVE, *cs)


@given(st.lists(st.floats(-1e9, 1e9), max_size=60), counts)
def test_less_is_worse_mirrors_more_is_worse(values: list[float], cs: Counts) -> None:
    mirrored = Threshold(-1000, -800, -5000)
    assert statuses(values, ABOVE, *cs) == statuses([-value for value in values], mirrored, *cs)


def test_metric_three_times_past_its_limit_is_degraded() -> None:
    healthy, degraded = ServiceStatus.HEALTHY, ServiceStatus.DEGRADED
    assert statuses([1001, 1001, 1001], ABOVE) == [healthy, healthy, degraded]
    assert statuses([1001, 1001, 1000, 1001, 1001], ABOVE) == [healthy] * 5
    assert statuses([1001] * 3 + [800, 800], ABOVE)[-2:] == [degraded, healthy]
    assert statuses([1001] * 3 + [801] * 9, ABOVE)[-1] is degraded


def test_metric_past_down_is_down_and_rises_over_degraded() -> None:
    found = statuses([6000] * 3 + [4801, 4801, 4800, 4800, 800, 800], ABOVE)
    down, degraded = ServiceStatus.DOWN, ServiceStatus.DEGRADED
    assert found[2:] == [down, down, down, down, degraded, degraded, ServiceStatus.HEALTHY]


def test_down_has_the_gap_of_degraded() -> None:
    assert down_recovered(ABOVE) == 4800
    assert down_recovered(BELOW) == 7
    with pytest.raises(ValueError, match="no down"):
        down_recovered(Threshold(1, 0))


def test_limit_without_a_band_is_both_limits() -> None:
    assert side_of(0, 0, 0, is_less_worse=False) is Side.GOOD
    assert side_of(0.1, 0, 0, is_less_worse=False) is Side.BAD


def test_unknown_outcome_is_on_no_side() -> None:
    assert [side_of_outcome(each) for each in (Outcome.OK, Outcome.FAIL, Outcome.UNKNOWN)] == [
        Side.GOOD,
        Side.BAD,
        None,
    ]


def test_worst_of_nothing_is_healthy() -> None:
    assert worst() is ServiceStatus.HEALTHY
    assert worst(ServiceStatus.DEGRADED, ServiceStatus.DOWN) is ServiceStatus.DOWN


def test_defaults_apply_unless_they_are_changed_or_turned_off() -> None:
    own = Threshold(5, 1)
    merged = with_defaults({"response_time_ms.p95": own, "error_rate_percent": None})
    assert merged["response_time_ms.p95"] is own
    assert "error_rate_percent" not in merged
    assert merged["tls_expires_in_days"] is DEFAULT_THRESHOLDS["tls_expires_in_days"]
    assert "queue_backlog" not in with_defaults({})
