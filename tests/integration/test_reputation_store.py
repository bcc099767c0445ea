"""What is stored of addresses, on both databases: who comes late, who goes, and who comes back."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from sqlalchemy import select

from quarterdeck.reputation.model import (
    AnswerState,
    BlockList,
    CheckReport,
    Code,
    Listing,
    ListingState,
    Lookup,
    SendingAddress,
    Tier,
    ZoneHealth,
)
from quarterdeck.reputation.store import ReputationStore
from quarterdeck.state import Database, migrate, open_database
from quarterdeck.work.tables import jobs
from servers import MIGRATIONS

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
TICK = timedelta(hours=2)
MONTH = timedelta(days=30)
ZEN = BlockList("zen", "zen.test", Tier.MAJOR, {"127.0.0.2": Code("sbl", 30)})
FIXED = SendingAddress(ip_address("192.0.2.1"))
ADDED = SendingAddress(ip_address("2001:db8::1"), pool="eu", origin="api")
L, C = AnswerState.LISTED, AnswerState.CLEAN


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = open_database(database_url, "state")
    yield opened
    await opened.close()


@pytest.fixture
def store(database: Database) -> ReputationStore:
    return ReputationStore(database)


async def settle(
    store: ReputationStore,
    state: AnswerState,
    at: datetime,
    addresses: Sequence[SendingAddress] = (FIXED,),
) -> None:
    lookups = [
        Lookup("zen", each.address, L, at, ["127.0.0.2"], ["sbl"], "why", ttl_s=60)
        if state is L
        else Lookup("zen", each.address, state, at)
        for each in addresses
    ]
    report = CheckReport(at, [ZoneHealth("zen", True, at)], lookups)
    await store.settle(addresses, report, [ZEN], is_whole=False)


async def listings(store: ReputationStore, address: SendingAddress = FIXED) -> Sequence[Listing]:
    return (await store.standing(NOW - MONTH)).listings.get(address.address, ())


async def queued(database: Database) -> list[tuple[str, datetime]]:
    query = select(jobs.c.payload, jobs.c.run_at).order_by(jobs.c.created_at, jobs.c.run_at)
    rows = await database.read(lambda c: c.execute(query).all())
    return [(row.payload["why"], row.run_at) for row in rows]


async def test_added_address_is_queued_for_its_first_check(
    store: ReputationStore, database: Database
) -> None:
    assert await store.add(ADDED, "me", NOW)
    assert not await store.add(replace(ADDED, pool="us"), "you", NOW + TICK)
    assert await store.addresses() == [ADDED]
    assert await queued(database) == [("new", NOW)]


async def test_what_was_found_of_a_removed_address_is_dropped(store: ReputationStore) -> None:
    await store.add(ADDED, "me", NOW)
    await store.remove(ADDED.address, NOW)
    await settle(store, L, NOW, (FIXED, ADDED))
    standing = await store.standing(NOW - MONTH)
    assert list(standing.listings) == list(standing.checks) == [FIXED.address]


async def test_who_is_removed_and_added_again_has_a_past(store: ReputationStore) -> None:
    await store.add(ADDED, "me", NOW)
    for number in range(2):
        await settle(store, L, NOW + number * TICK, (ADDED,))
    assert await store.remove(ADDED.address, NOW + 2 * TICK)
    assert not await store.remove(ADDED.address, NOW + 3 * TICK)
    await store.add(ADDED, "me", NOW + 3 * TICK)
    standing = await store.standing(NOW - MONTH)
    assert (standing.listings, standing.checks) == ({}, {})
    [past] = standing.past[ADDED.address]
    assert (past.listing.since, past.until) == (NOW, NOW + 2 * TICK)


async def test_suspicion_leaves_no_past(store: ReputationStore) -> None:
    await store.add(ADDED, "me", NOW)
    await settle(store, L, NOW, (ADDED,))
    await store.remove(ADDED.address, NOW + TICK)
    assert (await store.standing(NOW - MONTH)).past == {}


async def test_slow_round_does_not_undo_a_later_one(store: ReputationStore) -> None:
    await settle(store, L, NOW + timedelta(seconds=9))
    await settle(store, C, NOW)
    [listing] = await listings(store)
    assert listing.state is ListingState.SUSPECT
    assert (await store.standing(NOW)).checks[FIXED.address].at == NOW + timedelta(seconds=9)


async def test_clock_that_was_set_back_stops_nothing(store: ReputationStore) -> None:
    await settle(store, L, NOW + timedelta(days=400))
    await settle(store, C, NOW)
    assert await listings(store) == ()
    assert await store.start_round(NOW + timedelta(days=400), TICK)
    assert await store.start_round(NOW, TICK)
    assert not await store.start_round(NOW, TICK)


async def test_shorter_interval_holds_at_once(store: ReputationStore) -> None:
    assert await store.start_round(NOW, TICK)
    assert not await store.start_round(NOW + timedelta(minutes=5), TICK)
    assert await store.start_round(NOW + timedelta(minutes=5), timedelta(minutes=10))


async def test_addresses_that_the_settings_lost_are_forgotten_after_a_while(
    store: ReputationStore,
) -> None:
    other = SendingAddress(ip_address("192.0.2.2"))
    for number in range(2):
        await settle(store, L, NOW + number * TICK, (FIXED, other))
    await store.forget_others([FIXED], NOW + TICK)
    assert len(await listings(store, other)) == 1
    await store.forget_others([FIXED], NOW + 2 * TICK)
    standing = await store.standing(NOW - MONTH)
    assert list(standing.listings) == list(standing.checks) == [FIXED.address]
    [past] = standing.past[other.address]
    assert (past.listing.since, past.until) == (NOW, NOW + TICK)


async def test_new_addresses_of_the_settings_do_not_wait_for_a_round(
    store: ReputationStore, database: Database
) -> None:
    await settle(store, C, NOW)
    await store.start_first_checks([FIXED], NOW)
    assert await queued(database) == []
    await store.start_first_checks([FIXED, ADDED], NOW)
    assert await queued(database) == [("new", NOW)]


async def test_recheck_is_stored_with_the_suspicion(
    store: ReputationStore, database: Database
) -> None:
    await settle(store, L, NOW)
    await settle(store, L, NOW + timedelta(seconds=3))
    assert await queued(database) == [("confirm", NOW + timedelta(seconds=65))]


async def test_of_two_servers_one_queues_each_round(database: Database, database_url: str) -> None:
    second = open_database(database_url, "state")
    stores = [ReputationStore(each) for each in (database, second)]
    for hour in range(0, 6, 2):
        now = NOW + timedelta(hours=hour)
        started = await asyncio.gather(*(each.start_round(now, TICK) for each in stores * 8))
        assert sum(started) == 1
        assert not await stores[0].start_round(now + timedelta(hours=1), TICK)
    await second.close()


async def test_rounds_never_overlap_and_a_dead_one_is_taken_over(database: Database) -> None:
    store = ReputationStore(database)
    later = timedelta(minutes=2)
    assert await store.hold("a", NOW, NOW + later)
    assert not await store.hold("b", NOW + timedelta(minutes=1), NOW + 2 * later)
    assert await store.hold("a", NOW + timedelta(minutes=1), NOW + 2 * later)
    assert not await store.hold("b", NOW + later, NOW + 3 * later)
    assert await store.hold("b", NOW + 2 * later, NOW + 3 * later)
    await store.let_go("a")
    assert not await store.hold("c", NOW + 2 * later, NOW + 3 * later)
    await store.let_go("b")
    assert await store.hold("c", NOW + 2 * later, NOW + 3 * later)


def test_migration_can_be_run_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'state.sqlite3'}"
    migrate(url, MIGRATIONS)
    migrate(url, MIGRATIONS)
