"""What cannot be read as OTLP metrics: documents, points, numbers."""

import random
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.health import otlp_metrics
from quarterdeck.health.otlp_metrics import MetricsIntake
from quarterdeck.health.otlp_metrics.document import read_json
from quarterdeck.health.otlp_metrics.points import Metric, Point, PointRejected
from quarterdeck.health.otlp_metrics.series import CumulativeSeries
from quarterdeck.health.windows import Windows
from unit.telemetry.otlp import (
    HTTP,
    JSON,
    PROTOBUF,
    document,
    encoded,
    explicit,
    exponential,
    metric,
    nanoseconds,
)
from unit.telemetry.test_otlp_metrics import Door, rejected

NOW = datetime(2026, 11, 24, 10, 0, 5, tzinfo=UTC)
POINT = "resourceMetrics[0].scopeMetrics[0].metrics[0].{}.dataPoints[0]"


def refused(body: bytes, content_type: str) -> InvalidRequest:
    intake = MetricsIntake(Windows(lambda: NOW), lambda: NOW)
    with pytest.raises(InvalidRequest) as caught:
        intake.take(body, content_type)
    return caught.value


def within(level: int, value: Any) -> dict[str, Any]:
    """A document with this in a list's place, or as its second item."""
    request = document(metric(exponential(NOW)))
    lists = [request["resourceMetrics"]]
    lists.append(lists[0][0]["scopeMetrics"])
    lists.append(lists[1][0]["metrics"])
    if isinstance(value, list):
        lists[level].extend(value)
    else:
        owner = [request, lists[0][0], lists[1][0]][level]
        owner[["resourceMetrics", "scopeMetrics", "metrics"][level]] = value
    return request


@pytest.mark.parametrize(
    ("level", "value", "field"),
    [
        (0, "x", "resourceMetrics"),
        (0, [7], "resourceMetrics[1]"),
        (1, {}, "resourceMetrics[0].scopeMetrics"),
        (1, [[]], "resourceMetrics[0].scopeMetrics[1]"),
        (2, 1, "resourceMetrics[0].scopeMetrics[0].metrics"),
        (2, [None], "resourceMetrics[0].scopeMetrics[0].metrics[1]"),
        (2, [{"name": HTTP, "histogram": []}],
         "resourceMetrics[0].scopeMetrics[0].metrics[1].histogram"),
        (2, [{"name": HTTP, "histogram": {"dataPoints": 1}}],
         "resourceMetrics[0].scopeMetrics[0].metrics[1].histogram.dataPoints"),
        (2, [{"name": HTTP, "unit": 7}], "resourceMetrics[0].scopeMetrics[0].metrics[1].unit"),
    ],
)  # fmt: skip
def test_malformed_document_names_its_field(level: int, value: Any, field: str) -> None:
    error = refused(msgspec.json.encode(within(level, value)), JSON)
    assert error.details[0]["field"] == field


@pytest.mark.parametrize(
    ("resource", "field"),
    [
        (7, "resourceMetrics[0].resource"),
        ({"attributes": 7}, "resourceMetrics[0].resource.attributes"),
        ({"attributes": [{}]}, "resourceMetrics[0].resource.attributes[0]"),
        ({"attributes": [{"key": "a", "value": {"intValue": "x"}}]},
         "resourceMetrics[0].resource.attributes[0].value.intValue"),
    ],
    ids=["number", "attributes", "key", "value"],
)  # fmt: skip
def test_malformed_resource_names_its_field(resource: Any, field: str) -> None:
    request = document(metric(exponential(NOW)))
    request["resourceMetrics"][0]["resource"] = resource
    assert refused(msgspec.json.encode(request), JSON).details[0]["field"] == field


def test_malformed_document_counts_nothing() -> None:
    windows = Windows(lambda: NOW)
    with pytest.raises(InvalidRequest):
        MetricsIntake(windows, lambda: NOW).take(msgspec.json.encode(within(2, [None])), JSON)
    assert windows.names() == []


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"7", b"{", b'{"a": \xff}', b"[" * 100_000, b'{"a":' * 5000 + b"1"],
    ids=["empty", "list", "null", "number", "torn", "no_utf8", "deep_list", "deep_object"],
)
def test_what_is_no_json_document_is_refused(body: bytes) -> None:
    assert refused(body, JSON).details[0]["field"] == "body"


def test_deep_values_do_no_harm() -> None:
    deep = b'{"arrayValue":{"values":[' * 300 + b"{}" + b"]}}" * 300
    whole = msgspec.json.encode(document(metric(exponential(NOW, attributes=["DEEP"]))))
    body = whole.replace(b'"DEEP"', b'{"key":"deep","value":' + deep + b"}")
    intake = MetricsIntake(Windows(lambda: NOW), lambda: NOW)
    assert rejected(intake.take(body, JSON)) == (0, "")


