"""Which notices follow from what became of an alert, to which channels. Pure.

A notice is withheld while a silence or an inhibition holds, and is then owed. The end is told to
all that were told of the alert, whatever holds by then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from quarterdeck.alerts.model import Alert, Transition
from quarterdeck.alerts.record import Record
from quarterdeck.alerts.routing import Routing


@dataclass(frozen=True, slots=True)
class Notice:
    """One change of an alert, for some channels."""

    alert: Alert
    """As it is after the change."""
    transition: Transition
    sequence: int
    """Grows by one with each notice of an alert."""
    channels: Sequence[str]
    at: datetime


@dataclass(frozen=True, slots=True)
class Told:
    """An alert, and what is to be told of it now."""

    record: Record
    notices: Sequence[Notice] = ()


def tell(
    record: Record, wanted: Transition | None, is_withheld: bool, routing: Routing, now: datetime
) -> Told:
    """What follows now; `wanted` is the change that is to be told, if there was one."""
    if wanted is Transition.RESOLVED:
        return _end(record, now)
    wanted = _due(record, wanted, is_withheld)
    if wanted is None:
        return _escalate(record, is_withheld, routing, now)
    if is_withheld:
        owes_other = record.memory.owed is None or wanted is Transition.FLAPPING
        return Told(record.with_memory(owed=wanted) if owes_other else record)
    return _announce(record, wanted, routing, now)


def acknowledge(record: Record, who: str, note: str, now: datetime) -> Told:
    """Somebody looks after it: who was told hears of that, and it escalates no further."""
    is_new = record.alert.acknowledged_at is None
    taken = record.with_alert(
        acknowledged_at=now, acknowledged_by=who, note=note or None, updated_at=now
    ).with_memory(escalate_at=None)
    return _notify(taken, Transition.ACKNOWLEDGED, taken.memory.told if is_new else (), now)


def unacknowledge(record: Record, routing: Routing, now: datetime) -> Told:
    """Nobody looks after it any more: the time until the next step begins again."""
    if record.alert.acknowledged_at is None:
        return Told(record)
    given = record.with_alert(acknowledged_at=None, acknowledged_by=None, note=None, updated_at=now)
    timed = with_timer(given, routing, now)
    return _notify(timed, Transition.UNACKNOWLEDGED, timed.memory.told, now)


def with_timer(record: Record, routing: Routing, now: datetime) -> Record:
    """The same, to be escalated when its time is up, if there is somebody left to tell."""
    is_calm = record.alert.acknowledged_at is not None or record.alert.is_flapping
    following = routing.after(record.memory.step, record.alert.severity)
    if is_calm or following is None:
        return record.with_memory(escalate_at=None)
    return record.with_memory(escalate_at=now + timedelta(seconds=routing.escalate_after_s))


def _due(record: Record, wanted: Transition | None, is_withheld: bool) -> Transition | None:
    if is_withheld or not record.is_firing or wanted is Transition.FLAPPING:
        return wanted
    # What was withheld is told instead: nobody has heard of the alert before it was raised.
    return record.memory.owed or wanted


def _end(record: Record, now: datetime) -> Told:
    ended = record.with_memory(owed=None, told=(), escalate_at=None)
    return _notify(ended, Transition.RESOLVED, record.memory.told, now)


def _announce(record: Record, transition: Transition, routing: Routing, now: datetime) -> Told:
    step = max(record.memory.step, routing.first_step)
    wanting = routing.up_to(step, record.alert.severity)
    told = tuple(dict.fromkeys([*record.memory.told, *wanting]))
    known = record.with_memory(step=step, told=told, owed=None)
    return _notify(with_timer(known, routing, now), transition, told, now)


def _escalate(record: Record, is_withheld: bool, routing: Routing, now: datetime) -> Told:
    due_at = record.memory.escalate_at
    if not record.is_firing or is_withheld or due_at is None or due_at > now:
        return Told(record)
    step = routing.after(record.memory.step, record.alert.severity)
    if step is None:
        return Told(record.with_memory(escalate_at=None))
    channels = routing.of(step, record.alert.severity)
    told = tuple(dict.fromkeys([*record.memory.told, *channels]))
    further = with_timer(record.with_memory(step=step, told=told), routing, now)
    return _notify(further, Transition.ESCALATED, channels, now)


def _notify(record: Record, transition: Transition, channels: Sequence[str], now: datetime) -> Told:
    if not channels:
        return Told(record)
    sequence = record.memory.sequence + 1
    numbered = record.with_memory(sequence=sequence)
    return Told(numbered, [Notice(numbered.alert, transition, sequence, tuple(channels), now)])
