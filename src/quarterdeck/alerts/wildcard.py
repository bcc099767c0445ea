"""Patterns of which `*` is the only sign with a meaning."""


def matches(pattern: str, text: str) -> bool:
    """Whether the whole text fits; `*` stands for anything, also for nothing.

    In time that grows with the product of both lengths at most: patterns come from people.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == text
    *middle, last = rest
    if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
        return False
    place, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, place, end)
        if found < 0:
            return False
        place = found + len(part)
    return True
