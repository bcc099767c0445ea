"""From what Redis counts to what is known of a queue. Pure."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec import Struct, field

from quarterdeck.queues.adapters.bullmq.abilities import KNOWN_MAJORS, NO_VERSION, unknown_version
from quarterdeck.queues.model import Provenance, QueueStats

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
_VERSION = re.compile(r"bullmq:(\d+)\.")


class Counted(Struct, frozen=True):
    """One queue in an answer of `COUNT`. A count of -1: something foreign lies under that key."""

    exists: int
    version: str
    ids: int
    """How many ids the queue has given; each new job takes one, also those that name their own."""
    wait: int
    aside: int
    active: int
    prioritized: int
    delayed: int
    children: int
    failed: int
    completed: int
    completed_hour: int
    completed_minute: int
    failed_minute: int
    is_paused: bool = field(name="paused")
    oldest: float | None = None
    metrics: tuple[str, str, str] | None = None
    points: str = ""

    @property
    def waiting(self) -> int | None:
        """Jobs that are still to run."""
        parts = (self.wait, self.aside, self.prioritized, self.delayed, self.children)
        return None if min(parts) < 0 else sum(parts)

    @property
    def is_foreign(self) -> bool:
        """Whether something else lies under one of the queue's keys."""
        return min(self.active, self.failed, self.completed) < 0 or self.waiting is None

    @property
    def keeps_all(self) -> bool:
        """Whether no job of this queue has ever been removed."""
        if self.is_foreign:
            return False
        kept = (self.waiting or 0) + self.active + self.failed + self.completed
        return kept == max(self.ids, 0)


class Completions(Struct, frozen=True):
    """How many jobs were completed, and how that is known."""

    hour: int | None
    minute: int | None
    source: Provenance


def major_of(version: str, assumed: int | None) -> int | None:
    """5 or 6; None: a version whose layout is not known, or none noted and none assumed."""
    if not version:
        return assumed
    found = _VERSION.match(version)
    number = int(found.group(1)) if found else None
    return number if number in KNOWN_MAJORS else None


def completions_of(counted: Counted, now_ms: int) -> Completions:
    """Exact while every job is kept; else by the workers' metrics; else by what is retained.

    Workers that remove jobs remove the oldest first. So what is retained tells the last hour only
    if something older than that is still there.
    """
    if counted.keeps_all:
        return Completions(counted.completed_hour, counted.completed_minute, Provenance.EXACT)
    if counted.metrics is not None:
        found = _by_metrics(counted.metrics, counted.points, now_ms // MINUTE_MS)
        if found is not None:
            return Completions(*found, Provenance.METRICS)
    if counted.completed > counted.completed_hour:
        return Completions(counted.completed_hour, counted.completed_minute, Provenance.RETAINED)
    is_minute_kept = counted.completed > counted.completed_minute
    return Completions(None, counted.completed_minute if is_minute_kept else None, Provenance.NONE)


def _by_metrics(metrics: Sequence[str], points: str, minute: int) -> tuple[int, int] | None:
    """Of the last hour and of the last full minute; None: the workers keep less than an hour.

    The newest point is of the minute before the last completion's; those after it are not
    written yet. What is newer than the points is the count less the one at the last point.
    """
    try:
        count, written_ms, counted = (int(float(number or 0)) for number in metrics)
        series = [int(float(point)) for point in points.split()]
    except (ValueError, OverflowError):
        return None
    last = written_ms // MINUTE_MS
    by_minute = {last: count - counted}
    by_minute |= {last - 1 - place: number for place, number in enumerate(series)}
    is_whole = sum(by_minute.values()) >= count or last - len(series) <= minute - 60
    if not is_whole:
        return None
    hour = sum(number for at, number in by_minute.items() if minute - 60 < at <= minute)
    return hour, by_minute.get(minute - 1, 0)


def stats_of(counted: Counted, major: int | None, now_ms: int) -> QueueStats:
    """The counts of a queue as the API knows them."""
    completions = completions_of(counted, now_ms)
    knows_failures = counted.failed > counted.failed_minute or counted.keeps_all
    return QueueStats(
        active=_unless_foreign(counted.active),
        waiting=counted.waiting,
        failed=_unless_foreign(counted.failed),
        completed_last_hour=completions.hour,
        completed_last_hour_source=completions.source,
        paused=counted.is_paused,
        oldest_waiting_at=None if counted.oldest is None else moment(counted.oldest),
        completed=_unless_foreign(counted.completed),
        completed_last_minute=completions.minute,
        failed_last_minute=_unless_foreign(counted.failed_minute) if knows_failures else None,
        warnings=_warnings(counted, major),
    )


def moment(milliseconds: float) -> datetime:
    """A time as BullMQ keeps it."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _unless_foreign(number: int) -> int | None:
    return None if number < 0 else number


def _warnings(counted: Counted, major: int | None) -> list[str]:
    found = []
    if counted.is_foreign:
        found.append("Something that is not BullMQ's lies under one of this queue's keys in Redis.")
    if counted.version and major is None:
        found.append(unknown_version(counted.version))
    elif counted.exists and major is None and counted.is_paused:
        found.append(NO_VERSION)
    if counted.is_paused and counted.wait > 0 and (counted.aside > 0 or major == 5):
        found.append(
            f"A client of BullMQ 5 that resumes this queue loses {counted.wait} of its jobs: they "
            "wait where only version 6 looks. Resume it here, or pause it here again first."
        )
    if not counted.is_paused and counted.aside > 0:
        found.append(
            f"{counted.aside} jobs are set aside though the queue is not paused, and no worker "
            "takes them. Resume it here to bring them back."
        )
    return found
