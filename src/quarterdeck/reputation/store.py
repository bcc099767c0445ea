"""The room's SQL over the state: addresses, listings, rounds. A round is settled in one step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

import msgspec
from sqlalchemy import Connection, delete, or_, select, update

from quarterdeck.reputation import settling, tables
from quarterdeck.reputation.judging import Judgement
from quarterdeck.reputation.model import (
    Address,
    BlockList,
    CheckReport,
    Coverage,
    DnsIdentity,
    Listing,
    SendingAddress,
)
from quarterdeck.reputation.rows import read_identity
from quarterdeck.state import Database


@dataclass(frozen=True, slots=True)
class LastCheck:
    """What the last round found of an address, besides listings."""

    at: datetime
    coverage: Coverage
    identity: DnsIdentity | None


@dataclass(frozen=True, slots=True)
class PastListing:
    """A confirmed listing that has ended."""

    listing: Listing
    until: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """All that is stored, at one moment."""

    listings: Mapping[Address, Sequence[Listing]]
    """Those of now, suspicions among them."""
    past: Mapping[Address, Sequence[PastListing]]
    checks: Mapping[Address, LastCheck]


class ReputationStore:
    """Every method raises SourceUnavailable when the database cannot be had."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Addresses

    async def addresses(self) -> list[SendingAddress]:
        """Those that came through the API, by address."""
        query = select(tables.addresses)
        rows = await self._database.read(lambda c: c.execute(query).all())
        found = [
            SendingAddress(ip_address(row.address), row.provider, row.pool, row.helo, "api")
            for row in rows
        ]
        return sorted(found, key=lambda each: (each.address.version, int(each.address)))

    async def add(self, address: SendingAddress, by: str, now: datetime) -> bool:
        """Add one, and queue its first check; False: it is there already."""
        row = {
            "address": str(address.address),
            "provider": address.provider,
            "pool": address.pool,
            "helo": address.helo,
            "created_at": now,
            "created_by": by,
        }

        def change(connection: Connection) -> bool:
            statement = settling.insert_into(connection, tables.addresses).on_conflict_do_nothing()
            if not connection.execute(statement, row).rowcount:
                return False
            settling.enqueue(connection, _check_of([address.address]), None, now)
            return True

        return await self._database.write(change)

    async def remove(self, address: Address, now: datetime) -> bool:
        """Forget an address. Listings that were believed end, and stay in its past: who adds it
        again does not begin with a clean slate.
        """
        text = str(address)

        def change(connection: Connection) -> bool:
            settling.take_turn(connection, now)
            gone = delete(tables.addresses).where(tables.addresses.c.address == text)
            if not connection.execute(gone).rowcount:
                return False
            for key, listing in settling.listings(connection).items():
                if key[0] == address:
                    settling.end(connection, key, listing, now)
            connection.execute(delete(tables.checks).where(tables.checks.c.address == text))
            return True

        return await self._database.write(change)

    # What is known

    async def standing(self, past_since: datetime) -> Standing:
        """Everything, with listings that have ended since a moment."""
        return await self._database.read(lambda c: _standing(c, past_since))

    async def settle(
        self,
        addresses: Sequence[SendingAddress],
        report: CheckReport,
        lists: Sequence[BlockList],
        *,
        is_whole: bool,
    ) -> Judgement:
        """Judge a round and store what follows, re-checks that are due later among it.

        Rounds that end at once are judged one after the other. Addresses that were removed
        meanwhile are left out, and those that a later round has been about already.
        """
        return await self._database.write(
            lambda c: settling.settle(c, addresses, report, lists, is_whole=is_whole)
        )

    async def forget_past(self, before: datetime) -> None:
        """Let listings go that ended before a moment."""
        gone = delete(tables.past).where(tables.past.c.until < before)
        await self._database.write(lambda c: c.execute(gone).rowcount)

    async def forget_others(self, ours: Sequence[SendingAddress], unseen_since: datetime) -> None:
        """Forget addresses that the settings have not named since a moment, as `remove` does.

        Not at once: while servers are replaced one by one, their settings differ.
        """
        kept = {each.address for each in ours}
        await self._database.write(lambda c: settling.forget_others(c, kept, unseen_since))

    # Rounds

    async def start_round(self, now: datetime, interval: timedelta) -> bool:
        """Queue a round if one is due; of several servers one does.

        One that is planned further ahead than the interval was planned with a longer one, or by a
        clock that has been set back: it is due.
        """
        rounds = tables.rounds

        def change(connection: Connection) -> bool:
            settling.take_turn(connection, now)
            is_due = or_(rounds.c.next_at <= now, rounds.c.next_at > now + interval)
            due = update(rounds).where(rounds.c.id == 1, is_due).values(next_at=now + interval)
            if not connection.execute(due).rowcount:
                return False
            settling.enqueue(connection, {"why": "round"}, None, now)
            return True

        return await self._database.write(change)

    async def start_first_checks(self, ours: Sequence[SendingAddress], now: datetime) -> None:
        """Queue a check of those that were never checked."""

        def change(connection: Connection) -> None:
            known = _checks(connection)
            new = [each.address for each in ours if each.address not in known]
            if new:
                settling.enqueue(connection, _check_of(new), None, now)

        await self._database.write(change)

    async def hold(self, holder: str, now: datetime, until: datetime) -> bool:
        """Be the one who is at a round, until a moment; again: for longer. False: another is."""
        rounds = tables.rounds
        free = or_(rounds.c.holder.is_(None), rounds.c.holder == holder, rounds.c.held_until <= now)
        taken = update(rounds).where(rounds.c.id == 1, free).values(holder=holder, held_until=until)

        def change(connection: Connection) -> bool:
            settling.take_turn(connection, now)
            return bool(connection.execute(taken).rowcount)

        return await self._database.write(change)

    async def let_go(self, holder: str) -> None:
        """Be at no round any more."""
        rounds = tables.rounds
        free = (
            update(rounds)
            .where(rounds.c.id == 1, rounds.c.holder == holder)
            .values(holder=None, held_until=None)
        )
        await self._database.write(lambda c: c.execute(free).rowcount)


def _check_of(addresses: Sequence[Address]) -> dict[str, object]:
    return {"why": "new", "addresses": [str(each) for each in addresses]}


def _standing(connection: Connection, past_since: datetime) -> Standing:
    current: dict[Address, list[Listing]] = {}
    for (address, _), listing in settling.listings(connection).items():
        current.setdefault(address, []).append(listing)
    query = (
        select(tables.past)
        .where(tables.past.c.until >= past_since)
        .order_by(tables.past.c.until, tables.past.c.id)
    )
    past: dict[Address, list[PastListing]] = {}
    for row in connection.execute(query):
        listing = msgspec.convert(row.listing, Listing)
        past.setdefault(ip_address(row.address), []).append(PastListing(listing, row.until))
    return Standing(current, past, _checks(connection))


def _checks(connection: Connection) -> dict[Address, LastCheck]:
    found: dict[Address, LastCheck] = {}
    for row in connection.execute(select(tables.checks)):
        address = ip_address(row.address)
        found[address] = LastCheck(
            row.checked_at, msgspec.convert(row.coverage, Coverage), read_identity(row.identity)
        )
    return found
