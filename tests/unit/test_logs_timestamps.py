"""Timestamps of every common form."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.logs.timestamps import Moment, find_moment, moment_of_ns, stamp

ARRIVAL = datetime(2025, 12, 4, 12, 0, tzinfo=UTC)


def year(number: int) -> datetime:
    """Its start, without the zone that Hypothesis adds."""
    return datetime(number, 1, 1, tzinfo=UTC).replace(tzinfo=None)


def read(text: str) -> Moment:
    moment = find_moment(text, ARRIVAL)
    assert moment is not None, text
    return moment


@pytest.mark.parametrize(
    "text",
    [
        "2025-12-04T11:00:00Z", "2025-12-04t11:00:00z", "2025-12-04 11:00:00Z",
        "2025-12-04T11:00:00.000Z", "2025-12-04T11:00:00,000000000Z", "2025-12-04T11:00Z",
        "2025-12-04T11Z", "20251204T110000Z", "20251204T110000.000Z", "2025-12-04T12:00:00+01:00",
        "2025-12-04T12:00:00+0100", "2025-12-04T12:00:00+01", "2025-12-04T05:30:00-05:30",
        "2025-12-04 12:00:00 +0100", "20251204T120000+0100", "2025-338T11:00:00Z",
        "2025-W49-4T11:00:00Z", "2025-12-04T12:00:00+01:00[Europe/Paris]",
        "2025-12-04 11:00:00 +0000 UTC m=+0.013", "2025-12-04 12:00:00 CET", "2025/12/04 11:00:00Z",
        "1764846000", "1764846000000", "1764846000000000", "1764846000000000000", "1764846000.0",
        "1.764846e9", "Thu, 04 Dec 2025 11:00:00 +0000", "Thu, 4 Dec 2025 11:00:00 GMT",
        "4 Dec 2025 12:00:00 +0100", "Thu, 04 Dec 2025 06:00:00 EST",
        "Thursday, 04-Dec-25 11:00:00 GMT", "04/Dec/2025:11:00:00 +0000",
        "[04/Dec/2025:12:00:00 +0100]", "Thu Dec  4 11:00:00 UTC 2025",
        "Thu Dec 04 2025 12:00:00 GMT+0100 (Central European Standard Time)",
    ],
)  # fmt: skip
def test_form_with_a_zone_is_read(text: str) -> None:
    moment = read(text)
    assert (moment.at, moment.assumed_utc) == (datetime(2025, 12, 4, 11, tzinfo=UTC), False)


@pytest.mark.parametrize(
    "text",
    [
        "2025-12-04T11:00:00", "2025-12-04 11:00:00", "2025-12-04 11:00:00,000", "20251204110000",
        "20251204110000000", "20251204T110000", "2025/12/04 11:00:00", "2025.12.04 11:00:00",
        "Dec  4 11:00:00", "Dec 4 11:00:00.000", "Dec  4 2025 11:00:00", "04 Dec 2025 11:00:00.000",
        "Thu Dec  4 11:00:00 2025", "Dec 4, 2025 11:00:00 AM", "04/Dec/2025:11:00:00",
    ],
)  # fmt: skip
def test_form_without_a_zone_is_utc_and_says_so(text: str) -> None:
    moment = read(text)
    assert (moment.at, moment.assumed_utc) == (datetime(2025, 12, 4, 11, tzinfo=UTC), True)


@pytest.mark.parametrize(
    ("text", "microsecond", "exact"),
    [
        ("2025-12-04T11:00:00.5Z", 500_000, True),
        ("2025-12-04T11:00:00,123456Z", 123_456, True),
        ("2025-12-04T11:00:00.123456000Z", 123_456, True),
        ("2025-12-04T11:00:00.123456789Z", 123_456, False),
        ("1764846000.123456", 123_456, False),
        ("1764846000123", 123_000, False),
        ("1764846000123456", 123_456, False),
        ("1764846000123456789", 123_456, False),
    ],
)
def test_fraction_is_kept_to_the_microsecond(text: str, microsecond: int, exact: bool) -> None:
    moment = read(text)
    assert (moment.at.microsecond, moment.exact) == (microsecond, exact)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2025-12-04", datetime(2025, 12, 4, tzinfo=UTC)),
        ("20251204", datetime(2025, 12, 4, tzinfo=UTC)),
        ("2025-12-04T24:00:00Z", datetime(2025, 12, 5, tzinfo=UTC)),
        ("2025-12-04T23:59:60Z", datetime(2025, 12, 5, tzinfo=UTC)),
        ("Dec 4, 2025 1:05:00 PM", datetime(2025, 12, 4, 13, 5, tzinfo=UTC)),
        ("Dec 4, 2025 12:05:00 AM", datetime(2025, 12, 4, 0, 5, tzinfo=UTC)),
        ("1900-01-01T00:00:00Z", datetime(1900, 1, 1, tzinfo=UTC)),
        ("2300-01-01T00:00:00Z", datetime(2300, 1, 1, tzinfo=UTC)),
        ("-5", datetime(1969, 12, 31, 23, 59, 55, tzinfo=UTC)),
        ("0", datetime(1970, 1, 1, tzinfo=UTC)),
        ("1e400", datetime.max.replace(tzinfo=UTC)),
        ("9999-12-31T23:59:59-14:00", datetime.max.replace(tzinfo=UTC)),
        ("0001-01-01T00:00:00+01:00", datetime.min.replace(tzinfo=UTC)),
    ],
)
def test_unusual_moment_is_read(text: str, at: datetime) -> None:
    assert read(text).at == at


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("Dec  5 11:59:59", datetime(2025, 12, 5, 11, 59, 59, tzinfo=UTC)),  # within a day ahead
        ("Dec  6 00:00:00", datetime(2024, 12, 6, tzinfo=UTC)),
        ("Jan  1 00:00:00", datetime(2025, 1, 1, tzinfo=UTC)),
        ("Feb 29 00:00:00", datetime(2024, 2, 29, tzinfo=UTC)),
    ],
)
def test_year_that_is_missing_is_the_latest_possible(text: str, at: datetime) -> None:
    assert read(text).at == at


def test_year_that_is_missing_at_new_year_is_the_senders() -> None:
    last_year = find_moment("Dec 31 23:59:59", datetime(2026, 1, 1, 0, 0, 5, tzinfo=UTC))
    next_year = find_moment("Jan  1 00:00:05", datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC))
    assert last_year is not None and last_year.at.year == 2025
    assert next_year is not None and next_year.at.year == 2026


@pytest.mark.parametrize(
    "text",
    [
        "", "yesterday", "12/04/2025 11:00:00", "2025-13-01T00:00:00Z", "2025-12-04T25:00:00Z",
        "2025-12-04T11:61:00Z", "2025-12-04T11:00:00 XYZ", "04/Foo/2025:11:00:00 +0000",
        "Dec 4 2025", "Feb 30 00:00:00", "2025-366T00:00:00Z", "3.5s", "x" * 10_000, "1" * 5_000,
        "Dec 4, 2025 13:00:00 PM", "٢٠٢٥-12-04T11:00:00Z",
    ],
)  # fmt: skip
def test_what_is_no_timestamp_is_none(text: str) -> None:
    assert find_moment(text, ARRIVAL) is None


@given(st.datetimes(year(1970), year(9999), timezones=st.just(UTC)))
def test_own_form_is_read_back_exactly(at: datetime) -> None:
    moment = read(stamp(at))
    assert (moment.at, moment.exact, moment.assumed_utc) == (at, True, False)


@given(st.datetimes(year(1974), year(2100), timezones=st.just(UTC)))
def test_number_of_any_unit_is_told_by_its_size(at: datetime) -> None:
    microseconds = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    units = (
        (f"{microseconds // 10**6}.{microseconds % 10**6:06}", 1),
        (str(microseconds // 10**6), 10**6),
        (str(microseconds // 1000), 1000),
        (str(microseconds), 1),
        (str(microseconds * 1000), 1),
    )
    for text, unit in units:
        expected = at - timedelta(microseconds=microseconds % unit)
        assert read(text).at == expected, text


@given(st.text(alphabet="0123456789-:.,TZ +/DecGMTamp[]e"))
def test_any_text_is_read_or_not(text: str) -> None:
    moment = find_moment(text, ARRIVAL)
    assert moment is None or moment.at.tzinfo is UTC


@given(st.integers())
def test_any_number_of_nanoseconds_is_a_moment(nanoseconds: int) -> None:
    assert moment_of_ns(nanoseconds).at.tzinfo is UTC
