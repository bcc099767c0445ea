"""Bands, backoff, and what may be stored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.work.checks import MAX_TEXT_CHARS, check_job, check_queue_name, shortened
from quarterdeck.work.model import (
    BACKOFF_CAP_S,
    Band,
    Lane,
    NewJob,
    band_of,
    full_jitter,
    lanes_by_priority,
    public_name,
)


@pytest.mark.parametrize(
    ("priority", "band"),
    [(-5, Band.HIGH), (0, Band.HIGH), (50, Band.HIGH), (51, Band.NORMAL), (150, Band.NORMAL),
     (151, Band.LOW), (10_000, Band.LOW)],
)  # fmt: skip
def test_band_of_priority_is_the_documented_one(priority: int, band: Band) -> None:
    assert band_of(priority) is band


def test_public_name_carries_the_band() -> None:
    assert [public_name("email-sending", band) for band in Band] == [
        "queue:email-sending:high",
        "queue:email-sending",
        "queue:email-sending:low",
    ]


@given(st.integers(min_value=1, max_value=10_000))
def test_full_jitter_is_between_zero_and_the_ceiling(attempt: int) -> None:
    assert 0 <= full_jitter(attempt) <= min(BACKOFF_CAP_S, 2.0 ** min(attempt, 40))


def test_lanes_are_sorted_by_priority_and_grouped() -> None:
    lanes = [Lane("a", 100), Lane("b", 5), Lane("c", 100), Lane("a", 7)]
    assert lanes_by_priority(lanes) == [(5, ["b"]), (7, ["a"]), (100, ["a", "c"])]


@given(st.text(alphabet=st.characters(codec=None), max_size=300))
def test_storable_text_is_accepted_by_utf8_and_has_no_nul(text: str) -> None:
    cleaned = shortened(text)
    cleaned.encode()
    assert "\x00" not in cleaned
    assert len(cleaned) == len(text)


def test_storable_keeps_both_ends_of_a_huge_text() -> None:
    cleaned = shortened("begin" + "x" * 10 * MAX_TEXT_CHARS + "end")
    assert cleaned.startswith("begin")
    assert cleaned.endswith("end")
    assert len(cleaned) < MAX_TEXT_CHARS + 100


@pytest.mark.parametrize("name", ["", "a:high", "a:low", "x" * 201, "nul\x00", "half\ud83d"])
def test_queue_name_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="queue_name"):
        check_queue_name(name)


@pytest.mark.parametrize("name", ["a", "analytics:daily", "x" * 200, "é/'\"%😀", ":", "high"])
def test_queue_name_of_any_other_form_is_accepted(name: str) -> None:
    check_queue_name(name)


@pytest.mark.parametrize(
    "payload",
    [
        float("nan"),
        float("inf"),
        {"a": {1, 2}},
        b"x",
        "nul\x00",
        {"\ud800": 1},
        [{"a": ["\udfff"]}],
    ],
)
def test_payload_that_is_no_json_everywhere_is_refused(payload: object) -> None:
    with pytest.raises(InvalidRequest, match="payload"):
        check_job(NewJob(payload))


@pytest.mark.parametrize("payload", [None, "\\u0000", "\\ud800", "😀", {"a": [1.5, True, None]}])
def test_payload_of_any_json_is_accepted(payload: object) -> None:
    check_job(NewJob(payload))
