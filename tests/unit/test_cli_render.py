"""What people see, from what servers say."""

from datetime import timedelta
from typing import Any

import pytest

from quarterdeck.cli import render
from quarterdeck.core.clock import iso_z, utc_now


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h 0 min"),
        (47.5 * 3600, "47 h 30 min"), (48 * 3600, "2 d 0 h"), (10**7, "115 d 17 h"),
    ],
)  # fmt: skip
def test_span_is_rounded_down_to_what_matters(seconds: float, shown: str) -> None:
    assert render.span(seconds) == shown


@pytest.mark.parametrize(
    ("queue", "shown"),
    [
        ({"oldest_waiting_age_s": 200.4, "waiting_jobs": 3}, "3 min"),
        ({"oldest_waiting_age_s": 0, "waiting_jobs": 3}, "0 s"),
        ({"oldest_waiting_at": None, "waiting_jobs": 0}, "-"),
        ({"oldest_waiting_at": None, "waiting_jobs": None}, "?"),
        ({"oldest_waiting_at": None, "waiting_jobs": 3}, "?"),
        ({"oldest_waiting_at": "yesterday", "waiting_jobs": 3}, "?"),
        ({"oldest_waiting_at": "2025-12-04T10:00:00", "waiting_jobs": 3}, "?"),
    ],
)
def test_oldest_waiting_is_an_age_a_dash_or_unknown(queue: dict[str, Any], shown: str) -> None:
    assert render.queue_row(queue)[-1] == shown


def test_oldest_waiting_moment_becomes_an_age() -> None:
    since = iso_z(utc_now() - timedelta(minutes=5, seconds=30))
    assert render.queue_row({"oldest_waiting_at": since})[-1] == "5 min"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain", "plain"), ("a\tb\r\n", "a\\tb\\r\\n"), ("é 📬", "é 📬"), ("\x9b31m", "\\x9b31m")],
)
def test_safe_shows_controls_as_escapes(text: str, shown: str) -> None:
    assert render.safe(text) == shown
