"""Alerts that change too often are told so once, and then not before they keep still. Pure."""

from datetime import datetime, timedelta

from quarterdeck.alerts.model import AlertState, Transition
from quarterdeck.alerts.record import Record

WINDOW = timedelta(hours=1)
MOST = 5
"""Changes within the window that are told one by one."""


def flip(record: Record, transition: Transition, now: datetime) -> tuple[Record, Transition | None]:
    """Note a change; gives what is to be told of it: itself, that it flaps, or nothing."""
    flips = (*(each for each in record.memory.flips if now - each < WINDOW), now)
    noted = record.with_memory(flips=flips)
    if record.alert.is_flapping:
        return noted, None
    if len(flips) <= MOST:
        return noted, transition
    return noted.with_alert(is_flapping=True, updated_at=now), Transition.FLAPPING


def settle(record: Record, now: datetime) -> tuple[Record, Transition | None]:
    """End the quiet time once it has kept still for as long; gives what it ended as."""
    last = max(record.memory.flips, default=None)
    if not record.alert.is_flapping or (last is not None and now - last < WINDOW):
        return record, None
    still = record.with_alert(is_flapping=False, updated_at=now).with_memory(flips=())
    has_ended = record.alert.state is AlertState.RESOLVED
    return still, Transition.RESOLVED if has_ended else Transition.FIRING
