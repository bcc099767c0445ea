"""The room's facts: every reading, kept for weeks, and what a history is made of.

Readings wait in memory for the next insert. A store that is down costs the oldest of them once
there are too many; it never holds up a probe.
"""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from math import isfinite

import msgspec

from quarterdeck.core.clock import Clock, iso_z, utc_now
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.facts import Facts, Insert, Param, RowsRefused, migrate_facts
from quarterdeck.health.history import (
    History,
    SeriesPoint,
    Span,
    changes_of,
    step_for,
    steps_between,
    uptime_percent,
)
from quarterdeck.health.model import Reading, ServiceStatus
from quarterdeck.health.queries import SERIES, SPANS, SeriesRow, SpanRow
from quarterdeck.health.schema import COLUMNS, MIGRATIONS
from quarterdeck.health.windows import TelemetrySummary

log = logging.getLogger("quarterdeck.health")

TABLE = "health_samples"
INSERT_EVERY_S = 5.0
TRIM_EVERY_S = 600.0
MOST_WAITING = 50_000
"""Rows; 25 minutes of 500 services at 15 s, and some 15 MB."""
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


@dataclass(slots=True)
class _Batch:
    """Rows of one day."""

    day: date
    rows: list[bytes] = field(default_factory=list)
    token: str = ""
    """Set once it was sent: the same rows are sent again, and the store knows them."""


class Samples:
    """Takes readings; `run` stores them and lets old ones go."""

    def __init__(
        self, facts: Facts, retention_days: int = 90, cluster: str = "", clock: Clock = utc_now
    ) -> None:
        self._facts = facts
        self._retention = timedelta(days=retention_days)
        self._cluster = cluster
        self._clock = clock
        self._batches: deque[_Batch] = deque()
        self._is_migrated = False
        self._is_failing = False
        self.waiting = 0
        """Rows that are not stored yet."""
        self.dropped = 0
        """Rows that were given up, since the start."""

    def add(self, sample: Sample) -> None:
        """Take a reading; the oldest waiting ones go when there are too many."""
        day = sample.at.astimezone(UTC).date()
        last = self._batches[-1] if self._batches else None
        if last is None or last.day != day or last.token:
            last = _Batch(day)
            self._batches.append(last)
        last.rows.append(_row(sample))
        self.waiting += 1
        while self.waiting > MOST_WAITING and len(self._batches) > 1:
            self._drop(self._batches.popleft())
        if self.waiting > MOST_WAITING:
            half = len(last.rows) // 2
            self._drop(_Batch(day, last.rows[:half]))
            del last.rows[:half]

    async def open(self) -> None:
        """Make the table; if the store is down, `run` does it later.

        Raises:
            ConfigError: the table was made by a newer program.
        """
        try:
            await self._migrate()
        except SourceUnavailable as error:
            log.warning("the table of health readings cannot be made yet: %s", error.message)

    async def run(self, stop: asyncio.Event) -> None:
        """Store what is added, every few seconds and once more when `stop` is set."""
        trim_at = 0.0
        clock = asyncio.get_running_loop().time
        while not stop.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(INSERT_EVERY_S):
                    await stop.wait()
            await self.flush()
            if self._is_migrated and clock() >= trim_at and not stop.is_set():
                trim_at = clock() + TRIM_EVERY_S
                await self.trim()

    async def flush(self) -> None:
        """Store what waits; what cannot be stored now waits on."""
        try:
            await self._migrate()
            while self._batches:
                await self._insert(self._batches[0])
        except SourceUnavailable as error:
            if not self._is_failing:
                log.warning("health readings wait to be stored: %s", error.message)
            self._is_failing = True
        else:
            if self._is_failing:
                log.info("health readings are stored again; %d were dropped", self.dropped)
            self._is_failing = False

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

    async def _migrate(self) -> None:
        if not self._is_migrated:
            await migrate_facts(self._facts, "health", MIGRATIONS, self._cluster)
            self._is_migrated = True

    async def _insert(self, batch: _Batch) -> None:
        batch.token = batch.token or secrets.token_hex(16)
        rows = (b"".join(batch.rows),)
        try:
            await self._facts.insert(Insert(TABLE, COLUMNS, rows, len(batch.rows), batch.token))
        except RowsRefused as error:
            log.error("health readings were refused, please report it: %s", error.message)
            self.dropped += len(batch.rows)
        if self._batches and self._batches[0] is batch:
            self._batches.popleft()
            self.waiting -= len(batch.rows)

    def _drop(self, batch: _Batch) -> None:
        self.waiting -= len(batch.rows)
        self.dropped += len(batch.rows)

    async def trim(self) -> None:
        """Drop the days that are older than the retention."""
        oldest = (self._clock() - self._retention).date()
        sql = (
            "SELECT DISTINCT partition FROM system.parts "
            "WHERE database = currentDatabase() AND table = 'health_samples' AND active"
        )
        try:
            for row in await self._facts.fetch(sql, dict[str, str]):
                day = date.fromisoformat(row["partition"])
                if day < oldest:
                    await self._facts.execute(
                        f"ALTER TABLE health_samples DROP PARTITION '{day.isoformat()}'"
                    )
        except SourceUnavailable as error:
            log.warning("old health readings are kept for now: %s", error.message)


def _row(sample: Sample) -> bytes:
    reading, requests = sample.reading, sample.requests
    metrics = {
        name: value
        for name, value in reading.metrics.items()
        if value is not None and isfinite(value)
    }
    row = [
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
    return msgspec.json.encode(row) + b"\n"


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
            points.append(SeriesPoint(at, row.avg_ms, row.p95_ms, row.p99_ms, row.check_ms))
    return points


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
