"""Rounds on both databases: one at a time, settled once, gone on with after a crash."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest

from quarterdeck.core.errors import Conflict, NotFound, SourceUnavailable
from quarterdeck.facts import Facts
from quarterdeck.reputation.history import ScoreHistory
from quarterdeck.reputation.mail import MailRates
from quarterdeck.reputation.model import (
    Address,
    AnswerState,
    BlockList,
    CheckReport,
    Code,
    DnsIdentity,
    IpStatus,
    ListingState,
    Lookup,
    SendingAddress,
    Tier,
    ZoneHealth,
)
from quarterdeck.reputation.provider import ProviderFinder
from quarterdeck.reputation.service import ReputationParts, ReputationService
from quarterdeck.reputation.settling import QUEUE
from quarterdeck.reputation.store import ReputationStore
from quarterdeck.state import Database, open_database
from quarterdeck.work.store import WorkStore
from quarterdeck.work.worker import Worker, WorkerOptions

pytest_plugins = ("facts_fixtures",)

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
ZEN = BlockList("zen", "zen.test", Tier.MAJOR, {"127.0.0.2": Code("sbl", 30, "Ask.")})
ONE, TWO = (SendingAddress(ip_address(f"192.0.2.{n}"), pool="eu") for n in (1, 2))
TICK = timedelta(hours=2)


@dataclass
class World:
    """What lists say, what became of the mail, and the time."""

    listed: set[Address] = field(default_factory=set)
    sick: str | None = None
    rates: Mapping[Address, MailRates] = field(default_factory=dict)
    are_rates_gone: bool = False
    now: datetime = NOW
    rounds: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()


class Looker:
    """Says what the world says, after the gate has opened."""

    lists = (ZEN,)

    def __init__(self, world: World) -> None:
        self._world = world

    async def check(self, addresses: Sequence[SendingAddress], now: datetime) -> CheckReport:
        world = self._world
        world.rounds += 1
        await world.gate.wait()
        zones = [ZoneHealth("zen", world.sick is None, now, world.sick)]
        if world.sick is not None:
            return CheckReport(now, zones, [])
        return CheckReport(now, zones, [self._said(each, now) for each in addresses])

    def _said(self, each: SendingAddress, now: datetime) -> Lookup:
        if each.address not in self._world.listed:
            return Lookup("zen", each.address, AnswerState.CLEAN, now, ttl_s=60)
        return Lookup(
            "zen", each.address, AnswerState.LISTED, now, ["127.0.0.2"], ["sbl"], "why", ttl_s=60
        )


class Mail:
    def __init__(self, world: World) -> None:
        self._world = world

    async def rates(
        self, _addresses: Sequence[SendingAddress], _now: datetime
    ) -> Mapping[Address, MailRates]:
        if self._world.are_rates_gone:
            raise SourceUnavailable("facts", "The store is away.")
        return self._world.rates


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = open_database(database_url, "state")
    yield opened
    await opened.close()


def service(
    database: Database, facts: Facts, world: World, *ours: SendingAddress
) -> ReputationService:
    parts = ReputationParts(
        ReputationStore(database), Looker(world), ProviderFinder(),
        ScoreHistory(facts, clock=lambda: world.now), Mail(world), clock=lambda: world.now,
    )  # fmt: skip
    return ReputationService(ours or (ONE, TWO), parts)


async def one_round(room: ReputationService, world: World, after: timedelta = TICK) -> None:
    world.now += after
    for each in await room.list_addresses():
        await room.check(each.evidence.address.address)


async def state_of(room: ReputationService, address: Address) -> ListingState | None:
    listings = (await room.get(address)).evidence.listings
    return listings[0].state if listings else None


async def test_listing_lives_and_is_remembered(
    database: Database, embedded_facts: Facts, world: World
) -> None:
    room = service(database, embedded_facts, world)
    await room.open()
    await one_round(room, world)
    world.listed.add(ONE.address)
    told: list[int] = []
    room.subscribe(lambda: told.append(1))
    await one_round(room, world)
    assert await state_of(room, ONE.address) is ListingState.SUSPECT
    await one_round(room, world)
    assert await state_of(room, ONE.address) is ListingState.CONFIRMED
    # Another server, or this one after a restart, knows the same.
    again = service(database, embedded_facts, world)
    found = await again.get(ONE.address)
    assert (found.status, list(found.blacklists)) == (IpStatus.CRITICAL, ["zen"])
    assert again.steps_off(found, "zen") == ["sbl: Ask."]
    assert again.steps_off(found, "other") == []
    world.listed.clear()
    await one_round(room, world)
    assert await state_of(room, ONE.address) is ListingState.CLEARING
    await one_round(room, world)
    assert await state_of(room, ONE.address) is None
    assert len(told) == 8
    await room._parts.history.rows.flush()
    history = await room.history(ONE.address, 1, world.now)
    [past] = history.listings
    assert (past.listing.since, past.until) == (NOW + 2 * TICK, NOW + 5 * TICK)
    assert [each.status for each in history.scores] == [
        "good",
        "good",
        "critical",
        "critical",
        "good",
    ]
    # Four hours of seventy-two stay in the score for a month, and cost less than being listed.
    score = (await room.get(ONE.address)).score
    assert [part.component for part in score.breakdown] == ["listings"]
    assert 0 < score.breakdown[0].points < 6


async def test_round_that_cannot_tell_leaves_everything(
    database: Database, embedded_facts: Facts, world: World
) -> None:
    room = service(database, embedded_facts, world)
    world.listed.add(ONE.address)
    await one_round(room, world)
    await one_round(room, world)
    world.sick = "it was emptied"
    await one_round(room, world)
    found = await room.get(ONE.address)
    [listing] = found.evidence.listings
    assert (listing.state, listing.is_stale) == (ListingState.CONFIRMED, True)
    assert found.evidence.coverage.unknown_lists == {"zen": "it was emptied"}
    assert found.status is IpStatus.CRITICAL


async def test_signals_say_what_is_believed_and_nothing_unknown(
    database: Database, embedded_facts: Facts, world: World
) -> None:
    room = service(database, embedded_facts, world)
    never, _ = await room.signals()
    assert set(never.values.values()) == {None}
    world.listed.add(ONE.address)
    await one_round(room, world)
    suspect, _ = await room.signals()
    assert (suspect.values["listed_on_major"], suspect.values["reputation_score"]) == (False, 100)
    await one_round(room, world)
    listed, clean = await room.signals()
    assert (listed.values["listed_on_major"], clean.values["listed_on_major"]) == (True, False)
    assert "zen (sbl): why" in listed.details["reason"]
    assert (listed.source, listed.subject, listed.labels) == ("ip", "192.0.2.1", {"pool": "eu"})
    world.are_rates_gone = True
    listed, _ = await room.signals()
    assert (listed.values["listed_on_major"], listed.values["reputation_score"]) == (True, None)


async def test_samples_of_the_spec(database: Database, embedded_facts: Facts, world: World) -> None:
    busy = MailRates(50_000, 315_000, 4_860, 0, 300_000, 0, 315_000, 45_000)
    named = DnsIdentity(ONE.address, NOW, True, "mta.acme.example", True, False)

    class Named(Looker):
        async def check(self, addresses: Sequence[SendingAddress], now: datetime) -> CheckReport:
            return replace(await super().check(addresses, now), identities=[named])

    world.rates = {ONE.address: busy}
    room = service(database, embedded_facts, world, ONE)
    room._rounds._looker = Named(world)
    await one_round(room, world)
    clean = await room.get(ONE.address)
    assert (clean.score.value, clean.status, clean.score.confidence) == (98, IpStatus.GOOD, "high")
    world.listed.add(ONE.address)
    await one_round(room, world)
    await one_round(room, world)
    found = await room.get(ONE.address)
    assert (found.score.value, found.status) == (92, IpStatus.CRITICAL)
    assert found.evidence.rates is not None
    assert found.evidence.rates.accepted_24h == 50_000


async def test_addresses_come_and_go(
    database: Database, embedded_facts: Facts, world: World
) -> None:
    room = service(database, embedded_facts, world, ONE)
    added = SendingAddress(ip_address("2001:db8::1"), provider="AWS", origin="api")
    assert (await room.add(added, "me")).evidence.provider.source == "operator"
    for again in (added, ONE):
        with pytest.raises(Conflict):
            await room.add(again, "me")
    assert [str(each.evidence.address.address) for each in await room.list_addresses()] == [
        "192.0.2.1", "2001:db8::1",
    ]  # fmt: skip
    await room.remove(added.address)
    for gone in (added.address, ip_address("192.0.2.99")):
        with pytest.raises(NotFound):
            await room.remove(gone)
        with pytest.raises(NotFound):
            await room.check(gone)
    with pytest.raises(Conflict, match="settings"):
        await room.remove(ONE.address)


async def test_two_checks_at_once_confirm_nothing(
    database: Database, embedded_facts: Facts, world: World
) -> None:
    room = service(database, embedded_facts, world)
    world.listed.add(ONE.address)
    await asyncio.gather(*(room.check(ONE.address) for _ in range(8)))
    assert await state_of(room, ONE.address) is ListingState.SUSPECT


async def test_who_asks_while_a_check_runs_waits_for_the_same_one(
    database: Database, embedded_facts: Facts, world: World
) -> None:
    room = service(database, embedded_facts, world)
    world.gate.clear()
    asked = [asyncio.create_task(room._rounds.check(ONE)) for _ in range(8)]
    async with asyncio.timeout(30):
        while not world.rounds:
            await asyncio.sleep(0.01)
    asked[0].cancel()
    world.gate.set()
    first, *found = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(first, asyncio.CancelledError)
    assert found == [None] * 7
    assert world.rounds == 1
    assert (await room.get(ONE.address)).evidence.checked_at == world.now
    await room.check(ONE.address)
    assert world.rounds == 2


async def test_work_does_the_round_and_the_recheck(
    database: Database, embedded_facts: Facts, world: World
) -> None:
    room = service(database, embedded_facts, world)
    work = WorkStore(database, clock=lambda: world.now)
    worker = Worker(work, {QUEUE: room.run_job}, WorkerOptions(poll_s=0.01))
    world.listed.add(ONE.address)
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    store = ReputationStore(database)
    assert await store.start_round(world.now, TICK)

    async def becomes(state: ListingState) -> None:
        async with asyncio.timeout(30):
            while await state_of(room, ONE.address) is not state:
                await asyncio.sleep(0.01)

    await becomes(ListingState.SUSPECT)
    world.now += timedelta(seconds=64)
    await asyncio.sleep(0.1)
    assert await state_of(room, ONE.address) is ListingState.SUSPECT
    world.now += timedelta(seconds=2)
    await becomes(ListingState.CONFIRMED)
    stop.set()
    await running


async def test_round_that_died_is_made_again(
    database: Database, embedded_facts: Facts, world: World
) -> None:
    world.gate.clear()
    room = service(database, embedded_facts, world)
    work = WorkStore(database, clock=lambda: world.now, backoff=lambda _: 0.0)
    options = WorkerOptions(poll_s=0.01, lease_s=3)
    await ReputationStore(database).start_round(world.now, TICK)
    dying = asyncio.create_task(Worker(work, {QUEUE: room.run_job}, options).run(asyncio.Event()))
    async with asyncio.timeout(30):
        while not world.rounds:
            await asyncio.sleep(0.01)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    world.gate.set()
    stop = asyncio.Event()
    second = asyncio.create_task(Worker(work, {QUEUE: room.run_job}, options).run(stop))
    async with asyncio.timeout(30):
        while (await room.get(ONE.address)).evidence.checked_at is None:
            await asyncio.sleep(0.01)
    stop.set()
    await second
