"""What was measured and not sent yet: slices of a few seconds, with a histogram for each status."""

import json
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from quarterdeck.core.histogram import Histogram

METRIC = "http.server.request.duration"
DELTA = 1
MAX_STATUSES = 40
"""Different ones in a slice; further ones are counted as 200, 300, 400 or 500."""


@dataclass(slots=True)
class Slice:
    """What was recorded between two moments, in nanoseconds since 1970."""

    start_ns: int
    end_ns: int = 0
    by_status: dict[int, Histogram] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Requests in it."""
        return sum(histogram.count for histogram in self.by_status.values())

    def histogram(self, status: int) -> Histogram:
        """The one to add to."""
        if not 100 <= status <= 599:
            status = 500
        if status not in self.by_status and len(self.by_status) >= MAX_STATUSES:
            status = status // 100 * 100
        return self.by_status.setdefault(status, Histogram())


class Ledger:
    """The slice that is open, and those that wait to be sent: `window_s` of them at most.

    Any thread may record; one closes and settles.
    """

    def __init__(self, window_s: float) -> None:
        # A signal handler may serve a request in the middle of recording another.
        self._lock = threading.RLock()
        self._window_ns = int(window_s * 1e9)
        self._open = Slice(time.time_ns())
        self._closed: deque[Slice] = deque()
        self.dropped = 0
        """Requests that were measured and never counted by the server."""

    @property
    def left(self) -> int:
        """Requests that are not sent yet."""
        with self._lock:
            return self._open.count + sum(each.count for each in self._closed)

    def record(self, seconds: float, status: int) -> None:
        """Count one request; seconds from 0 on."""
        with self._lock:
            histogram = self._open.by_status.get(status)
            if histogram is None:
                histogram = self._open.histogram(status)
            histogram.add(seconds)

    def close_slice(self) -> None:
        """Begin another, and drop those that have left the server's window."""
        with self._lock:
            closed, self._open = self._open, Slice(time.time_ns())
            # The system's clock may have been set back meanwhile.
            closed.end_ns = max(self._open.start_ns, closed.start_ns + 1)
            self._closed.append(closed)
            while self._closed[0].end_ns <= closed.end_ns - self._window_ns:
                self.dropped += self._closed.popleft().count

    def waiting(self) -> list[Slice]:
        """Those to send, oldest first."""
        with self._lock:
            return list(self._closed)

    def settle(self, sent: Sequence[Slice], dropped: int = 0) -> None:
        """These are the server's now, but for so many requests."""
        with self._lock:
            for _ in sent:
                self._closed.popleft()
            self.dropped += dropped


def encoded(service: str, slices: Sequence[Slice]) -> bytes:
    """An `ExportMetricsServiceRequest` in JSON."""
    points = [point for each in slices for point in _points(each)]
    histogram = {"aggregationTemporality": DELTA, "dataPoints": points}
    metric = {"name": METRIC, "unit": "s", "exponentialHistogram": histogram}
    scope = {"scope": {"name": "quarterdeck.contrib"}, "metrics": [metric]}
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    request = {"resourceMetrics": [{"resource": resource, "scopeMetrics": [scope]}]}
    return json.dumps(request, separators=(",", ":")).encode()


def _points(piece: Slice) -> list[dict[str, Any]]:
    span = {"startTimeUnixNano": str(piece.start_ns), "timeUnixNano": str(piece.end_ns)}
    if not piece.by_status:  # nothing happened, which is not the same as nothing known
        return [span | {"count": "0", "sum": 0, "scale": 0, "zeroCount": "0"}]
    return [
        span | _numbers(histogram) | {"attributes": [_status(status)]}
        for status, histogram in sorted(piece.by_status.items())
    ]


def _numbers(histogram: Histogram) -> dict[str, Any]:
    offset, counts = histogram.dense()
    return {
        "count": str(histogram.count),
        "sum": histogram.sum,
        "min": histogram.min,
        "max": histogram.max,
        "scale": histogram.scale,
        "zeroCount": str(histogram.zero_count),
        "positive": {"offset": offset, "bucketCounts": [str(count) for count in counts]},
    }


def _status(status: int) -> dict[str, Any]:
    return {"key": "http.response.status_code", "value": {"intValue": str(status)}}
