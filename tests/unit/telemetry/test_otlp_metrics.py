"""What is read from OTLP metrics, in both encodings."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)

from quarterdeck.health.otlp_metrics import MetricsAnswer, MetricsIntake
from quarterdeck.health.windows import TelemetrySummary, Windows
from unit.telemetry.otlp import (
    JSON,
    PROTOBUF,
    attributes,
    document,
    encoded,
    explicit,
    exponential,
    metric,
    nanoseconds,
)

NOW = datetime(2026, 11, 24, 10, 0, 5, tzinfo=UTC)


class Door:
    """An intake with its windows, and a clock that goes when it is told to."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.now = NOW
        self.windows = Windows(lambda: self.now)
        self.intake = MetricsIntake(self.windows, lambda: self.now)

    def take(self, *metrics: Any, **resource: Any) -> tuple[int, str]:
        """The rejected points, and why."""
        body = encoded(document(*metrics, **resource), self.kind)
        return rejected(self.intake.take(body, self.kind))

    def summary(self, name: str = "api") -> TelemetrySummary:
        found = self.windows.summary([name], self.now)
        assert found is not None
        return found

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def rejected(answer: MetricsAnswer) -> tuple[int, str]:
    assert answer.status == 200
    if answer.content_type == JSON:
        partial = json.loads(answer.body).get("partialSuccess", {})
        return int(partial.get("rejectedDataPoints", "0")), partial.get("errorMessage", "")
    told = ExportMetricsServiceResponse.FromString(answer.body).partial_success
    return told.rejected_data_points, told.error_message


@pytest.fixture(params=[JSON, PROTOBUF], ids=["json", "protobuf"])
def door(request: pytest.FixtureRequest) -> Door:
    return Door(request.param)


def test_exponential_histogram_is_taken_exactly(door: Door) -> None:
    assert door.take(metric(exponential(NOW, min=0.0, max=1.9))) == (0, "")
    summary = door.summary()
    assert summary.count == 5
    assert summary.avg_ms == pytest.approx(1200)
    assert summary.p99_ms == pytest.approx(2 * 2**0.5 * 2 / (2**0.5 + 2) * 1000)
    assert summary.error_rate_percent == 0.0
    assert summary.request_rate == pytest.approx(0.5)
    assert summary.last_at == NOW


def test_fine_exponential_histogram_is_exact_to_the_bound(door: Door) -> None:
    point = exponential(
        NOW, scale=20, count="2", zeroCount="0", sum=2.000001,
        positive={"offset": 0, "bucketCounts": ["1", "1"]},
    )  # fmt: skip
    door.take(metric(point))
    summary = door.summary()
    assert not summary.approximate
    assert summary.p99_ms == pytest.approx(1000, rel=0.011)


def test_fixed_buckets_are_interpolated_and_flagged(door: Door) -> None:
    door.take(metric(explicit(NOW)))
    summary = door.summary()
    assert summary.approximate
    assert summary.count == 10
    assert summary.avg_ms == pytest.approx(300)
    # The tenth of ten lies in the last eighth of 0.1 to 1 s, at 0.8875 if they are even.
    assert summary.p99_ms == pytest.approx(887.5, rel=0.05)


def test_values_beyond_the_last_bound_are_on_it_or_at_the_maximum(door: Door) -> None:
    beyond = {"bucketCounts": ["0", "0", "10"], "sum": 50.0}
    door.take(metric(explicit(NOW, **beyond)))
    assert door.summary().p99_ms == pytest.approx(1000, rel=0.022)


