"""Where queues go: a line through samples, an honest end, an hour added up."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.queues.history import Direction, Trend
from quarterdeck.queues.trends import Track, eta_s, trend_of

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def depths(*numbers: int, every_s: int = 60) -> list[tuple[datetime, int]]:
    first = NOW - timedelta(seconds=every_s * (len(numbers) - 1))
    return [(first + timedelta(seconds=every_s * n), depth) for n, depth in enumerate(numbers)]


@pytest.mark.parametrize(
    ("numbers", "direction", "slope"),
    [
        ((100, 90, 80, 70, 60), Direction.FALLING, -10),
        ((0, 10, 20, 30, 40), Direction.RISING, 10),
        ((5, 5, 5, 5), Direction.STEADY, 0),
        ((0, 0, 0, 1), Direction.STEADY, 0.3),  # four jobs in ten minutes are noise
        ((10_000, 10_010, 10_020, 10_030), Direction.STEADY, 10),  # 1 % is no trend
    ],
)
def test_line_through_the_samples_has_a_direction(
    numbers: tuple[int, ...], direction: Direction, slope: float
) -> None:
    trend = trend_of(depths(*numbers))
    assert trend is not None
    assert trend.direction is direction
    assert trend.waiting_per_minute == pytest.approx(slope)


@pytest.mark.parametrize("samples", [[], depths(1), depths(1, 2, 3, every_s=60), depths(9, 1)])
def test_too_few_samples_say_nothing(samples: list[tuple[datetime, int]]) -> None:
    assert trend_of(samples) is None


@pytest.mark.parametrize(
    ("direction", "slope", "waiting", "paused", "seconds"),
    [
        (Direction.FALLING, -10, 50, False, 300),
        (Direction.FALLING, -10, 50, True, None),  # nobody takes jobs from it
        (Direction.FALLING, -10, 50, None, None),  # perhaps nobody does
        (Direction.FALLING, -10, 0, False, None),
        (Direction.FALLING, -10, None, False, None),
        (Direction.STEADY, -0.1, 50, False, None),
        (Direction.RISING, 10, 50, False, None),
    ],
)
def test_end_is_foretold_only_of_what_falls(
    direction: Direction, slope: float, waiting: int | None, paused: bool | None, seconds: int
) -> None:
    assert eta_s(Trend(direction, slope), waiting, paused) == seconds


def hour(every_s: int, per_minute: int, missing: range = range(0)) -> Track:
    track = Track()
    for number in range(3600 // every_s + 1):
        at = NOW - timedelta(hours=1) + timedelta(seconds=number * every_s)
        if number not in missing:
            track.add(at, 7, per_minute)
    return track


def test_hour_is_added_up_from_minutes() -> None:
    assert hour(15, 20).outlook(7, False, NOW).completed_last_hour == 1200


def test_hour_with_a_hole_is_unknown() -> None:
    assert hour(15, 20, range(40, 53)).outlook(7, False, NOW).completed_last_hour is not None
    assert hour(15, 20, range(40, 70)).outlook(7, False, NOW).completed_last_hour is None


def test_hour_that_has_passed_tells_nothing_of_now() -> None:
    outlook = hour(15, 20).outlook(7, False, NOW + timedelta(minutes=11))
    assert (outlook.trend, outlook.completed_last_hour) == (None, None)


def test_unknown_samples_leave_a_gap_and_no_zero() -> None:
    track = Track()
    for number in range(20):
        track.add(NOW + timedelta(seconds=15 * number), None, None)
    outlook = track.outlook(None, None, NOW + timedelta(minutes=5))
    assert (outlook.trend, outlook.eta_s, outlook.completed_last_hour) == (None, None, None)


@given(st.lists(st.tuples(st.floats(1, 90), st.integers(0, 10**6)), max_size=300))
def test_track_never_keeps_more_than_its_windows(steps: list[tuple[float, int]]) -> None:
    track, at = Track(), NOW
    for seconds, depth in steps:
        at += timedelta(seconds=seconds)
        track.add(at, depth, depth)
        track.outlook(depth, False, at)
    assert all(at - since <= timedelta(minutes=10) for since, _ in track.depths)
    assert all(at - each.at <= timedelta(hours=1) for each in track.completions)


@given(
    st.lists(st.tuples(st.integers(1, 90), st.integers(0, 10**6)), max_size=400),
    st.integers(0, 4000),
)
def test_hour_is_what_adding_up_all_its_samples_gives(
    steps: list[tuple[int, int]], later_s: int
) -> None:
    track, at, samples = Track(), NOW, list[tuple[datetime, int, int]]()
    for seconds, per_minute in steps:
        at += timedelta(seconds=seconds)
        samples.append((at, per_minute, min(seconds, 60) if samples else 60))
        track.add(at, None, per_minute)
        track.outlook(None, None, at)
    now = at + timedelta(seconds=later_s)
    within = [(rate, seen) for since, rate, seen in samples if now - since <= timedelta(hours=1)]
    covered_s = sum(seen for _, seen in within)
    found = track.outlook(None, None, now).completed_last_hour
    if covered_s < 57 * 60:
        assert found is None
    else:
        completed = sum(rate * seen / 60 for rate, seen in within) * 3600 / covered_s
        assert found == pytest.approx(completed, abs=0.51)


def test_trend_follows_each_new_sample() -> None:
    track = Track()
    for at, depth in depths(100, 90, 80, 70):
        track.add(at, depth, None)
    before = track.outlook(70, False, NOW).trend
    assert before is not None
    assert before.direction is Direction.FALLING
    track.add(NOW + timedelta(minutes=1), 500, None)
    trend = track.outlook(500, False, NOW + timedelta(minutes=1)).trend
    assert trend is not None
    assert trend.direction is Direction.RISING
