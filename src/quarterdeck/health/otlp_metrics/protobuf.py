"""OTLP's metrics as protobuf."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.health.otlp_metrics.meaning import USED
from quarterdeck.health.otlp_metrics.points import (
    Explicit,
    Exponential,
    Metric,
    Point,
    PointRejected,
    Shape,
    checked,
)

Message = Any
"""A message of protobuf: it has no types that mypy could see."""

KINDS = {"exponential_histogram": "exponentialHistogram", "histogram": "histogram"}
UNUSABLE = ("gauge", "sum", "summary")
NO_VALUE = 1
"""The flag of a point that says only that there is none."""


def read_protobuf(body: bytes) -> Iterator[Metric]:
    """The metrics of an `ExportMetricsServiceRequest` that we use.

    Raises:
        InvalidRequest: it is none.
    """
    try:
        request = ExportMetricsServiceRequest.FromString(body)
    except (DecodeError, RecursionError) as error:
        raise InvalidRequest.of(
            "body", "not an ExportMetricsServiceRequest in protobuf", "body"
        ) from error
    return _metrics(request)


def _metrics(request: Message) -> Iterator[Metric]:
    for i, resource in enumerate(request.resource_metrics):
        attributes = _pairs(resource.resource.attributes)
        for j, scope in enumerate(resource.scope_metrics):
            for k, metric in enumerate(scope.metrics):
                if metric.name in USED:
                    path = f"resourceMetrics[{i}].scopeMetrics[{j}].metrics[{k}]"
                    yield _metric(metric, attributes, path)


def _metric(metric: Message, resource: dict[str, object], path: str) -> Metric:
    field = metric.WhichOneof("data")
    temporality = 0
    points: list[Point | PointRejected] = []
    if field in KINDS:
        data = getattr(metric, field)
        temporality = data.aggregation_temporality
        for number, point in enumerate(data.data_points):
            if not point.flags & NO_VALUE:
                points.append(_point(point, f"{path}.{KINDS[field]}.dataPoints[{number}]"))
    elif field in UNUSABLE:
        reason = "must be a histogram or an exponentialHistogram"
        points = [
            PointRejected(f"{path}.{field}", reason) for _ in getattr(metric, field).data_points
        ]
    return Metric(path, resource, metric.name, metric.unit, temporality, points)


def _point(point: Message, path: str) -> Point | PointRejected:
    try:
        shape = _shape(point)
    except ValueError as error:
        return PointRejected(path, str(error))
    read = Point(
        path,
        point.start_time_unix_nano,
        point.time_unix_nano,
        _optional(point, "sum"),
        _optional(point, "min"),
        _optional(point, "max"),
        _pairs(point.attributes),
        shape,
    )
    try:
        return checked(read, point.count)
    except PointRejected as rejected:
        return rejected


def _shape(point: Message) -> Shape:
    if not hasattr(point, "scale"):
        return Explicit.read(point.explicit_bounds, point.bucket_counts)
    if any(point.negative.bucket_counts):
        raise ValueError("a duration is below zero")
    positive = point.positive
    return Exponential.read(point.scale, point.zero_count, positive.offset, positive.bucket_counts)


def _optional(point: Message, name: str) -> float | None:
    return getattr(point, name) if point.HasField(name) else None


def _pairs(attributes: Any) -> dict[str, object]:
    return {pair.key: _value(pair.value) for pair in attributes}


def _value(value: Message) -> object:
    kind = value.WhichOneof("value")
    if kind in {"array_value", "kvlist_value"}:
        return getattr(value, kind).SerializeToString(deterministic=True)  # only told apart by it
    return None if kind is None else getattr(value, kind)
