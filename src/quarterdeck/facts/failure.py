"""What ClickHouse says when it fails, in words for the user. Neither SQL nor paths get out."""

import re

from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.facts.ports import Insert, Limits, QueryLimit, RowsRefused

SOURCE = "facts"

_CODE = re.compile(r"Code: (\d+)\.")
_NAME = re.compile(r"\(([A-Z][A-Z0-9_]{2,})\)")

_TOO_SLOW = frozenset({159, 160})
_TOO_LARGE = frozenset({173, 241, 307, 158, 396})
_STOPPED = frozenset({394})
_BUSY = frozenset({202, 252})
_NO_SPACE = frozenset({243})
_UNREADABLE = frozenset({6, 26, 27, 33, 38, 41, 53, 69, 70, 72, 117, 130, 131, 321, 349, 469, 636})


def code_of(text: str) -> int:
    """The engine's error code; 0 when there is none."""
    found = _CODE.search(text)
    return int(found.group(1)) if found else 0


def query_failure(text: str, limits: Limits | None) -> SourceUnavailable:
    """The error for a query or a statement that failed with `text`."""
    code = code_of(text)
    if code in _TOO_SLOW and limits is not None:
        return QueryLimit(
            SOURCE,
            f"The search was stopped after {limits.seconds:g} s; "
            "narrow its time range or make it more specific.",
        )
    if code in _TOO_LARGE:
        return QueryLimit(
            SOURCE,
            "The search was stopped because it needed more memory than it may take; "
            "narrow its time range or make it more specific.",
        )
    if code in _STOPPED:
        return SourceUnavailable(SOURCE, "The search was stopped.")
    return _failure(text, code)


def insert_failure(text: str, insert: Insert) -> SourceUnavailable:
    """The error for an insert that failed with `text`: nothing of it counts as added."""
    code = code_of(text)
    if code in _TOO_LARGE:
        return SourceUnavailable(
            SOURCE, f"The store had no memory free to add {insert.count} rows; try again."
        )
    if code in _UNREADABLE:
        return RowsRefused(
            SOURCE, f"The store refused {insert.count} rows: one is not of the table's form."
        )
    return _failure(text, code)


def unreachable() -> SourceUnavailable:
    """The error for a server that does not answer."""
    return SourceUnavailable(SOURCE, "The store of facts cannot be reached; try again shortly.")


def closed() -> SourceUnavailable:
    """The error for a call after `close`."""
    return SourceUnavailable(SOURCE, "The store of facts is closed.")


def disk_full() -> SourceUnavailable:
    """The error for a disk without room."""
    return SourceUnavailable(
        SOURCE, "The disk of the store of facts is full; free some space and try again."
    )


def _failure(text: str, code: int) -> SourceUnavailable:
    if code in _NO_SPACE or "No space left on device" in text:
        return disk_full()
    if code in _BUSY:
        return SourceUnavailable(SOURCE, "The store of facts is overloaded; try again shortly.")
    names = _NAME.findall(text)
    reason = names[-1].lower().replace("_", " ") if names else "unknown error"
    return SourceUnavailable(SOURCE, f"The store of facts could not do it: {reason}.")
