"""Reasons name metric, value and limit."""

import pytest

from quarterdeck.health.model import Threshold
from quarterdeck.health.rules import MetricLatches
from quarterdeck.health.wording import metric_reason, name_of, no_data, quantity, span


def reason(metric: str, threshold: Threshold, *values: float | None) -> str:
    latches = MetricLatches()
    for value in values:
        latches.see(value, threshold, 1, 2)
    return metric_reason(metric, latches, threshold)


P95 = Threshold(1000, 800, 5000)
EXPIRY = Threshold(14, 21)


@pytest.mark.parametrize(
    ("metric", "threshold", "values", "text"),
    [
        (
            "response_time_ms.p95", P95, [1240.4],
            "p95 response time 1,240 ms, above 1,000 ms",
        ),
        (
            "response_time_ms.p95", P95, [1240, 900],
            "p95 response time 900 ms, not yet below 800 ms",
        ),
        (
            "response_time_ms.p95", P95, [1240, 700],
            "p95 response time 700 ms, good again but not yet for long",
        ),
        (
            "response_time_ms.p95", P95, [6000],
            "p95 response time 6,000 ms, above 5,000 ms",
        ),
        (
            "response_time_ms.p95", P95, [1000.3],
            "p95 response time 1,000 ms, just above 1,000 ms",
        ),
        (
            "response_time_ms.p95", P95, [1240, None],
            "p95 response time 1,240 ms, above 1,000 ms when last known",
        ),
        ("tls_expires_in_days", EXPIRY, [12.4], "certificate expires in 12.4 days, below 14 days"),
        (
            "tls_expires_in_days", EXPIRY, [12, 15],
            "certificate expires in 15 days, not yet above 21 days",
        ),
        ("error_rate_percent", Threshold(5, 2), [7.25], "error rate 7.25 %, above 5 %"),
        ("queue_backlog", Threshold(1000, 500), [12345], "backlog 12,345, above 1,000"),
        ("disk_used_percent", Threshold(90, 80), [95], "disk used 95 %, above 90 %"),
        ("response_time_ms.p95", P95, [None], "p95 response time unknown"),
    ],
    ids=[
        "above", "between", "good again", "down", "hardly above", "unknown since",
        "less is worse", "less is worse, between", "percent", "no unit", "no name of ours",
        "unknown",
    ],
)  # fmt: skip
def test_reason_names_metric_value_and_limit(
    metric: str, threshold: Threshold, values: list[float | None], text: str
) -> None:
    assert reason(metric, threshold, *values) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(45, "45 s"), (119.9, "119 s"), (125, "2 min"), (7199, "119 min"), (7200, "2 h"),
     (259_200, "3 d"), (-1, "0 s")],
    ids=str,
)  # fmt: skip
def test_span_is_short_and_never_rounded_up(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_no_data_names_the_check_where_there_are_several() -> None:
    assert no_data(45) == "no data for 45 s"
    assert no_data(45, "tcp check of a:1") == "no data for 45 s from the tcp check of a:1"


def test_quantity_has_a_unit_where_the_metric_names_one() -> None:
    assert quantity("memory_used_bytes", 12_345_678) == "12,345,678 bytes"
    assert quantity("heartbeat_age_s", 0.5) == "0.5 s"
    assert quantity("x_ms", float("inf")) == "inf ms"
    assert name_of("spool_size_bytes") == "spool size"