@pytest.mark.parametrize(
    ("name", "unit", "factor"),
    [
        ("http.server.request.duration", "s", 1000),
        ("http.server.request.duration", "", 1000),
        ("http.server.request.duration", "ms", 1),
        ("http.server.duration", "ms", 1),
        ("http.server.duration", "", 1),
        ("http.server.duration", "s", 1000),
        ("http.server.duration", "us", 0.001),
        ("rpc.server.duration", "ms", 1),
        ("rpc.server.call.duration", "", 1000),
    ],
)
@pytest.mark.parametrize("shape", [exponential, explicit], ids=["exponential", "explicit"])
def test_unit_decides_over_the_metrics_name(
    door: Door, name: str, unit: str, factor: float, shape: Any
) -> None:
    assert door.take(metric(shape(NOW), name=name, unit=unit)) == (0, "")
    summary = door.summary()
    mean = 1.2 if shape is exponential else 0.3
    assert summary.avg_ms == pytest.approx(mean * factor)
    highest = 1.657 if shape is exponential else 0.8875
    assert summary.p99_ms == pytest.approx(highest * factor, rel=0.23)


@pytest.mark.parametrize(
    ("name", "given", "failed"),
    [
        ("http.server.request.duration", {"http.response.status_code": 500}, True),
        ("http.server.request.duration", {"http.response.status_code": 499}, False),
        ("http.server.request.duration", {"http.response.status_code": "503"}, True),
        ("http.server.duration", {"http.status_code": 599}, True),
        ("http.server.duration", {"http.status_code": 200}, False),
        ("http.server.duration", {"http.status_code": "none"}, None),
        ("http.server.request.duration", {"error.type": "TimeoutError"}, True),
        ("http.server.request.duration", {"http.request.method": "GET"}, None),
        ("rpc.server.duration", {"rpc.grpc.status_code": 0}, False),
        ("rpc.server.duration", {"rpc.grpc.status_code": 5}, False),
        ("rpc.server.duration", {"rpc.grpc.status_code": 13}, True),
        ("rpc.server.call.duration", {"rpc.response.status_code": "UNAVAILABLE"}, True),
        ("rpc.server.call.duration", {"rpc.response.status_code": "OK"}, False),
        ("rpc.server.duration", {}, None),
    ],
)
def test_attributes_tell_failures(
    door: Door, name: str, given: dict[str, Any], failed: bool | None
) -> None:
    told = attributes(**{key.replace(".", "__"): value for key, value in given.items()})
    door.take(metric(exponential(NOW, attributes=told), name=name))
    expected = None if failed is None else 100.0 * failed
    assert door.summary().error_rate_percent == expected


def test_other_metrics_are_accepted_silently(door: Door) -> None:
    other = metric(exponential(NOW, count="77"), name="process.cpu.time")
    assert door.take(other, metric(exponential(NOW))) == (0, "")
    assert door.summary().count == 5


def test_bad_point_is_rejected_alone(door: Door) -> None:
    good, bad = exponential(NOW), exponential(NOW, count="7")
    count, message = door.take(metric(good, bad, good, bad))
    assert count == 2
    assert message == (
        "resourceMetrics[0].scopeMetrics[0].metrics[0].exponentialHistogram.dataPoints[1].count: "
        "is not the sum of the buckets' counts"
    )
    assert door.summary().count == 10


def test_delta_of_more_than_the_window_is_rejected(door: Door) -> None:
    long = exponential(NOW, startTimeUnixNano=nanoseconds(NOW, -301))
    count, message = door.take(metric(long))
    assert count == 1
    assert "export more often" in message


def test_late_point_is_rejected_with_its_reason(door: Door) -> None:
    late = NOW - timedelta(seconds=400)
    count, message = door.take(metric(exponential(late)))
    assert (count, message.partition(": ")[2]) == (1, "it is older than the window")


@pytest.mark.parametrize(
    "service", [None, "", "x" * 201, "nul\0"], ids=["none", "empty", "long", "nul"]
)
def test_point_without_a_usable_service_is_rejected(door: Door, service: str | None) -> None:
    count, message = door.take(metric(exponential(NOW)), service=service)
    assert count == 1
    assert message.startswith("resourceMetrics[0].resource: service.name")


def test_point_without_a_value_is_skipped(door: Door) -> None:
    empty = {"flags": 1, "timeUnixNano": nanoseconds(NOW), "positive": {}}
    assert door.take(metric(empty)) == (0, "")
    assert door.windows.names() == []


