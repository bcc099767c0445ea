"""Levels of every dialect."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.logs.levels import Scale, find_level
from quarterdeck.logs.model import Level

WORDS = {
    "error": "error ERROR Err fatal CRITICAL crit alert emerg emergency panic SEVERE failure E F",
    "warning": "warning WARN Warn wrn W",
    "info": "info Information INFORMATIONAL notice log Note success DEFAULT I N",
    "debug": "debug DBG trace verbose FINE finer finest config silly http D T V",
}


@pytest.mark.parametrize(
    ("word", "level"), [(word, level) for level, words in WORDS.items() for word in words.split()]
)
def test_word_of_any_dialect_is_known(word: str, level: str) -> None:
    assert find_level(word) == level


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("[ERROR]", "error"), ("<warn>", "warning"), ("ERROR:", "error"), ("*info*", "info"),
        ("\x1b[31mERROR\x1b[39m", "error"), ("INFO+2", "info"), ("DEBUG-4", "debug"),
        ("DEBUG5", "debug"), ("WARN3", "warning"), ("LogLevel.Warning", "warning"),
        (" Level.SEVERE ", "error"), ("(3)", "error"),
    ],
)  # fmt: skip
def test_decorated_level_is_known(text: str, level: str) -> None:
    assert find_level(text) == level


@pytest.mark.parametrize("text", ["", "-", "unknown", "banana", "-4", "999999", "x" * 10_000])
def test_unknown_level_is_none(text: str) -> None:
    assert find_level(text) is None


@pytest.mark.parametrize(
    ("scale", "numbers"),
    [
        (Scale.SYSLOG, {0: "error", 3: "error", 4: "warning", 5: "info", 6: "info", 7: "debug"}),
        (Scale.OTLP, {1: "debug", 8: "debug", 9: "info", 12: "info", 13: "warning", 17: "error",
                      24: "error"}),
        (Scale.PYTHON, {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "error"}),
        (Scale.PINO, {10: "debug", 20: "debug", 30: "info", 35: "info", 40: "warning",
                      50: "error", 60: "error"}),
        (Scale.MONOLOG, {100: "debug", 250: "info", 300: "warning", 400: "error", 600: "error"}),
        (Scale.JAVA, {700: "debug", 800: "info", 900: "warning", 1000: "error"}),
        (Scale.LOGBACK, {10000: "debug", 20000: "info", 30000: "warning", 40000: "error"}),
    ],
)  # fmt: skip
def test_number_is_read_by_its_scale(scale: Scale, numbers: dict[int, str]) -> None:
    assert {number: find_level(str(number), scale) for number in numbers} == numbers
    assert find_level("-1", scale) is None
    assert find_level("999999", scale) is None


@pytest.mark.parametrize(
    ("number", "level"),
    [
        ("0", "error"), ("4", "warning"), ("7", "debug"),  # syslog, as GELF sends it
        ("9", "info"), ("17", "error"),  # OpenTelemetry
        ("10", "debug"), ("30", "info"), ("50", "error"), ("60", "error"),  # pino
        ("400", "error"), ("800", "info"), ("40000", "error"), ("30.0", "info"),
    ],
)  # fmt: skip
def test_number_without_a_scale_is_what_it_most_often_means(number: str, level: str) -> None:
    assert find_level(number) == level


@given(st.text())
def test_any_text_has_a_level_or_none(text: str) -> None:
    assert find_level(text) in (*Level, None)
