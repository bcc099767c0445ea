"""Ids of log lines."""

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as some

from quarterdeck.core.errors import NotFound
from quarterdeck.logs.ids import decode_id, encode_id
from quarterdeck.logs.model import Place

PLACES = some.builds(
    Place,
    some.integers(-(2**63), 2**63 - 1),
    some.integers(0, 2**64 - 1),
    some.integers(0, 2**32 - 1),
)


@given(PLACES)
def test_id_leads_back_to_its_place(place: Place) -> None:
    text = encode_id(place)
    assert decode_id(text) == place
    assert len(text) == 31
    assert text.replace("_", "a").replace("-", "a").isalnum()


def test_id_is_made_as_documented() -> None:
    place = Place(1_764_850_530_123_456, 42, 7)
    packed = struct.pack(">qQI", 1_764_850_530_123_456, 42, 7)
    assert encode_id(place) == "log_" + base64.urlsafe_b64encode(packed).decode().rstrip("=")


@given(some.text(max_size=40) | some.from_regex(r"\Alog_[A-Za-z0-9_-]{20,30}\Z"))
def test_anything_else_is_not_found_or_the_one_id_of_its_place(text: str) -> None:
    try:
        place = decode_id(text)
    except NotFound:
        return
    assert encode_id(place) == text


GOOD = encode_id(Place(1, 2, 3))


@pytest.mark.parametrize(
    "junk",
    [
        "", "log_", "log_123", GOOD[4:], GOOD + "=", GOOD + "A", GOOD[:-1], GOOD.upper(),
        f" {GOOD}",
        f"{GOOD}\n", "LOG_" + GOOD[4:], GOOD[:-1] + "é", GOOD[:-1] + chr(ord(GOOD[-1]) + 1),
        "log_" + "!" * 27, "log_\x00", "\ud800",
    ],
)  # fmt: skip
def test_junk_is_not_found(junk: str) -> None:
    with pytest.raises(NotFound):
        decode_id(junk)
