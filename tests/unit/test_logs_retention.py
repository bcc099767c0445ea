"""Which days go."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.logs.model import Day
from quarterdeck.logs.retention import Retention, surplus

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def days(*sizes: int) -> list[Day]:
    """One day each, the last one today."""
    start = NOW.date() - timedelta(days=len(sizes) - 1)
    return [
        Day((start + timedelta(days=number)).isoformat(), 10, size)
        for number, size in enumerate(sizes)
    ]


def test_days_older_than_the_retention_go() -> None:
    gone = surplus(days(*[1] * 10), Retention(3, 0), NOW)
    assert [day.partition for day in gone] == [f"2026-11-{day}" for day in range(15, 21)]


def test_what_the_retention_drops_is_never_taken_in() -> None:
    retention = Retention(3, 0)
    oldest = retention.oldest(NOW).date().isoformat()
    assert all(day.partition < oldest for day in surplus(days(*[1] * 10), retention, NOW))


def test_oldest_days_go_until_the_rest_has_room() -> None:
    gone = surplus(days(40, 30, 20, 10), Retention(90, 35), NOW)
    assert [day.bytes for day in gone] == [40, 30]


def test_the_newest_day_stays_however_large_it_is() -> None:
    assert surplus(days(500), Retention(90, 35), NOW) == []


def test_a_lone_day_that_is_too_old_goes() -> None:
    old = [Day("2026-01-01", 10, 1)]
    assert surplus(old, Retention(90, 0), NOW) == old


@given(st.lists(st.integers(0, 100), min_size=1, max_size=12), st.integers(1, 400))
def test_what_is_left_has_room_or_is_one_day(sizes: list[int], room: int) -> None:
    given_days = days(*sizes)
    gone = surplus(given_days, Retention(3650, room), NOW)
    left = given_days[len(gone) :]
    assert gone == given_days[: len(gone)]
    assert sum(day.bytes for day in left) <= room or len(left) == 1
