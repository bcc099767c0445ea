"""What we remember between two looks: the failed jobs, and the last hour's completions."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from quarterdeck.queues.adapters.procrastinate.census import Census, Event
from quarterdeck.queues.adapters.procrastinate.lanes import Lane

FAILED_LIMIT = 10_000
"""So many failed jobs of a lane are followed, the newest."""
HOUR_MIN = 60
SETTLE_S = 10.0
"""Events become visible when their transaction ends, not in the order of their ids: those of the
last seconds are read again. A worker ends a job in a transaction of milliseconds."""


@dataclass(slots=True)
class Ledger:
    """Told of every census, in order. `after` says from which event on the next must look."""

    after: int
    recent: int
    """An event of about `RECENT` ago: once told of all since `after`, it goes on from there."""
    failed: dict[Lane, list[int]] = field(default_factory=dict)
    _looks: list[tuple[float, int]] = field(default_factory=list)
    _counted: set[int] = field(default_factory=set)
    _minutes: dict[int, Counter[Lane]] = field(default_factory=dict)

    @property
    def known_failed(self) -> list[int]:
        """Ids of all jobs that failed and may still be so."""
        return [job_id for ids in self.failed.values() for job_id in ids]

    def note(self, census: Census, now: datetime) -> None:
        """Take over what a census found."""
        self.failed = {
            lane: sorted(ids, reverse=True)[: FAILED_LIMIT + 1]
            for lane, ids in census.failed.items()
        }
        self._count(event for event in census.news if not event.has_failed)
        oldest = _minute(now) - HOUR_MIN
        for minute in [each for each in self._minutes if each <= oldest]:
            del self._minutes[minute]
        self.after = max(self.after, self.recent)
        self._settle(max(census.last_event, self.after))

    def add_failed(self, found: Mapping[Lane, Sequence[int]]) -> None:
        """Take over what a scan of the whole table found; the next census verifies it."""
        for lane, ids in found.items():
            known = {*self.failed.get(lane, ()), *ids}
            self.failed[lane] = sorted(known, reverse=True)[: FAILED_LIMIT + 1]

    def completed_last_hour(self, lane: Lane) -> int:
        """Jobs seen to succeed in this minute and the fifty-nine before."""
        return sum(counts[lane] for counts in self._minutes.values())

    @property
    def lanes(self) -> set[Lane]:
        """Those that had failed or succeeding jobs."""
        return {*self.failed, *(lane for counts in self._minutes.values() for lane in counts)}

    def _count(self, events: Iterable[Event]) -> None:
        for event in events:
            if event.id not in self._counted and event.at is not None:
                self._counted.add(event.id)
                self._minutes.setdefault(_minute(event.at), Counter())[event.lane] += 1

    def _settle(self, last_event: int) -> None:
        """Move on to what was the last event `SETTLE_S` ago."""
        now = asyncio.get_running_loop().time()
        self._looks.append((now, last_event))
        while self._looks and self._looks[0][0] <= now - SETTLE_S:
            self.after = self._looks.pop(0)[1]
        self._counted = {event_id for event_id in self._counted if event_id > self.after}


def _minute(moment: datetime) -> int:
    return int(moment.timestamp()) // 60


LOOK_BACK = timedelta(minutes=HOUR_MIN + 1)
"""How far the first census looks back."""
RECENT = timedelta(minutes=1)
"""How far the second one does."""
