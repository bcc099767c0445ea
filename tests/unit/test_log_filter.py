"""The search parameters: what is understood, and which field is named when it is not."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as some

from quarterdeck.api.log_filter import EARLIEST, LATEST, filter_of
from quarterdeck.core.errors import InvalidRequest
from quarterdeck.logs.kept_filter import from_data, to_data
from quarterdeck.logs.model import MAX_NAME, Filter, Level
from quarterdeck.logs.query import MAX_QUERY

TEN = datetime(2025, 12, 4, 10, tzinfo=UTC)
TEXTS = ("query", "service", "request_id", "user_id", "tenant_id")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-12-04T10:00:00Z", TEN),
        ("2025-12-04T10:00:00", TEN),
        ("2025-12-04T12:00:00+02:00", TEN),
        ("2025-12-04T12:00:00 02:00", TEN),
        ("2025-12-04T12:00:00 0200", TEN),
        ("2025-12-04 10:00", TEN),
        (" 2025-12-04T10:00:00.000Z ", TEN),
        ("2025-12-04T10:00:00.123456789Z", TEN.replace(microsecond=123_456)),
        ("2025-12-04", TEN.replace(hour=0)),
        ("0001-01-01T00:00:00+14:00", EARLIEST),
        ("9999-12-31T23:59:59-14:00", LATEST),
    ],
)
def test_times_are_read_as_utc(text: str, moment: datetime) -> None:
    assert filter_of({"start_time": text}) == Filter(start=moment)
    assert filter_of({"end_time": text}) == Filter(end=moment)


@pytest.mark.parametrize("name", ["start_time", "end_time"])
@pytest.mark.parametrize(
    "text", ["now", "1733306400", "2025-13-01", "10:00", "2025-12-04T", "\x00"]
)
def test_other_times_are_refused(name: str, text: str) -> None:
    assert refused({name: text}) == name


def test_start_after_end_is_refused_and_the_same_moment_is_not() -> None:
    same = {"start_time": "2025-12-04T10:00:00Z", "end_time": "2025-12-04T11:00:00+01:00"}
    assert filter_of(same) == Filter(start=TEN, end=TEN)
    assert refused({**same, "start_time": "2025-12-04T10:00:00.000001Z"}) == "start_time"


@pytest.mark.parametrize("name", ["level", "min_level"])
def test_unknown_level_is_refused_with_the_known_ones(name: str) -> None:
    assert getattr(filter_of({name: "warning"}), name) is Level.WARNING
    with pytest.raises(InvalidRequest, match="error, warning, info, debug"):
        filter_of({name: "WARN"})


@pytest.mark.parametrize("name", TEXTS)
def test_texts_have_a_longest_length_and_no_nul(name: str) -> None:
    most = MAX_QUERY if name == "query" else MAX_NAME
    assert getattr(filter_of({name: "x" * most}), name) == "x" * most
    assert refused({name: "x" * (most + 1)}) == name
    assert refused({name: "a\x00"}) == name


def test_empty_values_are_as_if_not_given() -> None:
    assert filter_of(dict.fromkeys((*TEXTS, "level", "start_time"), "")) == Filter()


def test_error_says_where_the_field_stands() -> None:
    with pytest.raises(InvalidRequest) as error:
        filter_of({"level": "x"}, source="body")
    assert error.value.details[0]["source"] == "body"


@given(
    some.builds(
        Filter,
        query=some.none() | some.text(),
        level=some.none() | some.sampled_from(Level),
        service=some.none() | some.text(),
        start=some.none() | some.datetimes(timezones=some.just(UTC)),
    )
)
def test_kept_filter_comes_back(wanted: Filter) -> None:
    assert from_data(to_data(wanted)) == wanted


def refused(values: dict[str, str]) -> str:
    with pytest.raises(InvalidRequest) as error:
        filter_of(values)
    return error.value.details[0]["field"]
