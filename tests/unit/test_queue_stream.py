"""What followers see: everything first, then what changed; one look for all of them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import cast

from quarterdeck.queues.model import (
    EngineHealth,
    Provenance,
    QueueRef,
    QueueStats,
    SourceState,
)
from quarterdeck.queues.service import QueueListing, QueueService
from quarterdeck.queues.stream import QueueStream, changes

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
MAIL, REPORT = QueueRef("a", "queue:mail"), QueueRef("a", "queue:report")


def stats(waiting: int) -> QueueStats:
    return QueueStats(0, waiting, 0, 0, Provenance.EXACT, False)


def source(health: EngineHealth, at: datetime = NOW) -> SourceState:
    return SourceState("a", "sql", health, answered_at=at)


def listing(
    health: EngineHealth = EngineHealth.OK, at: datetime = NOW, **waiting: int
) -> QueueListing:
    queues = [(QueueRef("a", f"queue:{name}"), stats(n)) for name, n in waiting.items()]
    return QueueListing(queues, [source(health, at)])


def test_changes_are_what_is_otherwise() -> None:
    before, after = listing(mail=1, report=2), listing(mail=1, report=3)
    found = changes(before, after)
    assert (found.changed, found.removed, found.sources) == ([(REPORT, stats(3))], [], [])
    assert changes(after, after).is_empty


def test_queue_that_is_gone_is_named() -> None:
    assert changes(listing(mail=1, report=2), listing(mail=1)).removed == [REPORT]


def test_source_is_news_when_its_health_changes_and_not_when_it_was_asked() -> None:
    assert changes(listing(), listing(at=NOW + timedelta(seconds=1))).is_empty
    assert changes(listing(), listing(EngineHealth.SLOW)).sources == [source(EngineHealth.SLOW)]


class Listings:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.waiting = 1

    async def list_queues(self) -> QueueListing:
        self.asked += 1
        await asyncio.sleep(0)
        return listing(mail=self.waiting)


async def test_followers_share_a_look_and_end_together() -> None:
    listings = Listings()
    stream = QueueStream(cast(QueueService, listings), every_s=0.05)
    firsts = []

    async def follow() -> None:
        async for found in stream.follow():
            firsts.append(found)
            if len(firsts) >= 20:
                stream.end()

    async with asyncio.timeout(30):
        await asyncio.gather(*(follow() for _ in range(10)))
    assert [found.changed for found in firsts[:10]] == [[(MAIL, stats(1))]] * 10
    assert listings.asked <= 4


async def test_change_is_seen_and_a_quiet_second_says_nothing() -> None:
    listings = Listings()
    stream = QueueStream(cast(QueueService, listings), every_s=0.01)
    events = stream.follow()
    async with asyncio.timeout(30):
        assert not (await anext(events)).is_empty
        assert (await anext(events)).is_empty
        listings.waiting = 2
        while (found := await anext(events)).is_empty:
            pass
    assert found.changed == [(MAIL, stats(2))]
    stream.end()
    await events.aclose()  # type: ignore[attr-defined]
