"""Cumulative series: what each said last, so that a new point tells what came since."""

from collections import OrderedDict
from hashlib import blake2b

from quarterdeck.health.otlp_metrics.points import Metric, Point, PointRejected

IDLE_S = 900.0
"""A series that said nothing for so long gives way to others."""


class CumulativeSeries:
    """The last points of at most `most` series and `most_buckets` buckets.

    A series is a resource, a metric, attributes and a start: processes that look alike otherwise
    are told apart by it. One without a start begins anew when a count falls.
    """

    def __init__(self, window_s: float, most: int = 10_000, most_buckets: int = 1_000_000) -> None:
        self._window_ns = int(window_s * 1e9)
        self._most = most
        self._most_buckets = most_buckets
        self._buckets = 0
        self._last: OrderedDict[bytes, tuple[float, Point]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._last)

    def advance(self, metric: Metric, point: Point, now: float) -> Point | None:
        """What came since the last point; None if that cannot be told, or was told before.

        The first point of a series, and one after a long silence, only says where it stands, but
        for one that began in the window. `now` in seconds since 1970.

        Raises:
            PointRejected: there is room for no more series.
        """
        key = _identity(metric, point)
        before = self._last[key][1] if key in self._last else None
        if before is not None and point.time_ns <= before.time_ns:
            return None
        self._keep(key, point, now)
        since = point if before is None else point.minus(before)
        if since is None and before is not None:  # it began anew, some time after it was seen last
            since = Point(
                point.path, before.time_ns, point.time_ns, point.total, None, None,
                point.attributes, point.shape,
            )  # fmt: skip
        if since is None or not since.start_ns:
            return None
        return since if since.time_ns - since.start_ns <= self._window_ns else None

    def _keep(self, key: bytes, point: Point, now: float) -> None:
        self._drop(key)
        while self._last and next(iter(self._last.values()))[0] < now - IDLE_S:
            self._drop(next(iter(self._last)))
        size = self._buckets + point.shape.size
        if len(self._last) >= self._most or size > self._most_buckets:
            raise PointRejected(
                point.path,
                "there is room for no more cumulative series; have the SDK send deltas "
                "(OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=delta)",
            )
        self._buckets = size
        self._last[key] = (now, point)

    def _drop(self, key: bytes) -> None:
        if key in self._last:
            self._buckets -= self._last.pop(key)[1].shape.size


def _identity(metric: Metric, point: Point) -> bytes:
    parts = (
        sorted(metric.resource.items(), key=lambda pair: pair[0]), metric.name, metric.unit,
        sorted(point.attributes.items(), key=lambda pair: pair[0]), point.start_ns,
        point.shape.kind,
    )  # fmt: skip
    return blake2b(repr(parts).encode(errors="surrogatepass"), digest_size=16).digest()
