"""Text as databases and logs can take it."""

import re

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def is_storable(text: str) -> bool:
    """Whether text survives both databases: no NUL (PostgreSQL refuses it), no lone surrogate."""
    return _UNSTORABLE.search(text) is None


def storable(text: str) -> str:
    """The text with each character that no database takes replaced by U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)
