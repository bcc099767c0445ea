"""Spans of time on the command line."""

from datetime import timedelta

import pytest
import typer

from quarterdeck.cli.tokens import expiry


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("30m", timedelta(minutes=30)), ("12h", timedelta(hours=12)), ("90d", timedelta(days=90)),
        ("never", None),
    ],
)  # fmt: skip
def test_expiry_reads_a_span(text: str, span: timedelta | None) -> None:
    assert expiry(text) == span


@pytest.mark.parametrize(
    "text", ["", "0d", "-1d", "90", "d", "1.5h", "90 d", "9w", "999999d", "\u0661d"]
)
def test_expiry_refuses_what_is_no_span(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="Write 30m, 12h, 90d or never"):
        expiry(text)
