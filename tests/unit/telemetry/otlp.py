"""OTLP metrics for tests: one document, in JSON and in protobuf."""

from datetime import datetime
from typing import Any

import msgspec
from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

JSON = "application/json"
PROTOBUF = "application/x-protobuf"
HTTP = "http.server.request.duration"

Fields = dict[str, Any]


def nanoseconds(moment: datetime, seconds: float = 0) -> str:
    return str(int(moment.timestamp() + seconds) * 10**9)


def attributes(**values: str | int) -> list[Fields]:
    return [
        {
            "key": name.replace("__", "."),
            "value": {"stringValue": value} if isinstance(value, str) else {"intValue": str(value)},
        }
        for name, value in values.items()
    ]


def exponential(moment: datetime, **changes: Any) -> Fields:
    """Four requests of 1 to 2 s and one of none, in the ten seconds until then, answered 200."""
    return {
        "startTimeUnixNano": nanoseconds(moment, -10),
        "timeUnixNano": nanoseconds(moment),
        "count": "5",
        "sum": 6.0,
        "scale": 1,
        "zeroCount": "1",
        "positive": {"offset": 0, "bucketCounts": ["3", "1"]},
        "attributes": attributes(http__response__status_code=200),
    } | changes


def explicit(moment: datetime, **changes: Any) -> Fields:
    """Ten requests, answered 200: six of up to 0.1 s, four of up to 1 s."""
    return {
        "startTimeUnixNano": nanoseconds(moment, -10),
        "timeUnixNano": nanoseconds(moment),
        "count": "10",
        "sum": 3.0,
        "explicitBounds": [0.1, 1.0],
        "bucketCounts": ["6", "4", "0"],
        "attributes": attributes(http__response__status_code=200),
    } | changes


def metric(*points: Fields, name: str = HTTP, unit: str = "s", temporality: int = 1) -> Fields:
    kind = "histogram" if "bucketCounts" in points[0] else "exponentialHistogram"
    data = {"aggregationTemporality": temporality, "dataPoints": list(points)}
    return {"name": name, "unit": unit, kind: data}


def document(*metrics: Fields, service: str | None = "api", **resource: str) -> Fields:
    named = {} if service is None else {"service__name": service}
    return {
        "resourceMetrics": [
            {
                "resource": {"attributes": attributes(**named, **resource)},
                "scopeMetrics": [{"scope": {"name": "test"}, "metrics": list(metrics)}],
            }
        ]
    }


def encoded(request: Fields, content_type: str) -> bytes:
    if content_type == JSON:
        return msgspec.json.encode(request)
    serialised: bytes = ParseDict(request, ExportMetricsServiceRequest()).SerializeToString()
    return serialised
