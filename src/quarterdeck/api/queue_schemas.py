"""What the routes of queues answer: the spec's fields first, our additions after them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from quarterdeck.queues.history import Direction, QueueHistory, QueuePoint
from quarterdeck.queues.model import (
    Capabilities,
    EngineHealth,
    PauseScope,
    Priority,
    Provenance,
    QueueRef,
    QueueStats,
    QueueStatus,
    SourceState,
)
from quarterdeck.queues.rules import status_of
from quarterdeck.queues.service import QueueListing, QueueView
from quarterdeck.queues.watching import QueueWatch


class Source(Struct, frozen=True):
    """A place that queues come from, and whether it answers."""

    name: str
    kind: str
    health: EngineHealth
    error: str | None
    answered_at: datetime | None
    """When its counts were last read; older than now when it is slow."""


class QueueTrend(Struct, frozen=True):
    """Where a queue is going: a straight line through the last ten minutes."""

    direction: Direction
    waiting_per_minute: float


class Queue(Struct, frozen=True):
    """A queue. A count that cannot be had is null, never zero."""

    name: str
    priority: Priority
    active_jobs: int | None
    waiting_jobs: int | None
    completed_last_hour: int | None
    failed_jobs: int | None
    status: QueueStatus
    paused: bool | None
    source: str
    oldest_waiting_at: datetime | None
    completed_last_hour_source: Provenance
    trend: QueueTrend | None
    eta_s: float | None
    warnings: Sequence[str]


class QueueDetail(Queue, frozen=True):
    """A queue and what can be done with it."""

    completed_jobs: int | None
    oldest_waiting_age_s: float | None
    capabilities: Capabilities
    source_state: Source


class QueueList(Struct, frozen=True):
    """All queues; a source that does not answer is named and its queues' counts are null."""

    queues: list[Queue]
    sources: list[Source]


class QueueHistoryData(Struct, frozen=True):
    """A queue over time, for plots. A step in which nothing is known has nulls, never zeros."""

    queue: str
    source: str
    since: datetime
    until: datetime
    step_s: int
    series: Sequence[QueuePoint]


class QueueChange(Struct, frozen=True):
    """A pause or resume: what it really did, and how far it reaches."""

    queue: str
    status: str
    timestamp: datetime
    changed: bool
    scope: PauseScope
    durable: bool
    affected: Sequence[str]
    notes: Sequence[str]


def queue_list(listing: QueueListing, watch: QueueWatch) -> QueueList:
    """All queues as the API shows them."""
    return QueueList(
        queues=[queue_item(ref, stats, watch) for ref, stats in listing.queues],
        sources=[source_item(state) for state in listing.sources],
    )


def queue_item(ref: QueueRef, stats: QueueStats, watch: QueueWatch) -> Queue:
    """One queue of a list, as the API shows it."""
    return Queue(**_queue(ref, stats, watch))


def source_item(state: SourceState) -> Source:
    """A source as the API shows it; when one that is well was asked is always now."""
    answered_at = None if state.health is EngineHealth.OK else state.answered_at
    return Source(state.name, state.kind, state.health, state.error, answered_at)


def queue_detail(view: QueueView, watch: QueueWatch, now: datetime) -> QueueDetail:
    """One queue as the API shows it."""
    oldest = view.stats.oldest_waiting_at
    age = None if oldest is None else round(max(0.0, (now - oldest).total_seconds()), 3)
    return QueueDetail(
        **_queue(view.ref, view.stats, watch),
        completed_jobs=view.stats.completed,
        oldest_waiting_age_s=age,
        capabilities=view.capabilities,
        source_state=source_item(view.source),
    )


def _queue(ref: QueueRef, stats: QueueStats, watch: QueueWatch) -> dict[str, Any]:
    outlook = watch.outlook(ref, stats)
    completed, provenance = watch.completed(stats, outlook)
    trend = outlook.trend
    return {
        "name": ref.name,
        "priority": ref.priority,
        "active_jobs": stats.active,
        "waiting_jobs": stats.waiting,
        "completed_last_hour": completed,
        "failed_jobs": stats.failed,
        "status": status_of(stats),
        "paused": stats.paused,
        "source": ref.source,
        "oldest_waiting_at": stats.oldest_waiting_at,
        "completed_last_hour_source": provenance,
        "trend": trend and QueueTrend(trend.direction, round(trend.waiting_per_minute, 2)),
        "eta_s": None if outlook.eta_s is None else round(outlook.eta_s, 1),
        "warnings": stats.warnings,
    }


def queue_history(history: QueueHistory) -> QueueHistoryData:
    """A queue's history as the API shows it."""
    return QueueHistoryData(
        queue=history.ref.name,
        source=history.ref.source,
        since=history.since,
        until=history.until,
        step_s=history.step_s,
        series=history.series,
    )
