"""An alert's states: inactive, pending, firing, resolved. Pure.

Only time counts during which somebody looked: of the time since the last look, nothing counts when
that is longer than `Limits.longest_gap_s`, or when it found the value unknown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from quarterdeck.alerts.model import Alert, AlertState, Severity, Transition
from quarterdeck.alerts.observation import Finding, Observation
from quarterdeck.alerts.record import Memory, Record
from quarterdeck.core.ids import mint

REOPEN_WITHIN = timedelta(minutes=15)
"""An alert that holds again so soon after its end goes on under the same id."""

ABSENT_FOR_S = 300.0
"""A subject that answers no longer name is gone after this, and its alerts are resolved."""

RIVAL = timedelta(minutes=1)
"""Servers that look at the same time may finish in another order; no clock is off by more."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What depends on the settings."""

    longest_gap_s: float = 45.0
    """Three times the interval: nobody has looked for longer."""


@dataclass(frozen=True, slots=True)
class Step:
    """What became of an alert. None as record: nothing holds, and nothing has fired."""

    record: Record | None
    transition: Transition | None = None


def begin(observation: Observation, previous: Record | None, now: datetime, limits: Limits) -> Step:
    """The first time that something holds; `previous` is its last alert, where that has ended."""
    if not observation.holds:
        return Step(None)
    first = observation.findings[0]
    alert = Alert(
        id=mint("alert"),
        fingerprint=observation.fingerprint,
        rule=first.rule,
        source=observation.source,
        service=observation.subject,
        labels=observation.labels,
        state=AlertState.PENDING,
        severity=first.severity,
        message=first.message,
        value=first.value,
        started_at=observation.starts_at or now,
        fired_at=None,
        updated_at=now,
        resolved_at=None,
        acknowledged_at=None,
        acknowledged_by=None,
        note=None,
        runbook_url=first.runbook_url,
        count=0,
        is_flapping=False,
        silenced_by=None,
        inhibited_by=None,
    )
    memory = Memory(seen_at=now, measured_at=observation.at)
    return proceed(Record(alert, memory), observation, previous, now, limits)


def proceed(
    record: Record, observation: Observation, previous: Record | None, now: datetime, limits: Limits
) -> Step:
    """A look at a pending or firing alert; `previous` is as with `begin`."""
    measured = record.memory.measured_at
    if measured is not None and timedelta() < measured - observation.at <= RIVAL:
        return Step(record)
    elapsed_s = _elapsed_s(record.memory.seen_at, now, limits)
    looked = record.with_memory(
        seen_at=None if observation.holds is None else now,
        measured_at=observation.at,
        held_s=_held(record.memory.held_s, observation.findings, elapsed_s),
        absent_at=None,
        absent_s=0.0,
        depends_on=tuple(observation.depends_on),
        expires_at=observation.expires_at,
    )
    if record.alert.state is AlertState.PENDING:
        return _pending(looked, observation, previous, now)
    return _firing(looked, observation, now, elapsed_s)


def miss(record: Record, now: datetime, limits: Limits) -> Step:
    """A successful answer in which an open alert's subject was missing."""
    absent_s = record.memory.absent_s + _elapsed_s(record.memory.absent_at, now, limits)
    if absent_s < ABSENT_FOR_S:
        return Step(record.with_memory(seen_at=None, absent_at=now, absent_s=absent_s))
    return end(record, now)


def end(record: Record, now: datetime) -> Step:
    """Nothing holds any more."""
    if not record.is_firing:
        return Step(None)
    ended = record.with_alert(state=AlertState.RESOLVED, resolved_at=now, updated_at=now)
    return Step(
        ended.with_memory(held_s={}, clear_s=None, absent_at=None, absent_s=0.0, escalate_at=None),
        Transition.RESOLVED,
    )


def _elapsed_s(since: datetime | None, now: datetime, limits: Limits) -> float:
    if since is None:
        return 0.0
    elapsed_s = (now - since).total_seconds()
    return elapsed_s if 0.0 <= elapsed_s <= limits.longest_gap_s else 0.0


