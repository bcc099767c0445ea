"""How deep decoded JSON goes."""

from typing import Any

import pytest

from quarterdeck.core.nesting import is_deeper


def nested(levels: int, value: Any = 1) -> Any:
    for number in range(levels):
        value = [value] if number % 2 else {"key": value}
    return value


@pytest.mark.parametrize("levels", [0, 1, 99, 100])
def test_as_many_levels_are_not_deeper(levels: int) -> None:
    assert not is_deeper(nested(levels), 100)


@pytest.mark.parametrize("levels", [101, 102, 5000])
def test_more_levels_are_deeper(levels: int) -> None:
    assert is_deeper(nested(levels), 100)
    assert is_deeper(["beside", {}, nested(levels)], 100)


@pytest.mark.parametrize("value", [None, "text", 1.5, [], {}, ["a", "b"]])
def test_flat_values_are_not_deep(value: Any) -> None:
    assert not is_deeper(value, 1)