def test_deep_protobuf_is_refused() -> None:
    body = b""
    for _ in range(3000):  # an AnyValue in an ArrayValue in an AnyValue ...
        body = _field(5, _field(1, body))
    resource = _field(1, _field(1, _field(1, b"deep") + _field(2, body)))
    assert refused(_field(1, resource), PROTOBUF).details[0]["field"] == "body"


def _field(number: int, content: bytes) -> bytes:
    length, size = len(content), b""
    while length > 127:
        size += bytes([length & 127 | 128])
        length >>= 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + content


def test_torn_and_garbled_protobuf_never_does_more_than_be_refused() -> None:
    body = encoded(document(metric(exponential(NOW)), metric(explicit(NOW))), PROTOBUF)
    intake = MetricsIntake(Windows(lambda: NOW), lambda: NOW)
    r = random.Random(5)
    garbled = [body[:length] for length in range(len(body))]
    for _ in range(3000):
        copy = bytearray(body)
        for _ in range(r.randint(1, 4)):
            copy[r.randrange(len(copy))] = r.randrange(256)
        garbled.append(bytes(copy))
    garbled += [r.randbytes(r.randint(1, 200)) for _ in range(1000)]
    refusals = 0
    for each in garbled:
        try:
            intake.take(each, PROTOBUF)
        except InvalidRequest:
            refusals += 1
    assert 0 < refusals < len(garbled)


def test_garbled_json_never_does_more_than_be_refused() -> None:
    body = encoded(document(metric(exponential(NOW)), metric(explicit(NOW))), JSON)
    intake = MetricsIntake(Windows(lambda: NOW), lambda: NOW)
    r = random.Random(5)
    values = [b"null", b"[]", b"{}", b"-1", b"1e99", b'"NaN"', b'"x"', b"true", b"9" * 30, b"0.5"]
    for _ in range(4000):
        start = r.randrange(len(body))
        garbled = body[:start] + r.choice(values) + body[start + r.randint(0, 12) :]
        try:
            intake.take(garbled, JSON)
        except InvalidRequest:
            continue


@pytest.mark.parametrize("kind", ["text/plain", "", "application/xml; charset=utf-8"])
def test_other_content_types_are_refused(kind: str) -> None:
    assert refused(b"{}", kind).details[0]["field"] == "Content-Type"


BAD_EXPONENTIAL: dict[str, tuple[dict[str, Any], str]] = {
    "count": ({"count": "6"}, ".count"),
    "scale_high": ({"scale": 21}, ""),
    "scale_low": ({"scale": -11}, ""),
    "offset": ({"positive": {"offset": 2**31 - 1, "bucketCounts": ["3", "1"]}}, ""),
    "offset_low": ({"positive": {"offset": -(2**31), "bucketCounts": ["3", "1"]}}, ""),
    "many": ({"positive": {"offset": 0, "bucketCounts": ["3", "1"] + ["0"] * 4095}}, ""),
    "negative_values": ({"negative": {"offset": 0, "bucketCounts": ["1"]}}, ""),
    "huge_count": ({"zeroCount": str(2**60)}, ""),
    "no_time": ({"timeUnixNano": "0"}, ".timeUnixNano"),
    "far_time": ({"timeUnixNano": str(2**63)}, ".timeUnixNano"),
    "start": ({"startTimeUnixNano": nanoseconds(NOW, 1)}, ".startTimeUnixNano"),
    "sum_nan": ({"sum": "NaN"}, ".sum"),
    "sum_negative": ({"sum": -1.0}, ".sum"),
    "min": ({"min": -0.5}, ".min"),
    "max": ({"max": "Infinity"}, ".max"),
}
BAD_EXPLICIT: dict[str, tuple[dict[str, Any], str]] = {
    "count": ({"count": "9"}, ".count"),
    "one_bucket_less": ({"bucketCounts": ["6", "4"]}, ""),
    "no_bounds": ({"explicitBounds": [], "bucketCounts": ["10"]}, ""),
    "bounds_fall": ({"explicitBounds": [1.0, 0.1]}, ""),
    "bounds_equal": ({"explicitBounds": [1.0, 1.0]}, ""),
    "below_zero": ({"explicitBounds": [-1.0, 0.1]}, ""),
    "many": ({"explicitBounds": [1.0 + n for n in range(4097)], "bucketCounts": ["0"] * 4098}, ""),
}
ONLY_JSON: dict[str, tuple[dict[str, Any], str]] = {
    "count_text": ({"count": "many"}, ".count"),
    "count_half": ({"count": 0.5}, ".count"),
    "count_true": ({"count": True}, ".count"),
    "count_negative": ({"count": "-5", "zeroCount": "-9"}, ""),
    "scale_text": ({"scale": "x"}, ".scale"),
    "sum_huge": ({"sum": 10**400}, ".sum"),
    "sum_list": ({"sum": []}, ".sum"),
    "positive": ({"positive": 3}, ".positive"),
    "buckets": ({"positive": {"bucketCounts": 3}}, ".positive.bucketCounts"),
    "bucket": ({"positive": {"bucketCounts": ["3", None, {}]}}, ".positive.bucketCounts[2]"),
    "offset": ({"positive": {"offset": [], "bucketCounts": []}}, ".positive.offset"),
    "attributes": ({"attributes": [7]}, ".attributes[0]"),
    "value": ({"attributes": [{"key": "a", "value": 7}]}, ".attributes[0].value"),
}


