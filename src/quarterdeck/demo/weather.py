"""What goes wrong on the sample platform, and when: the same every ten minutes.

Four episodes, each long enough to be seen, told and over: the mail server is away, the API is slow,
an address is on a list, the database's connections are used up.
"""

from dataclasses import dataclass

ROUND_S = 600.0
POOL_SIZE = 20

SMTP_AWAY = (45.0, 110.0)
API_SLOW = (130.0, 220.0)
LISTED = (130.0, 330.0)
POOL_FULL = (240.0, 320.0)
"""Seconds of a round, from and until. The first comes within a newcomer's first minute. The slow
answers come early, because they count for five minutes: the end of a round is quiet."""

SLOW_S = 3.0


@dataclass(frozen=True, slots=True)
class Weather:
    """How things are at one moment."""

    smtp_is_up: bool
    connections_used: int
    """Of `POOL_SIZE`."""
    clients_waiting: int
    """For a connection."""
    answer_delay_s: float
    """What the API takes longer than usual."""
    is_listed: bool = False
    """One of the sending addresses is on the sample list."""


def weather_at(seconds: float) -> Weather:
    """The weather so many seconds after the platform's first start."""
    at = seconds % ROUND_S
    is_full = _is_within(at, POOL_FULL)
    usual = 6 + int(at / 7) % 4
    return Weather(
        smtp_is_up=not _is_within(at, SMTP_AWAY),
        connections_used=POOL_SIZE if is_full else usual,
        clients_waiting=12 if is_full else 0,
        answer_delay_s=SLOW_S if _is_within(at, API_SLOW) else 0.0,
        is_listed=_is_within(at, LISTED),
    )


def _is_within(at: float, episode: tuple[float, float]) -> bool:
    return episode[0] <= at < episode[1]
