"""What may be stored: checked before it reaches a database, so that both refuse the same."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.core.text import is_storable, storable
from quarterdeck.work.model import BAND_SUFFIX, NewJob

MAX_NAME_CHARS = 200
MAX_TEXT_CHARS = 65_536
"""Longer messages and traces lose their middle: the end of a trace tells what was raised."""
INT32 = range(-(2**31), 2**31)


def shortened(text: str) -> str:
    """The text with what no database takes replaced, and its middle cut out if it is huge."""
    if len(text) > MAX_TEXT_CHARS:
        half = MAX_TEXT_CHARS // 2
        text = f"{text[:half]}\n[... {len(text) - 2 * half} characters cut ...]\n{text[-half:]}"
    return storable(text)


def check_queue_name(name: str) -> None:
    """Refuse names that could not be told from a band, or not be stored.

    Raises:
        InvalidRequest: naming the field.
    """
    if not name or len(name) > MAX_NAME_CHARS:
        raise InvalidRequest.of(
            "queue_name", f"give a name of 1 to {MAX_NAME_CHARS} characters.", "body"
        )
    if not is_storable(name):
        raise InvalidRequest.of(
            "queue_name", "remove the NUL characters and lone surrogates from the name.", "body"
        )
    for suffix in filter(None, BAND_SUFFIX.values()):
        if name.endswith(suffix):
            raise InvalidRequest.of(
                "queue_name",
                f"use a name that does not end in '{suffix}': that names a band of a queue. "
                "Give the job a priority instead.",
                "body",
            )


def check_job(job: NewJob) -> None:
    """Refuse what cannot be stored or would never run.

    Raises:
        InvalidRequest: naming the field.
    """
    if job.priority is not None:
        check_priority("priority", job.priority)
    if job.max_attempts < 1 or job.max_attempts not in INT32:
        raise InvalidRequest.of("max_attempts", "give a whole number of at least 1.", "body")
    if job.run_at is not None:
        _check_aware(job.run_at)
    check_json("payload", job.payload)


def check_priority(field: str, priority: int) -> None:
    """Refuse a priority that is no 32-bit number.

    Raises:
        InvalidRequest: naming `field`.
    """
    if priority not in INT32:
        raise InvalidRequest.of(field, "give a whole number of 32 bits, such as 100.", "body")


def check_json(field: str, value: Any) -> None:
    """Refuse what is no JSON on both databases (NaN, NUL characters, sets, dates...).

    Raises:
        InvalidRequest: naming `field`.
    """
    try:
        encoded = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest.of(field, f"give JSON data; {error}.", "body") from error
    # Escapes are rare: only then is it worth looking at every string.
    if ("\\u0000" in encoded or "\\ud" in encoded) and not all(map(is_storable, _strings(value))):
        raise InvalidRequest.of(
            field, "remove the NUL characters and lone surrogates from its strings.", "body"
        )


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _strings(key)
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)


def _check_aware(moment: datetime) -> None:
    if moment.utcoffset() is None:
        raise InvalidRequest.of(
            "run_at", "give a time with its offset from UTC, such as 2025-12-04T10:00:00Z.", "body"
        )
