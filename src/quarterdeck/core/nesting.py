"""How deep decoded JSON goes."""

from typing import Any


def is_deeper(value: Any, most: int) -> bool:
    """Whether lists and objects are nested more than so many levels deep.

    Whoever goes through them later (a redactor, an encoder) does so by recursion.
    """
    level = [value]
    for _ in range(most + 1):
        nested = [each for each in level if isinstance(each, dict | list)]
        if not nested:
            return False
        level = [
            child
            for each in nested
            for child in (each.values() if isinstance(each, dict) else each)
        ]
    return True
