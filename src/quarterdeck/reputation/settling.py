"""The SQL of one step: a round is judged and stored, a listing ends. Part of a transaction."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any

import msgspec
from sqlalchemy import Connection, and_, bindparam, delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from quarterdeck.reputation import tables
from quarterdeck.reputation.judging import BELIEVED, Judgement, Key, judge
from quarterdeck.reputation.model import (
    Address,
    BlockList,
    CheckReport,
    Listing,
    SendingAddress,
)
from quarterdeck.reputation.rows import identity_row, listing_row
from quarterdeck.work import enqueueing
from quarterdeck.work.model import NewJob

QUEUE = "quarterdeck:reputation"
ATTEMPTS = 3
LONGEST_ROUND = timedelta(hours=1)
"""What was found further ahead of a round than this is a clock that was set back, not news."""


def take_turn(connection: Connection, now: datetime) -> None:
    """Wait for whoever is in the middle of a step: the one row is locked until the end of ours."""
    rounds = tables.rounds
    first = insert_into(connection, rounds).on_conflict_do_nothing()
    connection.execute(first, {"id": 1, "next_at": now})
    connection.execute(select(rounds.c.id).with_for_update())


def enqueue(
    connection: Connection, payload: dict[str, Any], run_at: datetime | None, now: datetime
) -> None:
    """Queue a round, or a check of the addresses that the payload names."""
    job = NewJob(payload, run_at=run_at, max_attempts=ATTEMPTS)
    enqueueing.enqueue_one(connection, QUEUE, job, now)


def settle(
    connection: Connection,
    addresses: Sequence[SendingAddress],
    report: CheckReport,
    lists: Sequence[BlockList],
    *,
    is_whole: bool,
) -> Judgement:
    """Judge a round and store what follows. Addresses that it says nothing new of are left out."""
    take_turn(connection, report.at)
    asked = _open_for(connection, addresses, report.at)
    if len(asked) < len(addresses):
        report = replace(report, lookups=[each for each in report.lookups if each.address in asked])
    before = listings(connection)
    judged = judge(before, report, lists, list(asked), is_whole=is_whole)
    _store(connection, before, judged, report)
    return judged


def end(connection: Connection, key: Key, listing: Listing, until: datetime) -> None:
    """Take a listing out of those of now; one that was believed becomes part of the past."""
    where = and_(tables.listings.c.address == str(key[0]), tables.listings.c.list_id == key[1])
    connection.execute(delete(tables.listings).where(where))
    if listing.state in BELIEVED:
        row = listing_row(key[0], listing) | {"until": until}
        row.pop("state")
        connection.execute(insert(tables.past), row)


def forget_others(connection: Connection, ours: Collection[Address], unseen_since: datetime) -> int:
    """End what is known of addresses that are not ours any more and were not asked about lately."""
    take_turn(connection, unseen_since)
    checks = tables.checks
    old = select(checks.c.address).where(checks.c.checked_at < unseen_since)
    others = {ip_address(row.address) for row in connection.execute(old)} - set(ours)
    for key, listing in listings(connection).items():
        if key[0] in others:
            end(connection, key, listing, listing.seen_at)
    if others:
        gone = delete(checks).where(checks.c.address == bindparam("gone"))
        connection.execute(gone, [{"gone": str(each)} for each in others])
    return len(others)


def listings(connection: Connection) -> dict[Key, Listing]:
    """All listings of now, by address and list."""
    query = select(tables.listings).order_by(tables.listings.c.address, tables.listings.c.list_id)
    return {
        (ip_address(row.address), row.list_id): msgspec.convert(row.listing, Listing)
        for row in connection.execute(query)
    }


def insert_into(connection: Connection, table: Any) -> Any:
    """The database's own INSERT, which knows conflicts."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)


def _open_for(
    connection: Connection, addresses: Sequence[SendingAddress], at: datetime
) -> dict[Address, None]:
    """Without those that were removed meanwhile, and those that a later round was faster about."""
    kept = {row.address for row in connection.execute(select(tables.addresses.c.address))}
    checks = tables.checks
    later = select(checks.c.address).where(
        checks.c.checked_at > at, checks.c.checked_at < at + LONGEST_ROUND
    )
    overtaken = {row.address for row in connection.execute(later)}
    return {
        each.address: None
        for each in addresses
        if (each.origin != "api" or str(each.address) in kept)
        and str(each.address) not in overtaken
    }


def _store(
    connection: Connection, before: Mapping[Key, Listing], judged: Judgement, report: CheckReport
) -> None:
    for key, listing in before.items():
        if key not in judged.listings:
            end(connection, key, listing, report.at)
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
    for due, suspected in judged.recheck.items():
        payload = {"why": "confirm", "addresses": [str(each) for each in suspected]}
        enqueue(connection, payload, due, report.at)


def _upsert(
    connection: Connection, table: Any, key: Sequence[str], rows: Iterable[dict[str, Any]]
) -> None:
    given = list(rows)
    if not given:
        return
    statement = insert_into(connection, table)
    changed = {
        column.name: statement.excluded[column.name] for column in table.c if column.name not in key
    }
    connection.execute(
        statement.on_conflict_do_update(index_elements=list(key), set_=changed), given
    )
