"""One pass over all alerts: what was found, what time has brought, and who is to be told. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from quarterdeck.alerts.flapping import flip, settle
from quarterdeck.alerts.inhibition import Inhibition
from quarterdeck.alerts.lifecycle import Limits, Step, begin, end, miss, proceed
from quarterdeck.alerts.model import Alert, AlertState, Silence, Transition
from quarterdeck.alerts.observation import Observation
from quarterdeck.alerts.record import Record
from quarterdeck.alerts.routing import Routing
from quarterdeck.alerts.silencing import find_silence
from quarterdeck.alerts.telling import Notice, tell, with_timer


@dataclass(frozen=True, slots=True)
class Policy:
    """What of the settings decides."""

    routing: Routing = field(default_factory=Routing)
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Look:
    """What was found. Alerts of sources that did not answer stay as they are."""

    observations: Sequence[Observation] = ()
    answered: frozenset[str] = frozenset()
    """Sources that named all their subjects: who is not among them is missing."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is stored before the pass."""

    open: Sequence[Record]
    """All that are pending or firing."""
    ended: Sequence[Record]
    """Resolved ones that may go on: recent ones of fingerprints looked at, and all flapping."""
    silences: Sequence[Silence]
    """Those that have not ended, oldest first."""


@dataclass(slots=True)
class Outcome:
    """What is to be stored, in one transaction."""

    added: list[Record] = field(default_factory=list)
    changed: list[Record] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    """Ids of pending alerts that never fired."""
    notices: list[Notice] = field(default_factory=list)
    events: list[Alert] = field(default_factory=list)
    """What followers see."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be stored."""
        return not (self.added or self.changed or self.gone)


def advance(known: Known, look: Look, policy: Policy, now: datetime) -> Outcome:
    """Everything that follows now."""
    before = {record.alert.id: record for record in (*known.open, *known.ended)}
    steps = _looked(known, look, policy.limits, now)
    after = dict(before)
    outcome = Outcome()
    wanted: dict[str, Transition | None] = {}
    for alert_id in [each for each in steps if steps[each].record is None]:
        outcome.gone.append(alert_id)
        del after[alert_id]
    for step in steps.values():
        if step.record is not None:
            after[step.record.alert.id] = step.record
            wanted[step.record.alert.id] = step.transition
    inhibition = Inhibition(after.values())
    for alert_id, record in after.items():
        damped, telling = _damped(record, wanted.get(alert_id), now)
        done = _withheld(damped, known.silences, inhibition, now)
        _finish(outcome, before.get(alert_id), done, telling, policy.routing, now)
    return outcome


def _looked(known: Known, look: Look, limits: Limits, now: datetime) -> dict[str, Step]:
    """By id; the step of a pending alert that goes on under an older id is under both."""
    opened = {record.alert.fingerprint: record for record in known.open}
    ended = _latest(known.ended)
    steps: dict[str, Step] = {}
    for observation in look.observations:
        record = opened.get(observation.fingerprint)
        previous = ended.get(observation.fingerprint)
        if record is None:
            step = begin(observation, previous, now, limits)
        else:
            step = proceed(record, observation, previous, now, limits)
            steps[record.alert.id] = Step(None)
        if step.record is not None:
            steps[step.record.alert.id] = step
    found = {observation.fingerprint for observation in look.observations}
    for record in known.open:
        expires_at = record.memory.expires_at
        if record.alert.fingerprint in found:
            continue
        if expires_at is not None and expires_at <= now:
            steps[record.alert.id] = end(record, now)
        elif record.alert.source in look.answered:
            steps[record.alert.id] = miss(record, now, limits)
    return steps


def _latest(ended: Iterable[Record]) -> Mapping[str, Record]:
    by_end = sorted(ended, key=lambda record: record.alert.resolved_at or record.alert.updated_at)
    return {record.alert.fingerprint: record for record in by_end}


def _damped(
    record: Record, transition: Transition | None, now: datetime
) -> tuple[Record, Transition | None]:
    return settle(record, now) if transition is None else flip(record, transition, now)


@dataclass(frozen=True, slots=True)
class _Withheld:
    record: Record
    is_withheld: bool


def _withheld(
    record: Record, silences: Sequence[Silence], inhibition: Inhibition, now: datetime
) -> _Withheld:
    silenced_by = find_silence(record.alert, silences, now)
    inhibited_by = inhibition.of(record)
    is_withheld = silenced_by is not None or inhibited_by is not None
    shown = (silenced_by, inhibited_by) if record.is_firing else (None, None)
    if shown != (record.alert.silenced_by, record.alert.inhibited_by):
        record = record.with_alert(silenced_by=shown[0], inhibited_by=shown[1], updated_at=now)
    return _Withheld(record, is_withheld)


def _finish(
    outcome: Outcome,
    before: Record | None,
    done: _Withheld,
    telling: Transition | None,
    routing: Routing,
    now: datetime,
) -> None:
    record = done.record
    if before is not None and _was_withheld(before) and not done.is_withheld and record.is_firing:
        # Who silenced it knows of it: the others get their time from now on.
        record = with_timer(record, routing, now) if record.memory.step else record
    told = tell(record, telling, done.is_withheld, routing, now)
    record = told.record
    outcome.notices += told.notices
    if before is None:
        outcome.added.append(record)
    elif record != before:
        outcome.changed.append(record)
    if record.alert.state is not AlertState.PENDING and _is_news(before, record):
        outcome.events.append(record.alert)


def _was_withheld(record: Record) -> bool:
    return record.alert.silenced_by is not None or record.alert.inhibited_by is not None


def _is_news(before: Record | None, record: Record) -> bool:
    """Whether more has changed than the number in the message."""
    if before is None:
        return True
    return record.alert != replace(
        before.alert, value=record.alert.value, message=record.alert.message
    )
