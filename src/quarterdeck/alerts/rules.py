"""Decides, of signals, which rules hold. Pure."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence

from quarterdeck.alerts.fingerprint import fingerprint
from quarterdeck.alerts.model import Operator, Rule
from quarterdeck.alerts.observation import Finding, Observation
from quarterdeck.alerts.wildcard import matches
from quarterdeck.core.signals import Signal, Value
from quarterdeck.core.text import storable

PLACEHOLDER = re.compile(r"\{([\w.]+)\}")
UNKNOWN = "unknown"


def observe(rules: Sequence[Rule], signals: Iterable[Signal]) -> list[Observation]:
    """What all rules say of all signals; a signal that no rule is for gives nothing."""
    by_source: dict[str, list[Rule]] = {}
    for rule in rules:
        if rule.is_enabled:
            by_source.setdefault(rule.source, []).append(rule)
    found: dict[str, Observation] = {}
    for signal in signals:
        wanted = [rule for rule in by_source.get(signal.source, ()) if is_for(rule, signal)]
        for observation in _observations(wanted, signal):
            found[observation.fingerprint] = observation
    return list(found.values())


def is_for(rule: Rule, signal: Signal) -> bool:
    """Whether a rule looks at this signal."""
    known = {**signal.labels, "subject": signal.subject}
    return rule.source == signal.source and all(
        name in known and matches(pattern, known[name]) for name, pattern in rule.match.items()
    )


def holds(operator: Operator, value: Value, threshold: Value) -> bool | None:
    """Whether a value crosses a threshold; None when it is unknown or cannot be compared."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if operator in {Operator.IS, Operator.IS_NOT}:
        if _kind(value) is not _kind(threshold):
            return None
        return (value == threshold) is (operator is Operator.IS)
    if _kind(value) is not float or _kind(threshold) is not float:
        return None
    assert isinstance(value, float | int) and isinstance(threshold, float | int)  # noqa: S101
    return {
        Operator.ABOVE: value > threshold,
        Operator.AT_LEAST: value >= threshold,
        Operator.BELOW: value < threshold,
        Operator.AT_MOST: value <= threshold,
    }[operator]


def shown(value: Value) -> str:
    """A value for people: `12,345`, `5.3`, `yes`."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if not math.isfinite(value):
        return str(value)
    if value == int(value):
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.1f}"


def render(rule: Rule, signal: Signal) -> str:
    """The message of a rule, filled in; a detail that the signal does not give is `unknown`."""
    known = {
        **signal.details,
        "subject": signal.subject,
        "measure": rule.measure,
        "value": shown(signal.values.get(rule.measure)),
        "threshold": shown(rule.threshold),
    }
    text = PLACEHOLDER.sub(lambda found: known.get(found[1], UNKNOWN), rule.message)
    return storable(text)


def _observations(rules: Sequence[Rule], signal: Signal) -> Iterable[Observation]:
    groups: dict[str, list[Rule]] = {}
    for rule in rules:
        groups.setdefault(rule.group or rule.name, []).append(rule)
    subject, labels = storable(signal.subject), _storable(signal.labels)
    for group, members in groups.items():
        yield Observation(
            fingerprint=fingerprint(group, signal.source, subject, labels),
            source=signal.source,
            subject=subject,
            labels=labels,
            at=signal.at,
            findings=[_finding(rule, signal) for rule in members],
            depends_on=tuple(map(storable, signal.depends_on)),
        )


def _finding(rule: Rule, signal: Signal) -> Finding:
    value = signal.values.get(rule.measure)
    if isinstance(value, float) and not math.isfinite(value):
        value = None  # JSON, hence the database and all channels, have no word for it
    return Finding(
        rule=rule.name,
        holds=holds(rule.operator, value, rule.threshold),
        severity=rule.severity,
        message=render(rule, signal),
        value=storable(value) if isinstance(value, str) else value,
        for_s=rule.for_s,
        keep_firing_for_s=rule.keep_firing_for_s,
        runbook_url=rule.runbook_url or signal.runbook_url,
    )


def _kind(value: Value) -> type:
    if isinstance(value, bool):
        return bool
    return str if isinstance(value, str) else float


def _storable(labels: Mapping[str, str]) -> dict[str, str]:
    return {storable(name): storable(value) for name, value in labels.items()}