def _held(
    before: Mapping[str, float], findings: Sequence[Finding], elapsed_s: float
) -> dict[str, float]:
    """How long each rule has held; one that is unknown keeps what it had."""
    held: dict[str, float] = {}
    for finding in findings:
        if finding.holds:
            held[finding.rule] = before[finding.rule] + elapsed_s if finding.rule in before else 0.0
        elif finding.holds is None and finding.rule in before:
            held[finding.rule] = before[finding.rule]
    return held


def _worst(findings: Sequence[Finding]) -> Finding | None:
    return max(findings, key=lambda finding: finding.severity.rank, default=None)


def _ripe(record: Record, findings: Sequence[Finding]) -> list[Finding]:
    """Rules that hold and have held for long enough."""
    held = record.memory.held_s
    return [each for each in findings if each.holds and held[each.rule] >= each.for_s]


def _pending(
    record: Record, observation: Observation, previous: Record | None, now: datetime
) -> Step:
    if observation.holds is False:
        return Step(None)
    speaker = _worst(_ripe(record, observation.findings))
    if speaker is None:
        waiting = _worst([each for each in observation.findings if each.holds])
        return Step(_saying(record, waiting) if waiting else record)
    if previous is not None and _goes_on(previous, record.alert.started_at, now):
        return Step(_reopened(previous, record, speaker, now), Transition.REOPENED)
    fired = _saying(record, speaker)
    return Step(
        fired.with_alert(state=AlertState.FIRING, fired_at=now, updated_at=now, count=1),
        Transition.FIRING,
    )


def _goes_on(previous: Record, started_at: datetime, now: datetime) -> bool:
    ended_at = previous.alert.resolved_at
    assert ended_at is not None  # noqa: S101 - only what has ended is previous
    # Somebody else's alert may say that it began long before we heard of it.
    return previous.alert.is_flapping or min(started_at, now) - ended_at <= REOPEN_WITHIN


def _reopened(previous: Record, pending: Record, speaker: Finding, now: datetime) -> Record:
    again = _saying(previous, speaker).with_alert(
        state=AlertState.FIRING,
        fired_at=now,
        updated_at=now,
        resolved_at=None,
        acknowledged_at=None,
        acknowledged_by=None,
        note=None,
        count=previous.alert.count + 1,
    )
    looked = pending.memory
    return again.with_memory(
        seen_at=looked.seen_at,
        measured_at=looked.measured_at,
        held_s=looked.held_s,
        depends_on=looked.depends_on,
        expires_at=looked.expires_at,
        step=0,
    )


def _firing(record: Record, observation: Observation, now: datetime, elapsed_s: float) -> Step:
    if observation.holds is None:
        return Step(record)
    if observation.holds is False:
        return _clearing(record, observation, now, elapsed_s)
    record = record.with_memory(clear_s=None)
    ripe = _ripe(record, observation.findings)
    rank = record.alert.severity.rank
    # What has not held for long enough does not raise, but keeps going what fires already.
    mild = [each for each in observation.findings if each.holds and each.severity.rank <= rank]
    speaker = _worst(ripe + mild)
    if speaker is None:
        return Step(record)
    said = _saying(record, speaker)
    if speaker.severity.rank > rank:
        return Step(_unacknowledged(said, now), Transition.RAISED)
    if speaker.severity.rank < rank:
        said = said.with_alert(updated_at=now)
        if said.memory.owed is Transition.RAISED:
            said = said.with_memory(owed=None)
    return Step(said)


def _clearing(record: Record, observation: Observation, now: datetime, elapsed_s: float) -> Step:
    before = record.memory.clear_s
    clear_s = 0.0 if before is None else before + elapsed_s
    by_rule = {each.rule: each.keep_firing_for_s for each in observation.findings}
    if clear_s < by_rule.get(record.alert.rule, 0.0):
        return Step(record.with_memory(clear_s=clear_s))
    return end(record, now)


def _unacknowledged(record: Record, now: datetime) -> Record:
    return record.with_alert(updated_at=now, acknowledged_at=None, acknowledged_by=None, note=None)


def _saying(record: Record, speaker: Finding) -> Record:
    severity: Severity = speaker.severity
    return record.with_alert(
        rule=speaker.rule,
        severity=severity,
        message=speaker.message,
        value=speaker.value,
        runbook_url=speaker.runbook_url,
    )
