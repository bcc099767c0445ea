"""Samples of queues in the store of facts: histories, trends over a restart, the sampled hour."""

from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.facts import Facts
from quarterdeck.queues.history import Direction, Outlook
from quarterdeck.queues.model import EngineHealth, Provenance, QueueRef, QueueStats, SourceState
from quarterdeck.queues.samples import QueueSamples
from quarterdeck.queues.service import QueueListing, QueueService
from quarterdeck.queues.watching import QueueWatch

pytest_plugins = ("facts_fixtures",)

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
MAIL = QueueRef("platform", "queue:mail")
DEAD = QueueRef("dead", "queue:mail")


class Listings:
    """The one question that a watch asks of the service, and a clock."""

    def __init__(self) -> None:
        self.now = NOW
        self.waiting: int | None = 100
        self.completed: int | None = 6

    async def list_queues(self, source: str | None = None) -> QueueListing:
        stats = QueueStats(
            2, self.waiting, 1, None, Provenance.NONE, False,
            oldest_waiting_at=self.now - timedelta(seconds=30),
            completed_last_minute=self.completed, failed_last_minute=1,
        )  # fmt: skip
        unknown = QueueStats(None, None, None, None, Provenance.NONE, None)
        return QueueListing(
            [(DEAD, unknown), (MAIL, stats)],
            [
                SourceState("dead", "sql", EngineHealth.UNAVAILABLE, "Connection refused."),
                SourceState("platform", "sql", EngineHealth.OK),
            ],
        )


def watched(facts: Facts, listings: Listings) -> tuple[QueueWatch, QueueSamples]:
    samples = QueueSamples(facts, clock=lambda: listings.now)
    queues = cast(QueueService, listings)
    return QueueWatch(queues, samples, lambda: listings.now), samples


async def sampled(watch: QueueWatch, listings: Listings, minutes: int, change: int = 0) -> None:
    for _ in range(minutes * 4):
        listings.now += timedelta(seconds=15)
        if listings.waiting is not None:
            listings.waiting += change
        await watch.sample()


async def test_history_has_what_was_sampled_and_nothing_else(facts: Facts) -> None:
    listings = Listings()
    watch, samples = watched(facts, listings)
    await watch.open()
    await sampled(watch, listings, 2)
    listings.now += timedelta(minutes=10)
    listings.waiting = listings.completed = None
    await sampled(watch, listings, 1)
    await samples.rows.flush()
    history = await watch.history(MAIL, 1, listings.now + timedelta(seconds=1))
    assert history.step_s == 15
    assert len(history.series) in {240, 241}
    known = [point for point in history.series if point.active is not None]
    assert len(known) == 12
    assert [(p.waiting, p.waiting_max, p.failed, p.oldest_age_s) for p in known[:8]] == [
        (100, 100, 1, 30)
    ] * 8
    assert [point.completed_per_minute for point in known] == [6] * 8 + [None] * 4
    assert [point.failed_per_minute for point in known] == [1] * 12
    assert all(point.waiting is None for point in known[8:])
    # A source that did not answer was not sampled.
    assert not any(point.active for point in (await watch.history(DEAD, 1, NOW)).series)


async def test_trend_and_hour_go_on_after_a_restart(facts: Facts) -> None:
    listings = Listings()
    listings.waiting = 1000
    watch, samples = watched(facts, listings)
    await watch.open()
    await sampled(watch, listings, 61, change=-2)
    await samples.rows.flush()
    second, _ = watched(facts, listings)
    await second._remember()
    stats = dict((await listings.list_queues()).queues)[MAIL]
    for each in (watch, second):
        outlook = each.outlook(MAIL, stats)
        assert outlook.trend is not None
        assert outlook.trend.direction is Direction.FALLING
        assert outlook.trend.waiting_per_minute == pytest.approx(-8)
        assert outlook.eta_s == pytest.approx(60 * stats.waiting / 8)  # type: ignore[operator]
        assert each.completed(stats, outlook) == (360, Provenance.SAMPLED)


async def test_what_the_engine_says_comes_first(embedded_facts: Facts) -> None:
    watch, _ = watched(embedded_facts, Listings())
    stats = QueueStats(0, 0, 0, 41, Provenance.RETAINED, False)
    outlook = Outlook(completed_last_hour=40)
    assert watch.completed(stats, outlook) == (41, Provenance.RETAINED)
    assert watch.outlook(MAIL, stats) == Outlook()


async def test_store_that_is_away_costs_the_memory_and_nothing_else(
    embedded_facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    listings = Listings()
    watch, samples = watched(embedded_facts, listings)

    async def away(*_: object) -> None:
        raise SourceUnavailable("facts", "The store is away.")

    monkeypatch.setattr(samples, "recent", away)
    await watch._remember()
    await sampled(watch, listings, 1)
    assert samples.rows.waiting == 4
