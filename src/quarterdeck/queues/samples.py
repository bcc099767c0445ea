"""The room's facts: counts of every queue every few seconds, kept for weeks."""

from datetime import UTC, datetime

from msgspec import Struct

from quarterdeck.core.clock import Clock, iso_z, utc_now
from quarterdeck.core.plots import step_for, steps_between
from quarterdeck.facts import Facts, Param, Recorder
from quarterdeck.queues.history import QueueHistory, QueuePoint
from quarterdeck.queues.model import QueueRef, QueueStats
from quarterdeck.queues.schema import RECENT, SERIES, TABLE


class RecentRow(Struct, frozen=True):
    """What a start needs of one sample to go on where the last process ended."""

    source: str
    queue: str
    at_ms: int
    waiting: int | None
    completed_last_minute: int | None


class _SeriesRow(Struct, frozen=True):
    at_ms: int
    waiting: float | None
    waiting_max: int | None
    active: float | None
    failed: int | None
    oldest_age_s: float | None
    completed_per_minute: float | None
    failed_per_minute: float | None


class QueueSamples:
    """Takes counts, and tells histories; `rows` stores them."""

    def __init__(
        self, facts: Facts, retention_days: int = 90, cluster: str = "", clock: Clock = utc_now
    ) -> None:
        self._facts = facts
        self.rows = Recorder(facts, TABLE, retention_days, cluster, clock)

    def add(self, ref: QueueRef, stats: QueueStats, at: datetime) -> None:
        """Take the counts of a queue at a moment."""
        oldest = stats.oldest_waiting_at
        self.rows.add(
            at,
            [
                ref.source,
                ref.name,
                iso_z(at.replace(microsecond=at.microsecond // 1000 * 1000)),
                stats.waiting,
                stats.active,
                stats.failed,
                stats.completed_last_hour,
                stats.completed_last_minute,
                stats.failed_last_minute,
                max(0.0, (at - oldest).total_seconds()) if oldest else None,
                stats.paused,
            ],
        )

    async def recent(self, since: datetime) -> list[RecentRow]:
        """All samples since a moment, in the order of time.

        Raises:
            SourceUnavailable: the store of facts cannot be had.
        """
        return await self._facts.fetch(RECENT, RecentRow, {"since": _ms(since)})

    async def history(self, ref: QueueRef, since: datetime, until: datetime) -> QueueHistory:
        """What a queue was like between two moments.

        Raises:
            SourceUnavailable: the store of facts cannot be had.
        """
        step_s = step_for((until - since).total_seconds() / 3600)
        params: dict[str, Param] = {
            "source": ref.source,
            "queue": ref.name,
            "since": _ms(since),
            "until": _ms(until),
            "step": step_s * 1000,
        }
        rows = await self._facts.fetch(SERIES, _SeriesRow, params)
        found = {row.at_ms // 1000: row for row in rows}
        steps = steps_between(since, until, step_s)
        points = [_point(at, found.get(int(at.timestamp()))) for at in steps]
        return QueueHistory(ref, since, until, step_s, points)


def _point(at: datetime, row: _SeriesRow | None) -> QueuePoint:
    if row is None:
        return QueuePoint(at.astimezone(UTC))
    return QueuePoint(
        at=at.astimezone(UTC),
        waiting=row.waiting,
        waiting_max=row.waiting_max,
        active=row.active,
        failed=row.failed,
        oldest_age_s=row.oldest_age_s,
        completed_per_minute=row.completed_per_minute,
        failed_per_minute=row.failed_per_minute,
    )


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
