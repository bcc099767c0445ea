"""Rules over signals: what holds, what is unknown, what is said."""

from dataclasses import replace
from typing import Any

import pytest

from quarterdeck.alerts.defaults import DEFAULTS
from quarterdeck.alerts.model import Operator, Rule, Severity
from quarterdeck.alerts.rules import holds, observe, shown
from quarterdeck.alerts.wildcard import matches
from quarterdeck.core.signals import Signal, Value
from unit.alerts_core.world import NOON


def signal(source: str, subject: str, **values: Value) -> Signal:
    named = {name.replace("__", "."): value for name, value in values.items()}
    details = {"reason": "no answer", "waiting": "1,500", "failed": "12"}
    return Signal(source, subject, NOON, named, details=details)


def said(*signals: Signal) -> dict[str, tuple[Severity, str]]:
    """What holds of the defaults, by rule."""
    return {
        finding.rule: (finding.severity, finding.message)
        for observation in observe(DEFAULTS, signals)
        for finding in observation.findings
        if finding.holds
    }


@pytest.mark.parametrize(
    ("operator", "value", "threshold", "expected"),
    [
        (Operator.ABOVE, 11, 10, True), (Operator.ABOVE, 10, 10, False),
        (Operator.AT_LEAST, 10, 10, True), (Operator.BELOW, 9.9, 10, True),
        (Operator.BELOW, 10, 10, False), (Operator.AT_MOST, 10, 10, True),
        (Operator.IS, "down", "down", True), (Operator.IS, "up", "down", False),
        (Operator.IS_NOT, "up", "down", True), (Operator.IS, True, True, True),
        (Operator.IS, 1, True, None), (Operator.ABOVE, True, 0, None),
        (Operator.ABOVE, "11", 10, None), (Operator.ABOVE, None, 10, None),
        (Operator.IS_NOT, None, "down", None), (Operator.ABOVE, float("nan"), 10, None),
    ],
)  # fmt: skip
def test_comparison_is_true_false_or_unknown(
    operator: Operator, value: Value, threshold: Value, expected: bool | None
) -> None:
    assert holds(operator, value, threshold) is expected


@pytest.mark.parametrize(
    ("name", "value", "fires", "severity", "message"),
    [
        ("queue_depth", ("queue", "waiting", 12_345, 10_000), True, Severity.ERROR,
         "Queue size exceeded 10,000 threshold: 12,345 jobs wait in x"),
        ("queue_failure_rate", ("queue", "failure_rate_percent", 5.25, 5.0), True, Severity.ERROR,
         "5.25 % of the jobs of x failed in the last hour; up to 5 % is normal"),
        ("queue_critical", ("queue", "status", "critical", "healthy"), True, Severity.ERROR,
         "Queue x is critical: 1,500 waiting, 12 failed"),
        ("queue_warning", ("queue", "status", "warning", "healthy"), True, Severity.WARNING,
         "Queue x is filling: 1,500 waiting, 12 failed"),
        ("service_down", ("service", "status", "down", "healthy"), True, Severity.ERROR,
         "x is down: no answer"),
        ("service_degraded", ("service", "status", "degraded", "down"), True, Severity.WARNING,
         "x is degraded: no answer"),
        ("response_time", ("service", "response_time_ms.p95", 1234.5, 1000.0), True,
         Severity.WARNING, "95 % of the answers of x take up to 1,234.5 ms; 1,000 ms is the limit"),
        ("connection_pool", ("service", "connection_pool_usage_percent", 80.0, 79.9), True,
         Severity.INFO, "80 % of the connections of x are in use"),
        ("ip_blacklisted", ("ip", "listed_on_major", True, False), True, Severity.ERROR,
         "x is listed on a major blacklist: no answer"),
        ("ip_listed", ("ip", "listed_on_other", True, False), True, Severity.WARNING,
         "x is listed: no answer"),
        ("ip_reputation", ("ip", "reputation_score", 69, 70), True, Severity.WARNING,
         "The reputation of x fell to 69; below 70 mail is held back"),
    ],
)  # fmt: skip
def test_default_rule_holds_just_past_its_limit(
    name: str, value: tuple[str, str, Value, Value], fires: bool, severity: Severity, message: str
) -> None:
    source, measure, past, within = value
    assert said(Signal(source, "x", NOON, {measure: past}, details=_details()))[name] == (
        severity,
        message,
    )
    assert name not in said(signal(source, "x", **{measure.replace(".", "__"): within}))
    assert name not in said(signal(source, "x", **{measure.replace(".", "__"): None}))
    assert name not in said(signal(source, "x"))


