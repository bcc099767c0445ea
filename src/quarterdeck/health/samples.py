"""The room's facts: every reading, kept for weeks, and what a history is made of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import isfinite

from quarterdeck.core.clock import Clock, iso_z, utc_now
from quarterdeck.core.plots import step_for, steps_between
from quarterdeck.facts import Facts, Param, Recorder, RecordTable
from quarterdeck.health.history import (
    History,
    SeriesPoint,
    Span,
    changes_of,
    uptime_percent,
)
from quarterdeck.health.model import Reading, ServiceStatus
from quarterdeck.health.queries import SERIES, SPANS, SeriesRow, SpanRow
from quarterdeck.health.schema import COLUMNS, MIGRATIONS
from quarterdeck.health.windows import TelemetrySummary

TABLE = RecordTable("health", "health_samples", COLUMNS, MIGRATIONS, "health readings")
LONGEST_VALID = timedelta(hours=3)
"""No reading holds longer: three of the longest intervals."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading and what the service was after it. `status` None: unknown."""

    service: str
    at: datetime
    status: ServiceStatus | None
    valid_s: float
    """For how long this holds unless another reading comes."""
    probe: str
    reading: Reading
    requests: TelemetrySummary | None = None


class Samples:
    """Takes readings, and tells histories; `rows` stores them."""

    def __init__(
        self, facts: Facts, retention_days: int = 90, cluster: str = "", clock: Clock = utc_now
    ) -> None:
        self._facts = facts
        self.rows = Recorder(facts, TABLE, retention_days, cluster, clock)

    def add(self, sample: Sample) -> None:
        """Take a reading."""
        self.rows.add(sample.at, _row(sample))

    async def history(self, service: str, since: datetime, until: datetime) -> History:
        """What a service was like between two moments, from what is stored.

        Raises:
            SourceUnavailable: the store cannot be had.
        """
        step_s = step_for((until - since).total_seconds() / 3600)
        params: dict[str, Param] = {
            "service": service,
            "since": _ms(since),
            "until": _ms(until),
            "reach": int(LONGEST_VALID.total_seconds() * 1000),
        }
        rows = (await self._facts.fetch(SPANS, SpanRow, params))[::-1]
        series = await self._facts.fetch(SERIES, SeriesRow, params | {"step": step_s * 1000})
        return _history(service, since, until, rows, _plot(series, since, until, step_s), step_s)


def _row(sample: Sample) -> list[object]:
    reading, requests = sample.reading, sample.requests
    metrics = {
        name: value
        for name, value in reading.metrics.items()
        if value is not None and isfinite(value)
    }
    return [
        sample.service,
        iso_z(sample.at.replace(microsecond=sample.at.microsecond // 1000 * 1000)),
        sample.status or "unknown",
        int(sample.valid_s * 1000),
        sample.probe,
        reading.outcome,
        reading.latency_ms,
        requests.count if requests else 0,
        requests.avg_ms if requests else None,
        requests.p95_ms if requests else None,
        requests.p99_ms if requests else None,
        metrics,
    ]


def _history(
    service: str,
    since: datetime,
    until: datetime,
    rows: Sequence[SpanRow],
    series: list[SeriesPoint],
    step_s: int,
) -> History:
    spans = [
        Span(_moment(row.start_ms), _moment(row.end_ms), ServiceStatus(row.status)) for row in rows
    ]
    first = rows[0] if rows else SpanRow(0, 0, "", 0, 0, 0, 0)
    healthy_s, degraded_s, down_s = (
        ms / 1000 for ms in (first.healthy_ms, first.degraded_ms, first.down_ms)
    )
    known_s = healthy_s + degraded_s + down_s
    history = History(
        service=service,
        since=since,
        until=until,
        changes=changes_of(spans, since, until),
        uptime_percent=uptime_percent(healthy_s, degraded_s, down_s),
        healthy_s=healthy_s,
        degraded_s=degraded_s,
        down_s=down_s,
        unknown_s=max(0.0, (until - since).total_seconds() - known_s),
        step_s=step_s,
        series=series,
    )
    if first.spans > len(spans):
        # What lies before the spans that were fetched is known, only not told.
        changes = [change for change in history.changes if change.at >= spans[0].start]
        return replace(history, changes=changes, is_complete=False)
    return history


def _plot(
    rows: Sequence[SeriesRow], since: datetime, until: datetime, step_s: int
) -> list[SeriesPoint]:
    found = {row.at_ms // 1000: row for row in rows}
    points = []
    for at in steps_between(since, until, step_s):
        row = found.get(int(at.timestamp()))
        if row is None:
            points.append(SeriesPoint(at))
        else:
            points.append(_point(at, row))
    return points


def _point(at: datetime, row: SeriesRow) -> SeriesPoint:
    return SeriesPoint(
        at=at,
        avg_ms=row.avg_ms,
        p95_ms=row.p95_ms,
        p99_ms=row.p99_ms,
        check_ms=row.check_ms,
        checks=row.checks,
        failed_checks=row.failed_checks,
        error_rate_percent=row.error_rate_percent,
    )


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
