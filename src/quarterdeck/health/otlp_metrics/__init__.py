"""OpenTelemetry's metrics over HTTP: response times and errors of services.

Of an `ExportMetricsServiceRequest`, in protobuf or JSON, the histograms that `meaning.USED` names
are read; all others are accepted and not looked at. A request that is none is refused as a whole;
a point that cannot be counted is refused alone, and the answer says how many and why.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import InvalidRequest
from quarterdeck.core.text import is_storable
from quarterdeck.health.otlp_metrics.document import read_json
from quarterdeck.health.otlp_metrics.meaning import UNITS, is_failure, seconds_of
from quarterdeck.health.otlp_metrics.points import Metric, Point, PointRejected
from quarterdeck.health.otlp_metrics.protobuf import read_protobuf
from quarterdeck.health.otlp_metrics.series import CumulativeSeries
from quarterdeck.health.windows import Windows

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
DELTA, CUMULATIVE = 1, 2
MAX_POINTS = 20_000
"""Points of one request that are read; an SDK sends a few hundred."""
MAX_NAME = 200
"""Characters of a service's name."""
TOLD = 10
"""Rejected points that an answer names."""

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class MetricsAnswer:
    """What is answered: an `ExportMetricsServiceResponse`, encoded as the request was."""

    status: int
    content_type: str
    body: bytes


@dataclass(slots=True)
class _Tally:
    """Points of one request."""

    seen: int = 0
    rejected: int = 0
    reasons: dict[str, str] = field(default_factory=dict)
    """Reason to the path of the first point that it struck."""

    def reject(self, path: str, reason: str) -> None:
        self.rejected += 1
        if len(self.reasons) < TOLD:
            self.reasons.setdefault(reason, path)

    @property
    def message(self) -> str:
        return "; ".join(f"{path}: {reason}" for reason, path in self.reasons.items())


class MetricsIntake:
    """Reads OTLP metrics into `windows`. For the event loop only."""

    def __init__(self, windows: Windows, clock: Clock) -> None:
        self._windows = windows
        self._clock = clock
        self._series = CumulativeSeries(windows.window_s)

    def take(self, body: bytes, content_type: str) -> MetricsAnswer:
        """Count all that can be counted.

        Raises:
            InvalidRequest: another type, or no ExportMetricsServiceRequest; names the field.
        """
        kind = content_type.partition(";")[0].strip().lower()
        if kind in {PROTOBUF, "application/protobuf"}:
            return _in_protobuf(self._count(read_protobuf(body)))
        if kind == JSON:
            # Read to its end first: what is wrong further down must not leave half of it counted.
            return _in_json(self._count(list(read_json(body))))
        raise InvalidRequest.of(
            "Content-Type", f"must be {PROTOBUF} or {JSON}, not '{kind[:60]}'", "header"
        )

    def _count(self, metrics: Iterable[Metric]) -> _Tally:
        tally = _Tally()
        for metric in metrics:
            for point in metric.points:
                tally.seen += 1
                try:
                    if isinstance(point, PointRejected):
                        raise point
                    if tally.seen > MAX_POINTS:
                        reason = f"more than {MAX_POINTS} points in a request; send smaller ones"
                        raise PointRejected(point.path, reason)
                    self._take(metric, point)
                except PointRejected as rejected:
                    tally.reject(rejected.path, rejected.reason)
        return tally

    def _take(self, metric: Metric, point: Point) -> None:
        service = _service(metric.resource, metric.path)
        factor = seconds_of(metric.name, metric.unit)
        if factor is None:
            raise PointRejected(f"{metric.path}.unit", f"must be one of {', '.join(UNITS)}")
        counted = self._since_last(metric, point)
        if counted is None:
            return
        histogram = counted.histogram(factor)
        failed = is_failure(metric.name, counted.attributes)
        refusal = self._windows.add(
            service,
            _moment(counted.time_ns),
            histogram,
            errors=None if failed is None and histogram.count else histogram.count * bool(failed),
            approximate=not counted.shape.is_exact or factor != 1.0 or counted.total is None,
            since=_moment(counted.start_ns) if counted.start_ns else None,
        )
        if refusal is not None:
            raise PointRejected(point.path, str(refusal))

    def _since_last(self, metric: Metric, point: Point) -> Point | None:
        if metric.temporality == CUMULATIVE:
            return self._series.advance(metric, point, self._clock().timestamp())
        if metric.temporality != DELTA:
            raise PointRejected(
                f"{metric.path}", "aggregationTemporality must be delta or cumulative"
            )
        if point.start_ns and point.time_ns - point.start_ns > self._windows.window_s * 1e9:
            raise PointRejected(
                point.path,
                f"it covers more than the window of {self._windows.window_s} s; export more often",
            )
        return point


def _service(resource: Mapping[str, object], path: str) -> str:
    name = resource.get("service.name")
    if isinstance(name, str) and 0 < len(name) <= MAX_NAME and is_storable(name):
        return name
    where = path.partition(".")[0]
    raise PointRejected(
        f"{where}.resource", f"service.name must name the service in at most {MAX_NAME} characters"
    )


def _moment(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC)


def _in_json(tally: _Tally) -> MetricsAnswer:
    answer: dict[str, object] = {}
    if tally.rejected:
        answer["partialSuccess"] = {
            "rejectedDataPoints": str(tally.rejected),
            "errorMessage": tally.message,
        }
    return MetricsAnswer(200, JSON, _encode(answer))


def _in_protobuf(tally: _Tally) -> MetricsAnswer:
    answer = ExportMetricsServiceResponse()
    if tally.rejected:
        answer.partial_success.rejected_data_points = tally.rejected
        answer.partial_success.error_message = tally.message
    return MetricsAnswer(200, PROTOBUF, answer.SerializeToString())
