"""The steps of plots over time: as many as a screen shows, of widths that people can read."""

from collections.abc import Iterator
from datetime import datetime, timedelta

POINTS = 300
"""A plot has about as many pixels; more points say no more."""
STEPS_S = (
    15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 28_800, 43_200, 86_400,
)  # fmt: skip
"""Widths of a plot's steps that people can read."""


def step_for(hours: float) -> int:
    """Seconds of a step, such that a plot of these hours has at most about `POINTS`."""
    wanted = hours * 3600 / POINTS
    return next((step for step in STEPS_S if step >= wanted), STEPS_S[-1])


def steps_between(since: datetime, until: datetime, step_s: int) -> Iterator[datetime]:
    """Where the steps of a plot begin: at multiples of `step_s` since 1970."""
    first = int(since.timestamp()) // step_s * step_s
    at = datetime.fromtimestamp(first, since.tzinfo)
    while at < until:
        yield at
        at += timedelta(seconds=step_s)