def _details() -> dict[str, str]:
    return dict(signal("", "").details)


def test_each_default_rule_is_tried() -> None:
    marks: Any = test_default_rule_holds_just_past_its_limit.pytestmark  # type: ignore[attr-defined]
    assert {case[0] for case in marks[0].args[1]} == {rule.name for rule in DEFAULTS}


def test_slow_answers_must_last_five_minutes() -> None:
    assert {rule.name: rule.for_s for rule in DEFAULTS if rule.for_s} == {"response_time": 300}


def test_depth_and_status_of_a_queue_are_two_alerts_and_both_statuses_are_one() -> None:
    found = observe(DEFAULTS, [signal("queue", "x", waiting=20_000, status="critical")])
    groups = [{finding.rule for finding in each.findings} for each in found]
    assert {"queue_critical", "queue_warning"} in groups
    assert {"queue_depth"} in groups
    assert len({each.fingerprint for each in found}) == 3


def test_identity_is_of_labels_and_subject_but_not_of_values_or_details() -> None:
    def prints(**changes: Any) -> set[str]:
        base = Signal("queue", "x", NOON, {"waiting": 1}, {"source": "a", "priority": "high"})
        return {each.fingerprint for each in observe(DEFAULTS, [replace(base, **changes)])}

    same = prints()
    assert prints(values={"waiting": 99_999}, details={"reason": "y"}) == same
    assert prints(labels={"priority": "high", "source": "a"}) == same
    assert not prints(labels={"source": "b", "priority": "high"}) & same
    assert not prints(subject="y") & same


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({}, True), ({"subject": "email:*"}, True), ({"subject": "email"}, False),
        ({"subject": "*:high", "source": "re*"}, True), ({"tenant": "*"}, False),
    ],
    ids=["none", "wildcard", "whole", "both", "label-that-is-not-there"],
)  # fmt: skip
def test_rule_looks_only_at_what_it_matches(match: dict[str, str], fits: bool) -> None:
    rule = Rule("r", "queue", "waiting", Operator.ABOVE, 1, Severity.INFO, "x", match=match)
    seen = Signal("queue", "email:high", NOON, {"waiting": 2}, {"source": "redis"})
    assert bool(observe([rule], [seen])) is fits


def test_disabled_rule_finds_nothing() -> None:
    rules = [replace(rule, is_enabled=False) for rule in DEFAULTS]
    assert observe(rules, [signal("queue", "x", waiting=20_000)]) == []


def test_message_shows_unknown_details_and_takes_no_format_tricks() -> None:
    message = "{nothing} {subject.__class__} {0} {{value}} {value!r} {value}"
    rule = Rule("r", "queue", "waiting", Operator.ABOVE, 1, Severity.INFO, message)
    (found,) = observe([rule], [signal("queue", "a{value}\x00", waiting=2)])
    assert found.findings[0].message == "unknown unknown unknown {2} {value!r} 2"
    assert found.subject == "a{value}\ufffd"


def test_infinite_value_is_unknown() -> None:
    (found, *_) = observe(DEFAULTS, [signal("queue", "x", waiting=float("inf"))])
    assert (found.findings[0].holds, found.findings[0].value) == (None, None)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "unknown"), (True, "yes"), (False, "no"), ("down", "down"), (10_000, "10,000"),
        (5.0, "5"), (5.256, "5.256"), (0.123456, "0.1235"), (1234.56, "1,234.6"),
    ],
)  # fmt: skip
def test_value_is_shown_for_people(value: Value, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("*", "", True), ("", "", True), ("", "a", False), ("a*", "abc", True), ("*c", "abc", True),
        ("a*a", "a", False), ("a*b*c", "a-b-c", True), ("a*b*b", "ab", False),
        ("a?c", "abc", False), ("[a]", "a", False), ("**", "x", True),
        ("*" + "a*" * 2000, "a" * 1999, False),
    ],
    ids=range(12),
)  # fmt: skip
def test_only_the_star_means_more_than_itself(pattern: str, text: str, fits: bool) -> None:
    assert matches(pattern, text) is fits
