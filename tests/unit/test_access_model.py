"""Roles and their rights; the form of a token."""

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quarterdeck.access.model import Right, Role, has_right
from quarterdeck.access.tokens import parse
from quarterdeck.core.errors import Unauthenticated

WHOLE = "qd_ops_abcdefgh2345_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2crXeW"
ALPHABET = string.ascii_letters + string.digits


@pytest.mark.parametrize(
    ("role", "rights"),
    [
        (Role.VIEWER, {Right.READ}),
        (Role.INGEST, {Right.INGEST}),
        (Role.OPS, {Right.READ, Right.CHANGE}),
        (Role.ADMIN, {Right.READ, Right.CHANGE, Right.INGEST, Right.ADMINISTER}),
    ],
)
def test_role_holds_exactly_its_rights(role: Role, rights: set[Right]) -> None:
    assert {right for right in Right if has_right(role, right)} == rights


def test_whole_token_is_split_without_showing_its_secret() -> None:
    parsed = parse(WHOLE)
    assert parsed.id == "abcdefgh2345"
    assert parsed.body == WHOLE[:-6]
    assert "0123456789ABC" not in repr(parsed)


@given(st.integers(0, len(WHOLE) - 1), st.sampled_from(ALPHABET + "_ .\x00é"))
def test_one_wrong_character_is_refused_without_a_look_up(place: int, letter: str) -> None:
    mistyped = WHOLE[:place] + letter + WHOLE[place + 1 :]
    if mistyped != WHOLE:
        with pytest.raises(Unauthenticated, match="malformed"):
            parse(mistyped)


@given(st.integers(0, len(WHOLE) - 2))
def test_swapped_neighbours_are_refused(place: int) -> None:
    swapped = WHOLE[:place] + WHOLE[place + 1] + WHOLE[place] + WHOLE[place + 2 :]
    if swapped != WHOLE:
        with pytest.raises(Unauthenticated):
            parse(swapped)


@given(st.one_of(st.text(), st.from_regex(r"qd_[a-z]+_[a-z2-7]{12}_[0-9A-Za-z]{49}")))
@example(WHOLE + "\n")
@example(WHOLE[:-1])
@example("")
@example("qd_____")
def test_anything_else_is_refused_and_nothing_crashes(presented: str) -> None:
    with pytest.raises(Unauthenticated, match="malformed"):
        parse(presented)
