"""The room's SQL over the state: addresses, listings, rounds. A round is settled in one step."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any

import msgspec
from sqlalchemy import Connection, and_, delete, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from quarterdeck.reputation import tables
from quarterdeck.reputation.judging import BELIEVED, Judgement, Key, judge
from quarterdeck.reputation.model import (
    Address,
    BlockList,
    CheckReport,
    Coverage,
    DnsIdentity,
    Listing,
    SendingAddress,
)
from quarterdeck.reputation.rows import identity_row, listing_row, read_identity
from quarterdeck.state import Database
from quarterdeck.work import enqueueing
from quarterdeck.work.model import NewJob

QUEUE = "quarterdeck:reputation"
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class LastCheck:
    """What the last round found of an address, besides listings."""

    at: datetime
    coverage: Coverage
    identity: DnsIdentity | None


@dataclass(frozen=True, slots=True)
class PastListing:
    """A confirmed listing that has ended."""

    address: Address
    listing: Listing
    until: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """All that is stored, at one moment."""

    listings: Mapping[Key, Listing]
    past: Sequence[PastListing]
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
        """Add one; False: it is there already."""
        row = {
            "address": str(address.address),
            "provider": address.provider,
            "pool": address.pool,
            "helo": address.helo,
            "created_at": now,
            "created_by": by,
        }

        def change(connection: Connection) -> bool:
            statement = _insert(connection, tables.addresses).on_conflict_do_nothing()
            return bool(connection.execute(statement, row).rowcount)

        return await self._database.write(change)

    async def remove(self, address: Address) -> bool:
        """Forget an address and what is believed of it; its past stays for a history."""
        text = str(address)

        def change(connection: Connection) -> bool:
            for table in (tables.listings, tables.checks):
                connection.execute(delete(table).where(table.c.address == text))
            gone = delete(tables.addresses).where(tables.addresses.c.address == text)
            return bool(connection.execute(gone).rowcount)

        return await self._database.write(change)

    # What is known

    async def standing(self, past_since: datetime) -> Standing:
        """Everything, with listings that have ended since a moment."""
        return await self._database.read(
            lambda c: Standing(_listings(c), _past(c, past_since), _checks(c))
        )

    async def settle(
        self,
        addresses: Sequence[Address],
        report: CheckReport,
        lists: Sequence[BlockList],
        *,
        is_whole: bool,
    ) -> Judgement:
        """Judge a round and store what follows, re-checks that are due later among it.

        Rounds that end at once are judged one after the other.
        """

        def change(connection: Connection) -> Judgement:
            _take_turn(connection, report.at)
            before = _listings(connection)
            judged = judge(before, report, lists, addresses, is_whole=is_whole)
            _store(connection, before, judged, report)
            return judged

        return await self._database.write(change)

    async def forget_past(self, before: datetime) -> None:
        """Let listings go that ended before a moment."""
        gone = delete(tables.past).where(tables.past.c.until < before)
        await self._database.write(lambda c: c.execute(gone).rowcount)

    # Rounds

    async def start_round(self, now: datetime, interval: timedelta) -> bool:
        """Queue a round if one is due; of several servers one does."""
        rounds = tables.rounds

        def change(connection: Connection) -> bool:
            _take_turn(connection, now)
            due = (
                update(rounds)
                .where(rounds.c.id == 1, rounds.c.next_at <= now)
                .values(next_at=now + interval)
            )
            if not connection.execute(due).rowcount:
                return False
            _enqueue(connection, {"why": "round"}, None, now)
            return True

        return await self._database.write(change)

    async def hold(self, holder: str, now: datetime, until: datetime) -> bool:
        """Be the one who is at a round, until a moment; again: for longer. False: another is."""
        rounds = tables.rounds
        free = or_(rounds.c.holder.is_(None), rounds.c.holder == holder, rounds.c.held_until <= now)
        taken = update(rounds).where(rounds.c.id == 1, free).values(holder=holder, held_until=until)

        def change(connection: Connection) -> bool:
            _take_turn(connection, now)
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


def _take_turn(connection: Connection, now: datetime) -> None:
    """Wait for whoever is in the middle of a step: the one row is locked until the end of ours."""
    rounds = tables.rounds
    first = _insert(connection, rounds).on_conflict_do_nothing()
    connection.execute(first, {"id": 1, "next_at": now})
    connection.execute(select(rounds.c.id).with_for_update())


def _enqueue(
    connection: Connection, payload: dict[str, Any], run_at: datetime | None, now: datetime
) -> None:
    job = NewJob(payload, run_at=run_at, max_attempts=ATTEMPTS)
    enqueueing.enqueue_one(connection, QUEUE, job, now)


def _store(
    connection: Connection, before: Mapping[Key, Listing], judged: Judgement, report: CheckReport
) -> None:
    gone = [key for key in before if key not in judged.listings]
    for address, list_id in gone:
        where = and_(
            tables.listings.c.address == str(address), tables.listings.c.list_id == list_id
        )
        connection.execute(delete(tables.listings).where(where))
        listing = before[address, list_id]
        if listing.state in BELIEVED:
            row = listing_row(address, listing) | {"until": report.at}
            row.pop("state")
            connection.execute(insert(tables.past), row)
    changed = [
        listing_row(key[0], each)
        for key, each in judged.listings.items()
        if before.get(key) != each
    ]
    _upsert(connection, tables.listings, ("address", "list_id"), changed)
    identities = {each.address: each for each in report.identities}
    rows = [
        {
            "address": str(address),
            "checked_at": report.at,
            "coverage": msgspec.to_builtins(coverage),
            "identity": identity_row(identities.get(address)),
        }
        for address, coverage in judged.coverage.items()
    ]
    _upsert(connection, tables.checks, ("address",), rows)
    by_due: dict[datetime, list[str]] = {}
    for address, due in judged.recheck.items():
        by_due.setdefault(due, []).append(str(address))
    for due, texts in by_due.items():
        _enqueue(connection, {"why": "confirm", "addresses": texts}, due, report.at)


def _listings(connection: Connection) -> dict[Key, Listing]:
    rows = connection.execute(select(tables.listings)).all()
    return {
        (ip_address(row.address), row.list_id): msgspec.convert(row.listing, Listing)
        for row in rows
    }


def _past(connection: Connection, since: datetime) -> list[PastListing]:
    query = select(tables.past).where(tables.past.c.until >= since).order_by(tables.past.c.until)
    return [
        PastListing(ip_address(row.address), msgspec.convert(row.listing, Listing), row.until)
        for row in connection.execute(query)
    ]


def _checks(connection: Connection) -> dict[Address, LastCheck]:
    found: dict[Address, LastCheck] = {}
    for row in connection.execute(select(tables.checks)):
        address = ip_address(row.address)
        found[address] = LastCheck(
            row.checked_at, msgspec.convert(row.coverage, Coverage), read_identity(row.identity)
        )
    return found


def _insert(connection: Connection, table: Any) -> Any:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)


def _upsert(
    connection: Connection, table: Any, key: Sequence[str], rows: Iterable[dict[str, Any]]
) -> None:
    given = list(rows)
    if not given:
        return
    statement = _insert(connection, table)
    changed = {
        column.name: statement.excluded[column.name] for column in table.c if column.name not in key
    }
    connection.execute(
        statement.on_conflict_do_update(index_elements=list(key), set_=changed), given
    )
