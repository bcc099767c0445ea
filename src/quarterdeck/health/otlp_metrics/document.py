"""OTLP's metrics as JSON: 64-bit numbers as text, names in lowerCamelCase.

What breaks these rules in a common way is understood: snake_case names, numbers as numbers.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

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

KINDS = ("exponentialHistogram", "histogram")
UNUSABLE = ("gauge", "sum", "summary")
TEMPORALITIES = {
    "AGGREGATION_TEMPORALITY_DELTA": 1,
    "AGGREGATION_TEMPORALITY_CUMULATIVE": 2,
}
NO_VALUE = 1
"""The flag of a point that says only that there is none."""

Fields = Mapping[str, Any]

_INTEGER = re.compile(r"-?[0-9]{1,20}")
_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][-+]?[0-9]{1,4})?")
_SNAKE = re.compile("_([a-z])")
_decode = msgspec.json.Decoder().decode


def read_json(body: bytes) -> Iterator[Metric]:
    """The metrics of an `ExportMetricsServiceRequest` that we use.

    Raises:
        InvalidRequest: it is none; names the field. Also while it is iterated over.
    """
    try:
        document = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest.of("body", f"not OTLP metrics in JSON: {error}", "body") from error
    except RecursionError as error:
        raise InvalidRequest.of("body", "nested too deeply", "body") from error
    if not isinstance(document, dict):
        raise InvalidRequest.of("body", "must be an object with resourceMetrics", "body")
    return _metrics(_named(document))


def _metrics(document: Fields) -> Iterator[Metric]:
    for resource_path, resource in _objects(document, "resourceMetrics", ""):
        attributes: dict[str, object] | None = None
        for scope_path, scope in _objects(resource, "scopeMetrics", resource_path):
            for path, metric in _objects(scope, "metrics", scope_path):
                name = metric.get("name")
                if not isinstance(name, str) or name not in USED:
                    continue
                if attributes is None:
                    attributes = _resource(resource, resource_path)
                yield _metric(metric, attributes, path)


def _resource(resource: Fields, path: str) -> dict[str, object]:
    try:
        inner = resource.get("resource") or {}
        if not isinstance(inner, dict):
            raise PointRejected(f"{path}.resource", "must be an object")
        return _pairs(_named(inner), f"{path}.resource")
    except PointRejected as error:
        raise InvalidRequest.of(error.path, error.reason, "body") from error


def _metric(metric: Fields, resource: dict[str, object], path: str) -> Metric:
    unit = metric.get("unit") or ""
    if not isinstance(unit, str):
        raise InvalidRequest.of(f"{path}.unit", "must be a text", "body")
    temporality = 0
    points: list[Point | PointRejected] = []
    for kind in KINDS:
        data = metric.get(kind)
        if data is None:
            continue
        if not isinstance(data, dict):
            raise InvalidRequest.of(f"{path}.{kind}", "must be an object", "body")
        fields = _named(data)
        given = fields.get("aggregationTemporality")
        temporality = TEMPORALITIES.get(given, 0) if isinstance(given, str) else given or 0
        points += _points(fields, kind, f"{path}.{kind}")
    for kind in UNUSABLE:
        data = metric.get(kind)
        count = len(_list(_named(data), "dataPoints", path)) if isinstance(data, dict) else 0
        reason = "must be a histogram or an exponentialHistogram"
        points += [PointRejected(f"{path}.{kind}", reason) for _ in range(count)]
    return Metric(path, resource, metric["name"], unit, temporality, points)


def _points(data: Fields, kind: str, path: str) -> Iterator[Point | PointRejected]:
    for number, point in enumerate(_list(data, "dataPoints", path)):
        here = f"{path}.dataPoints[{number}]"
        try:
            if not isinstance(point, dict):
                raise PointRejected(here, "must be an object")
            fields = _named(point)
            if not _integer(fields, "flags", here) & NO_VALUE:
                yield _point(fields, kind, here)
        except PointRejected as rejected:
            yield rejected


def _point(point: Fields, kind: str, path: str) -> Point:
    try:
        shape = _exponential(point, path) if kind == KINDS[0] else _explicit(point, path)
    except ValueError as error:
        raise PointRejected(path, str(error)) from error
    read = Point(
        path,
        _integer(point, "startTimeUnixNano", path),
        _integer(point, "timeUnixNano", path),
        _optional(point, "sum", path),
        _optional(point, "min", path),
        _optional(point, "max", path),
        _pairs(point, path),
        shape,
    )
    return checked(read, _integer(point, "count", path))


def _exponential(point: Fields, path: str) -> Shape:
    positive, negative = point.get("positive") or {}, point.get("negative") or {}
    for name, side in (("positive", positive), ("negative", negative)):
        if not isinstance(side, dict):
            raise PointRejected(f"{path}.{name}", "must be an object")
    if any(_integers(_named(negative), "bucketCounts", f"{path}.negative")):
        raise ValueError("a duration is below zero")
    fields, here = _named(positive), f"{path}.positive"
    return Exponential.read(
        _integer(point, "scale", path),
        _integer(point, "zeroCount", path),
        _integer(fields, "offset", here),
        _integers(fields, "bucketCounts", here),
    )


def _explicit(point: Fields, path: str) -> Shape:
    given = _point_list(point, "explicitBounds", path)
    bounds = [_number(each, f"{path}.explicitBounds[{n}]") for n, each in enumerate(given)]
    return Explicit.read(bounds, _integers(point, "bucketCounts", path))


def _named(fields: Fields) -> Fields:
    """With names in lowerCamelCase."""
    if not any("_" in name for name in fields):
        return fields
    return {_SNAKE.sub(lambda m: m[1].upper(), name): value for name, value in fields.items()}


def _list(fields: Fields, name: str, path: str) -> list[Any]:
    value = fields.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidRequest.of(f"{path}.{name}".lstrip("."), "must be a list", "body")
    return value


def _objects(fields: Fields, name: str, path: str) -> Iterator[tuple[str, Fields]]:
    for number, item in enumerate(_list(fields, name, path)):
        here = f"{path}.{name}[{number}]".lstrip(".")
        if not isinstance(item, dict):
            raise InvalidRequest.of(here, "must be an object", "body")
        yield here, _named(item)


def _point_list(fields: Fields, name: str, path: str) -> list[Any]:
    value = fields.get(name)
    if value is not None and not isinstance(value, list):
        raise PointRejected(f"{path}.{name}", "must be a list")
    return value or []


def _integers(fields: Fields, name: str, path: str) -> list[int]:
    given = _point_list(fields, name, path)
    return [_whole(each, f"{path}.{name}[{number}]") for number, each in enumerate(given)]


def _integer(fields: Fields, name: str, path: str) -> int:
    return _whole(fields.get(name, 0), f"{path}.{name}")


def _whole(value: object, path: str) -> int:
    if value is None or value == "":
        return 0
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise PointRejected(path, "must be a whole number")


def _optional(fields: Fields, name: str, path: str) -> float | None:
    value = fields.get(name)
    return None if value is None else _number(value, f"{path}.{name}")


def _number(value: object, path: str) -> float:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    # Too large an integer is no float, and none of OTLP's.
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e308:
        return float(value)
    raise PointRejected(path, "must be a finite number")


def _pairs(fields: Fields, path: str) -> dict[str, object]:
    pairs: dict[str, object] = {}
    for number, pair in enumerate(_point_list(fields, "attributes", path)):
        here = f"{path}.attributes[{number}]"
        if not isinstance(pair, dict) or not isinstance(pair.get("key"), str):
            raise PointRejected(here, "must have a key")
        value = pair.get("value") or {}
        if not isinstance(value, dict) or len(value) > 1:
            raise PointRejected(f"{here}.value", "must be an object with one value")
        pairs[pair["key"]] = _value(_named(value), f"{here}.value")
    return pairs


def _value(value: Fields, path: str) -> object:
    for kind, content in value.items():
        return _whole(content, f"{path}.{kind}") if kind == "intValue" else content
    return None
