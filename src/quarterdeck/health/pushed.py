"""Response times that services push: their summaries, taken as readings."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from quarterdeck.health.model import Outcome, Reading, ResponseTimes
from quarterdeck.health.watch import ServiceWatch
from quarterdeck.health.windows import TelemetrySummary


class Telemetry(Protocol):
    """Who knows what was pushed, such as `Windows`."""

    def summary(self, service_names: Sequence[str], now: datetime) -> TelemetrySummary | None:
        """The window that ends now, of all these names together; None: nothing was pushed."""
        ...


class Pushed:
    """Looks at each service's telemetry once in its interval."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._looked_at: dict[str, datetime] = {}
        self._last_at: dict[str, datetime] = {}

    def take(self, watch: ServiceWatch, now: datetime) -> tuple[Reading, TelemetrySummary] | None:
        """Have a watch take its summary if that is due; gives it if there was one.

        A summary in which nothing is new since the last one is shown, and is data; but it counts
        for no status, or one push would be bad three times in a row.
        """
        spec = watch.spec
        looked_at = self._looked_at.get(spec.name)
        if looked_at is not None and 0 <= (now - looked_at).total_seconds() < spec.interval_s:
            return None
        self._looked_at[spec.name] = now
        summary = self._telemetry.summary([spec.name, *spec.telemetry_names], now)
        if summary is None:
            self._take_none(watch, now)
            return None
        watch.response_time = ResponseTimes(
            summary.avg_ms, summary.p95_ms, summary.p99_ms, summary.approximate
        )
        is_new = self._last_at.get(spec.name) != summary.last_at
        self._last_at[spec.name] = summary.last_at
        reading = Reading(Outcome.OK, metrics=_metrics(summary))
        watch.take(watch.telemetry, reading, now, is_new=is_new)
        return reading, summary

    def _take_none(self, watch: ServiceWatch, now: datetime) -> None:
        watch.response_time = None
        if watch.telemetry.memory.seen_at is not None:
            watch.take(watch.telemetry, Reading(Outcome.UNKNOWN), now)


def _metrics(summary: TelemetrySummary) -> dict[str, float | None]:
    return {
        "response_time_ms.avg": summary.avg_ms,
        "response_time_ms.p95": summary.p95_ms,
        "response_time_ms.p99": summary.p99_ms,
        "error_rate_percent": summary.error_rate_percent,
        "request_rate": summary.request_rate,
    }
