"""Regular expressions: which are taken, and which texts a match must contain."""

# ruff: noqa: RUF001 - signs that look alike are what is tested here

import pytest
import re2  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.logs.regex import MAX_PATTERN, OPTIONS, check_regex, find_in, literals

LITERALS = {
    "failed": [("failed",)],
    "Failed": [("failed",)],
    "failed.*lease": [("failed", "lease")],
    r"failed .* lease \d+ ms": [("failed ", " lease ", " ms")],
    "lost|found": [("found",), ("lost",)],
    "lease (lost|found) now": [("lease found now",), ("lease lost now",)],
    "a|": [],
    "(a|b?)c": [("ac",), ("c",)],
    "ab?c": [("a", "c")],
    "ab*c": [("a", "c")],
    "ab+c": [("ab", "c")],
    "a(bc)+d": [("abc", "d")],
    "ab{2}c": [("ab", "c")],
    "ab{1}c": [("abc",)],
    "ab{0,3}c": [("a", "c")],
    "ab{2,}?c": [("ab", "c")],
    "x{a}": [],
    "{a}": [("{a}",)],
    "^abc$": [("abc",)],
    r"\bab\B\A\z": [("ab",)],
    "a.c": [("a", "c")],
    "a[bc]d": [("a", "d")],
    "a[]b]c": [("a", "c")],
    "a[^]b]c": [("a", "c")],
    r"a[\]b]c": [("a", "c")],
    "a[[:alpha:]]c": [("a", "c")],
    r"a\d\pL\p{Greek}c": [("a", "c")],
    r"a\x41\x{42}\101c": [("a", "c")],
    r"a\.b\/c\n": [("a.b/c\n",)],
    r"\Qa.b\E": [],
    "(?:ab)(?P<x>cd)(?<y>ef)": [("abcdef",)],
    "(?i)abc": [("abc",)],
    "(?i)ABC": [("abc",)],
    "(?i:AB)S": [("abs",)],
    "(?i)ask": [("ask",), ("aſk",)],
    "a(?i)*": [],
    "(?s-i:S)": [("s",)],
    "((?i)s)s": [("ss",), ("ſs",)],
    "aéb": [("a", "b")],
    ".*": [],
    "": [],
    "(a|b)(c|d)(e|f)(g|h)": [
        (f"{a}{b}{c}",) for a in "ab" for b in "cd" for c in "ef"
    ],
    "a|b|c|d|e|f|g|h|i": [],
}  # fmt: skip


@pytest.mark.parametrize("pattern", LITERALS)
def test_texts_that_a_match_contains(pattern: str) -> None:
    assert check_regex(pattern, False) is None
    assert list(literals(pattern, False)) == LITERALS[pattern]


def test_flag_is_that_of_the_expression() -> None:
    assert literals("Mess", True) == (("mess",), ("mesſ",), ("meſs",), ("meſſ",))
    assert find_in("A", "a", True)
    assert not find_in("A", "a", False)


@pytest.mark.parametrize(
    ("pattern", "at"),
    [("ab(c", 0), ("ab[c", 2), (r"a\1", 1), ("a**", 1), ("x(?=a)", 1), ("é\\", 1)],
)
def test_what_re2_refuses_is_refused_at_its_place(pattern: str, at: int) -> None:
    problem = check_regex(pattern, True)
    assert problem is not None
    assert problem.at == at
    assert "RE2" in problem.message


def test_large_expressions_are_refused(capfd: pytest.CaptureFixture[str]) -> None:
    assert check_regex("a" * MAX_PATTERN, False) is None
    assert check_regex("a" * (MAX_PATTERN + 1), False) is not None
    assert check_regex(r"(\pL{100}){10}", False) is not None
    assert capfd.readouterr() == ("", "")


ATOMS = st.sampled_from(
    [
        *"abksSKAé.{}", "lease", "Error", "^", "$", "[a-c]", "[^a]", "[]a]", "[[:alpha:]]", r"\d",
        r"\w", r"\W", r"\b", r"\B", r"\.", r"\/", r"\x61", r"\x{53}", r"\141", r"\pL", r"\p{Greek}",
        "ſ", "\u212a", "(?i)", "(?-i)", "(?s)", r"\Qa.b\E", r"\Q\E", r"\n", "{2}", "{,2}", "{02}",
        "[.]", r"[\]]", "σ",
    ]
)  # fmt: skip
REPEATS = st.sampled_from(["", "", "", "*", "+", "?", "*?", "{2}", "{0,1}", "{1}", "{1,2}", "{0}"])
REGEXES = st.recursive(
    st.builds("".join, st.tuples(ATOMS, REPEATS)),
    lambda inner: st.one_of(
        st.builds("".join, st.lists(inner, min_size=1, max_size=4)),
        st.builds("|".join, st.lists(inner, min_size=1, max_size=3)),
        st.builds(
            "{}{}){}".format,
            st.sampled_from(["(", "(?:", "(?i:", "(?-i:", "(?P<n>", "(?s-i:"]),
            inner,
            REPEATS,
        ),
    ),
    max_leaves=8,
)
TEXTS = st.lists(
    st.sampled_from(
        [*"abcksSKAé.{}12_ \n", "ſ", "\u212a", "lease", "LEASE", "leaſe", "Error", "a.b", "Σς"]
    ),
    max_size=10,
).map("".join)  # fmt: skip


def contains(text: str, pieces: tuple[str, ...]) -> bool:
    at = 0
    for piece in pieces:
        at = text.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return True


@pytest.mark.slow
@settings(max_examples=500)
@given(REGEXES, st.booleans(), st.lists(TEXTS, min_size=5, max_size=20))
def test_what_matches_contains_the_literals(pattern: str, flag: bool, texts: list[str]) -> None:
    if check_regex(pattern, flag) is not None:
        return
    known = literals(pattern, flag)
    if not known:
        return
    for text in texts:
        if find_in(text, pattern, flag):
            assert any(contains(text.lower(), pieces) for pieces in known), (known, text)


@given(st.text(max_size=30), st.booleans())
def test_any_text_is_an_expression_or_refused(pattern: str, flag: bool) -> None:
    try:
        re2.compile(pattern, OPTIONS)
    except (re2.error, UnicodeEncodeError):
        return
    if check_regex(pattern, flag) is None:
        literals(pattern, flag)
