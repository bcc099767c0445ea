"""The real OpenTelemetry SDK and exporter, sending to the intake over HTTP."""

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import Histogram
from opentelemetry.sdk.metrics import Histogram as HistogramKind
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import (
    Aggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
)
from opentelemetry.sdk.resources import Resource

from unit.telemetry.metrics_server import MetricsServer, metrics_server

HTTP = "http.server.request.duration"
AGGREGATIONS: dict[str, Aggregation] = {
    "exponential": ExponentialBucketHistogramAggregation(max_size=640),
    "explicit": ExplicitBucketHistogramAggregation(
        (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
    ),
}
TEMPORALITIES = {
    "delta": AggregationTemporality.DELTA,
    "cumulative": AggregationTemporality.CUMULATIVE,
}


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    with metrics_server() as server:
        yield server


@contextmanager
def sdk(
    server: MetricsServer, aggregation: str, temporality: str, **options: Any
) -> Iterator[tuple[MeterProvider, Histogram]]:
    """A program's SDK, exporting only when it is told to."""
    exporter = OTLPMetricExporter(
        f"{server.url}/v1/metrics",
        compression=Compression.Gzip,
        preferred_temporality={HistogramKind: TEMPORALITIES[temporality]},
        preferred_aggregation={HistogramKind: AGGREGATIONS[aggregation]},
    )
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=math.inf)
    provider = MeterProvider(
        [reader], Resource.create({"service.name": "shop"}), shutdown_on_exit=False
    )
    try:
        meter = provider.get_meter("test")
        yield provider, meter.create_histogram(**({"name": HTTP, "unit": "s"} | options))
    finally:
        provider.shutdown()


def percentile(numbers: list[float], q: float) -> float:
    return 1000 * sorted(numbers)[math.ceil(q * len(numbers)) - 1]


@pytest.mark.parametrize("temporality", TEMPORALITIES)
@pytest.mark.parametrize(
    ("aggregation", "bound"), [("exponential", 0.0225), ("explicit", 0.35)], ids=str
)
def test_sdk_histograms_give_the_percentiles_of_what_was_recorded(
    server: MetricsServer, aggregation: str, bound: float, temporality: str
) -> None:
    r = random.Random(11)
    numbers: list[float] = []
    with sdk(server, aggregation, temporality) as (provider, histogram):
        for _ in range(3):
            part = [min(r.lognormvariate(-3, 0.8), 9) for _ in range(1000)]
            numbers += part
            for number in part:
                status = 500 if r.random() < 0.1 else 200
                histogram.record(number, {"http.response.status_code": status})
            assert provider.force_flush()
    summary = server.summary("shop")
    assert summary is not None
    assert summary.count == 3000
    assert summary.avg_ms == pytest.approx(1000 * sum(numbers) / 3000)
    assert summary.p95_ms == pytest.approx(percentile(numbers, 0.95), rel=bound)
    assert summary.p99_ms == pytest.approx(percentile(numbers, 0.99), rel=bound)
    assert summary.error_rate_percent == pytest.approx(10, abs=2)
    assert summary.approximate is (aggregation == "explicit")
    assert {answer.status for answer in server.answers} == {200}
    assert {answer.body for answer in server.answers} == {b""}


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_restarted_program_counts_on(server: MetricsServer, aggregation: str) -> None:
    for _ in range(3):
        with sdk(server, aggregation, "cumulative") as (provider, histogram):
            for count in (10, 1):
                for _ in range(count):
                    histogram.record(0.05, {"http.response.status_code": 200})
                assert provider.force_flush()
    assert server.wait_for_count("shop", 33).count == 33


def test_old_conventions_in_milliseconds_are_understood(server: MetricsServer) -> None:
    options = {"name": "http.server.duration", "unit": "ms"}
    with sdk(server, "exponential", "delta", **options) as (provider, histogram):
        for number in (10, 20, 30, 40):
            histogram.record(number, {"http.status_code": 200})
        provider.force_flush()
    summary = server.summary("shop")
    assert summary is not None
    assert summary.avg_ms == pytest.approx(25)
    assert summary.p99_ms == pytest.approx(40, rel=0.03)
    assert summary.error_rate_percent == 0.0


def test_other_metrics_of_a_program_do_no_harm(server: MetricsServer) -> None:
    with sdk(server, "exponential", "delta") as (provider, histogram):
        meter = provider.get_meter("other")
        meter.create_counter("requests").add(3)
        meter.create_gauge("load").set(0.7)
        meter.create_histogram("queue.time", "s").record(9)
        histogram.record(0.05)
        assert provider.force_flush()
    summary = server.summary("shop")
    assert summary is not None
    assert summary.count == 1
    assert summary.error_rate_percent is None
