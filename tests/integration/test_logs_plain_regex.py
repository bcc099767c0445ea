"""What goes to Vectorscan finds just what RE2 finds, and is never refused."""

# ruff: noqa: RUF001 - signs that look alike are what is tested here

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from quarterdeck.facts.embedded import EmbeddedFacts
from quarterdeck.logs.plain_regex import MAX_BOUND, is_plain
from quarterdeck.logs.regex import check_regex

pytest_plugins = ("facts_fixtures",)

SQL = (
    "SELECT text, match(text, {p:String}) AS ours, multiMatchAny(text, [{p:String}]) AS theirs "
    "FROM (SELECT arrayJoin({texts:Array(String)}) AS text)"
)

PLAIN = [
    r"\b[45]\d\d \d\.\d\.\d\b", r"\b\d{4,} of [0-9]+", r"(\d{1,3}\.){3}\d{1,3}", "a|b", "(?:a|b)+c",
    r"\[\d+\]", "a.b", "a.*b", "[a-f0-9]{8}", r"x\\y", r"\w+@\w+",
]  # fmt: skip
NOT_PLAIN = [
    "a$", "^a", r"\s", r"\D", r"\pL", "[[:alpha:]]", "[^a]", r"[\d]", "(?i)a", "(?P<n>a)", "é",
    "a**", "a+?", "ab{0}", "ab{0,0}", "a*", "a|b?", r"\b+", r"a\bb", "a{33}", "(a{20}){20}", ".{3}",
    "a{,3}", r"\x41", r"\C", "a\n", "a" * 101,
]  # fmt: skip


class Found(Struct):
    text: str
    ours: int
    theirs: int


@pytest.mark.parametrize("pattern", PLAIN)
def test_common_expressions_are_plain(pattern: str) -> None:
    assert is_plain(pattern, ignores_case=False)


@pytest.mark.parametrize("pattern", NOT_PLAIN)
def test_whatever_may_differ_is_not_plain(pattern: str) -> None:
    assert not is_plain(pattern, ignores_case=False)


@pytest.mark.parametrize("pattern", ["k", "S", "[a-z]", "[x]", r"x\w"])
def test_letters_with_a_twin_beyond_ascii_are_not_plain_in_any_case(pattern: str) -> None:
    assert not is_plain(pattern, ignores_case=True)


signs = "abkS09 _.:-/é√ſK\n\t\\[({@"
atoms = st.sampled_from([
    "a", "b", "S", "k", "0", "9", " ", "_", ":", "/", "@", r"\.", r"\[", r"\(", r"\{", r"\\", r"\d",
    r"\w", "[0-9]", "[ab]", "[a-k]", "[A-S9_]", "[.:]", ".", r"\b",
])  # fmt: skip
bounds = st.integers(0, MAX_BOUND)
repeats = st.sampled_from(["", "", "", "*", "+", "?"]) | st.builds("{{{}}}".format, bounds)
repeats |= st.builds("{{{},}}".format, bounds) | st.builds("{{{},{}}}".format, bounds, bounds)


def _more(inner: "st.SearchStrategy[str]") -> "st.SearchStrategy[str]":
    group = st.builds("({}{}){}".format, st.sampled_from(["", "?:"]), inner, repeats)
    either = st.builds("{}|{}".format, inner, inner)
    return group | either | st.builds("{}{}".format, inner, inner)


patterns = st.recursive(st.builds("{}{}".format, atoms, repeats), _more, max_leaves=8)
texts = st.lists(st.text(signs, max_size=30), min_size=1, max_size=30)


@settings(
    max_examples=400,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
    deadline=None,
)
@given(pattern=patterns, ignores_case=st.booleans(), texts=texts)
async def test_both_find_the_same(
    embedded_facts: EmbeddedFacts, pattern: str, ignores_case: bool, texts: list[str]
) -> None:
    assume(not check_regex(pattern, ignores_case) and is_plain(pattern, ignores_case))
    params: dict[str, Any] = {"p": f"(?i){pattern}" if ignores_case else pattern, "texts": texts}
    for row in await embedded_facts.fetch(SQL, Found, params):
        assert row.ours == row.theirs, (pattern, row.text)