def cumulative(door: Door, start: datetime, counts: tuple[int, int], **more: Any) -> None:
    point = exponential(
        door.now,
        startTimeUnixNano=nanoseconds(start),
        count=str(sum(counts)),
        zeroCount="0",
        sum=1.5 * sum(counts),
        positive={"offset": 0, "bucketCounts": [str(count) for count in counts]},
        **more,
    )
    assert door.take(metric(point, temporality=2)) == (0, "")


def counted(door: Door) -> int:
    summary = door.windows.summary(["api"], door.now)
    return summary.count if summary else 0


def test_cumulative_series_counts_what_came_since(door: Door) -> None:
    start = NOW - timedelta(days=3)
    cumulative(door, start, (1000, 500))
    assert counted(door) == 0  # how much of it is of these five minutes is unknown
    door.pass_by(10)
    cumulative(door, start, (1003, 501))
    assert counted(door) == 4
    assert door.summary().avg_ms == pytest.approx(1500)
    door.pass_by(10)
    cumulative(door, start, (1003, 501))
    assert counted(door) == 4


def test_cumulative_series_that_began_in_the_window_counts_whole(door: Door) -> None:
    cumulative(door, NOW - timedelta(seconds=60), (3, 1))
    assert counted(door) == 4


def test_cumulative_point_that_is_sent_again_counts_once(door: Door) -> None:
    start = NOW - timedelta(seconds=60)
    cumulative(door, start, (3, 1))
    cumulative(door, start, (3, 1))
    assert counted(door) == 4


def test_cumulative_series_counts_on_after_a_restart(door: Door) -> None:
    start = NOW - timedelta(seconds=100)
    cumulative(door, start, (100, 0))
    door.pass_by(20)
    cumulative(door, door.now - timedelta(seconds=5), (7, 0))
    assert counted(door) == 107
    door.pass_by(10)
    cumulative(door, NOW + timedelta(seconds=15), (9, 0))
    assert counted(door) == 109


def test_processes_that_look_alike_are_told_apart_by_their_start(door: Door) -> None:
    one, two = NOW - timedelta(seconds=100), NOW - timedelta(seconds=99)
    for total in (10, 20):
        cumulative(door, one, (total, 0))
        cumulative(door, two, (2 * total, 0))
        door.pass_by(10)
    assert counted(door) == 60


def test_cumulative_series_without_a_start_begins_anew_when_it_falls(door: Door) -> None:
    unknown = datetime(1970, 1, 1, tzinfo=UTC)
    for counts, total in (((50, 0), 0), ((53, 1), 4), ((2, 0), 6), ((2, 5), 11)):
        cumulative(door, unknown, counts)
        assert counted(door) == total
        door.pass_by(10)


def test_cumulative_scale_may_fall_in_between(door: Door) -> None:
    start = NOW - timedelta(days=1)
    cumulative(door, start, (4, 2))
    door.pass_by(10)
    cumulative(door, start, (6, 3), scale=0)
    assert counted(door) == 3


def test_cumulative_gap_longer_than_the_window_is_no_data(door: Door) -> None:
    start = NOW - timedelta(days=1)
    cumulative(door, start, (4, 0))
    door.pass_by(400)
    cumulative(door, start, (400, 0))
    assert counted(door) == 0
    door.pass_by(10)
    cumulative(door, start, (401, 0))
    assert counted(door) == 1


def test_cumulative_fixed_buckets_count_what_came_since(door: Door) -> None:
    start = nanoseconds(NOW, -(10**6))
    door.take(metric(explicit(NOW, startTimeUnixNano=start), temporality=2))
    door.pass_by(10)
    later = explicit(
        door.now, startTimeUnixNano=start, count="13", sum=6.0, bucketCounts=["6", "5", "2"]
    )
    door.take(metric(later, temporality=2))
    assert counted(door) == 3
    assert door.summary().avg_ms == pytest.approx(1000)