@pytest.mark.parametrize("kind", [JSON, PROTOBUF], ids=["json", "protobuf"])
@pytest.mark.parametrize("case", BAD_EXPONENTIAL)
def test_bad_exponential_point_is_rejected_with_its_path(kind: str, case: str) -> None:
    changes, field = BAD_EXPONENTIAL[case]
    door = Door(kind)
    count, message = door.take(metric(exponential(NOW, **changes), exponential(NOW)))
    assert count == 1
    assert message.startswith(POINT.format("exponentialHistogram") + field + ": ")
    assert door.summary().count == 5


@pytest.mark.parametrize("kind", [JSON, PROTOBUF], ids=["json", "protobuf"])
@pytest.mark.parametrize("case", BAD_EXPLICIT)
def test_bad_explicit_point_is_rejected_with_its_path(kind: str, case: str) -> None:
    changes, field = BAD_EXPLICIT[case]
    door = Door(kind)
    count, message = door.take(metric(explicit(NOW, **changes), explicit(NOW)))
    assert count == 1
    assert message.startswith(POINT.format("histogram") + field + ": ")
    assert door.summary().count == 10


@pytest.mark.parametrize("case", ONLY_JSON)
def test_bad_json_point_is_rejected_with_its_path(case: str) -> None:
    changes, field = ONLY_JSON[case]
    door = Door(JSON)
    count, message = door.take(metric(exponential(NOW, **changes), exponential(NOW)))
    assert count == 1
    assert message.startswith(POINT.format("exponentialHistogram") + field + ": ")
    assert door.summary().count == 5


@pytest.mark.parametrize("kind", [JSON, PROTOBUF], ids=["json", "protobuf"])
def test_unknown_unit_temporality_and_type_are_rejected(kind: str) -> None:
    door = Door(kind)
    gauge = {"name": HTTP, "gauge": {"dataPoints": [{"asDouble": 1.0}, {"asDouble": 2.0}]}}
    count, message = door.take(
        metric(exponential(NOW), unit="furlong"), metric(exponential(NOW), temporality=0), gauge
    )
    assert count == 4
    assert "metrics[0].unit: must be one of s, ms" in message
    assert "metrics[1]: aggregationTemporality must be" in message
    assert "metrics[2].gauge: must be a histogram" in message


def test_names_in_snake_case_and_numbers_as_numbers_are_understood() -> None:
    body = msgspec.json.encode(document(metric(exponential(NOW, count=5.0, zeroCount=1))))
    for camel, snake in (
        (b"resourceMetrics", b"resource_metrics"), (b"dataPoints", b"data_points"),
        (b"exponentialHistogram", b"exponential_histogram"), (b"timeUnixNano", b"time_unix_nano"),
        (b"bucketCounts", b"bucket_counts"), (b"stringValue", b"string_value"),
        (b'"aggregationTemporality":1',
         b'"aggregation_temporality":"AGGREGATION_TEMPORALITY_DELTA"'),
    ):  # fmt: skip
        assert camel in body
        body = body.replace(camel, snake)
    windows = Windows(lambda: NOW)
    assert rejected(MetricsIntake(windows, lambda: NOW).take(body, JSON)) == (0, "")
    assert windows.names() == ["api"]


def test_points_beyond_the_limit_of_a_request_are_rejected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(otlp_metrics, "MAX_POINTS", 3)
    door = Door(JSON)
    count, message = door.take(metric(*[exponential(NOW)] * 5))
    assert count == 2
    assert "more than 3 points in a request" in message


def series_point(number: int, buckets: int = 2) -> tuple[Metric, Point]:
    request = document(
        metric(
            exponential(
                NOW, scale=5, count=str(buckets), zeroCount="0",
                positive={"offset": 0, "bucketCounts": ["1"] * buckets},
            ),
            temporality=2,
        ),
        instance=str(number),
    )  # fmt: skip
    [read] = read_json(encoded(request, JSON))
    [point] = read.points
    assert isinstance(point, Point)
    return read, point


@pytest.mark.parametrize("limits", [{"most": 2}, {"most_buckets": 5}], ids=["series", "buckets"])
def test_cumulative_series_are_bounded_and_idle_ones_give_way(limits: dict[str, int]) -> None:
    series = CumulativeSeries(300, **limits)
    for number in (0, 1):
        assert series.advance(*series_point(number), 1000.0) is not None
    with pytest.raises(PointRejected, match="have the SDK send deltas"):
        series.advance(*series_point(2), 1000.0)
    assert len(series) == 2
    assert series.advance(*series_point(2), 2000.0) is not None
    assert len(series) == 1
