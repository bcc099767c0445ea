"""What queues tell the alert rules: unknown stays unknown, a rate is of what is new."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.core.signals import Value
from quarterdeck.queues.model import EngineHealth, Provenance, QueueRef, QueueStats, SourceState
from quarterdeck.queues.service import QueueListing, QueueService
from quarterdeck.queues.signals import FEWEST, QueueSignals

START = datetime(2026, 11, 25, 10, tzinfo=UTC)
MAIL = QueueRef("platform", "queue:mail:high")


@dataclass
class Listings:
    """The one question that signals ask of the service, and a clock."""

    stats: QueueStats
    now: datetime = START
    error: str | None = None
    calls: list[datetime] = field(default_factory=list)

    async def list_queues(self) -> QueueListing:
        health = EngineHealth.UNAVAILABLE if self.error else EngineHealth.OK
        return QueueListing(
            [(MAIL, self.stats)], [SourceState("platform", "quarterdeck", health, self.error)]
        )

    async def values(self, signals: QueueSignals) -> dict[str, Value]:
        (signal,) = await signals()
        assert signal.source == "queue"
        assert signal.subject == MAIL.name
        assert signal.labels == {"source": "platform", "priority": "normal"}
        return dict(signal.values)


def stats(failed: int | None, completed: int | None = 1000, waiting: int | None = 3) -> QueueStats:
    return QueueStats(1, waiting, failed, completed, Provenance.EXACT, False)


def watched(listings: Listings) -> QueueSignals:
    return QueueSignals(cast(QueueService, listings), lambda: listings.now)


async def test_old_failures_are_no_rate_and_new_ones_are() -> None:
    queue = Listings(stats(failed=5000))
    signals = watched(queue)
    assert (await queue.values(signals))["failure_rate_percent"] == 0
    queue.stats, queue.now = stats(failed=5100, completed=900), START + timedelta(seconds=15)
    assert (await queue.values(signals))["failure_rate_percent"] == 10


async def test_retried_failures_take_nothing_back() -> None:
    queue = Listings(stats(failed=0))
    signals = watched(queue)
    await queue.values(signals)
    for failed in (100, 0, 100):
        queue.stats = stats(failed, completed=800)
        queue.now += timedelta(seconds=15)
        found = await queue.values(signals)
    assert found["failure_rate_percent"] == 20


async def test_failures_older_than_an_hour_are_forgotten() -> None:
    queue = Listings(stats(failed=0))
    signals = watched(queue)
    await queue.values(signals)
    queue.stats, queue.now = stats(failed=100), START + timedelta(minutes=1)
    assert (await queue.values(signals))["failure_rate_percent"] != 0
    queue.now = START + timedelta(minutes=62)
    assert (await queue.values(signals))["failure_rate_percent"] == 0


async def test_few_jobs_are_no_rate() -> None:
    queue = Listings(stats(failed=0, completed=FEWEST - 2))
    signals = watched(queue)
    await queue.values(signals)
    queue.stats = stats(failed=1, completed=FEWEST - 2)
    assert (await queue.values(signals))["failure_rate_percent"] is None


async def test_unknown_counts_stay_unknown() -> None:
    queue = Listings(stats(None, None, None), error=None)
    found = await queue.values(watched(queue))
    assert found["status"] is None
    assert found["waiting"] is None
    assert found["failure_rate_percent"] is None


async def test_no_source_at_all_raises_rather_than_claims() -> None:
    queue = Listings(stats(0), error="no route to host")
    with pytest.raises(SourceUnavailable):
        await watched(queue)()
