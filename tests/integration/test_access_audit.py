"""The audit trail on real databases."""

import asyncio
import logging

import pytest

from access_world import NOON, Watch
from quarterdeck.access.audit import COUNTED, AuditTrail, NewAuditEntry
from quarterdeck.core.pagination import TotalKind
from quarterdeck.state import Database, open_database

PAUSE = NewAuditEntry(
    principal="token:abc",
    role="ops",
    action="queue.pause",
    resource="queue_name=queue:email-sending:low",
    ip_address="192.0.2.7",
    user_agent="curl/8",
    request_id="req_1",
)


def by(principal: str, action: str = "queue.pause") -> NewAuditEntry:
    return NewAuditEntry(
        principal=principal, role="ops", action=action, resource="r", request_id="req_2"
    )


async def test_begun_entry_stays_visible_until_it_is_finished(database: Database) -> None:
    trail = AuditTrail(database, Watch())
    audit_id = await trail.begin(PAUSE)
    page = await trail.list_entries(50, 0)
    assert page.total == 1
    entry = page.items[0]
    assert (entry.id, entry.outcome, entry.status, entry.detail) == (
        audit_id,
        "started",
        None,
        None,
    )
    assert (entry.at, entry.principal, entry.resource) == (NOON, PAUSE.principal, PAUSE.resource)
    await trail.finish(audit_id, "ok", 200, {"was_paused": False, "bands": ["low"]})
    entry = (await trail.list_entries(50, 0)).items[0]
    assert (entry.outcome, entry.status) == ("ok", 200)
    assert entry.detail == {"was_paused": False, "bands": ["low"]}


async def test_crash_in_between_leaves_the_row_as_started(
    database: Database, database_url: str
) -> None:
    died = open_database(database_url, "state")
    await AuditTrail(died).begin(PAUSE)
    await died.close()
    page = await AuditTrail(database).list_entries(50, 0)
    assert [entry.outcome for entry in page.items] == ["started"]


async def test_only_the_first_end_counts(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    trail = AuditTrail(database)
    audit_id = await trail.begin(PAUSE)
    await trail.finish(audit_id, "denied", 403)
    await trail.finish(audit_id, "ok", 200)
    entry = (await trail.list_entries(50, 0)).items[0]
    assert (entry.outcome, entry.status) == ("denied", 403)
    assert "has an end already" in caplog.text


async def test_pages_are_newest_first_and_filtered(database: Database) -> None:
    trail = AuditTrail(database)
    for number in range(6):
        entry = by(f"token:{number % 2}", "job.retry" if number < 3 else "queue.pause")
        await trail.record(entry, "ok", 200 + number)
    page = await trail.list_entries(2, 1)
    assert ([entry.status for entry in page.items], page.total) == ([204, 203], 6)
    page = await trail.list_entries(50, 0, principal="token:0")
    assert ([entry.status for entry in page.items], page.total) == ([204, 202, 200], 3)
    page = await trail.list_entries(50, 0, principal="token:0", action="job.retry")
    assert ([entry.status for entry in page.items], page.total) == ([202, 200], 2)
    page = await trail.list_entries(50, 10**9)
    assert (list(page.items), page.total) == ([], 6)


async def test_writers_at_once_lose_nothing(database: Database) -> None:
    trail = AuditTrail(database)

    async def one(number: int) -> int:
        audit_id = await trail.begin(by(f"token:{number}"))
        await trail.finish(audit_id, "ok", 200, {"number": number})
        return audit_id

    ids = await asyncio.gather(*(one(number) for number in range(40)))
    page = await trail.list_entries(100, 0)
    assert len(set(ids)) == page.total == 40
    assert all(entry.outcome == "ok" for entry in page.items)
    assert [e.id for e in page.items] == sorted(ids, reverse=True)


async def test_hostile_texts_are_recorded_harmlessly(database: Database) -> None:
    trail = AuditTrail(database)
    hostile = NewAuditEntry(
        principal="jwt:a\x00b",
        role="ops",
        action="queue.pause",
        resource="x" * 10_000,
        request_id="req\r\nSet-Cookie: a",
        user_agent="\x1b[2J\ud800 \u202e'; DROP TABLE audit; --",
    )
    await trail.record(hostile, "denied", 403, {"queue": "a\x00\ud800", "rest": ["\n", {"k": 1}]})
    entry = (await trail.list_entries(50, 0, principal="jwt:a\x00b")).items[0]
    assert entry.principal == "jwt:a\ufffdb"
    assert entry.user_agent == "\ufffd[2J\ufffd \ufffd'; DROP TABLE audit; --"
    assert len(entry.resource) == 2000
    assert entry.resource.endswith("…")
    assert entry.detail == {"queue": "a\ufffd\ufffd", "rest": ["\ufffd", {"k": 1}]}


async def test_names_of_all_scripts_are_recorded_as_they_are(database: Database) -> None:
    trail = AuditTrail(database)
    name = "queue:キュー\u3000Ünï 👩\u200d💻 a/b%2F"
    await trail.record(by(name), "ok", 200)
    assert (await trail.list_entries(50, 0, principal=name)).items[0].principal == name


async def test_total_beyond_the_count_limit_is_said_to_be_capped(database: Database) -> None:
    numbers = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) "
        "INSERT INTO audit (at, principal, role, action, resource, outcome, request_id) "
        "SELECT CURRENT_TIMESTAMP, 'p', 'ops', 'a', 'r', 'ok', 'q' FROM n"
    )
    sql = numbers.format(COUNTED + 5)
    if database.dialect == "sqlite":
        head, insert = sql.split("INSERT", 1)
        into, rest = insert.split("SELECT", 1)
        sql = f"INSERT{into}{head}SELECT{rest}"
    await database.write(lambda c: c.exec_driver_sql(sql).rowcount)
    page = await AuditTrail(database).list_entries(3, COUNTED + 4)
    assert (len(page.items), page.total) == (1, COUNTED + 5)
    assert page.total_kind is TotalKind.CAPPED
    page = await AuditTrail(database).list_entries(3, 0)
    assert (len(page.items), page.total, page.total_kind) == (3, COUNTED, TotalKind.CAPPED)


async def test_unknown_outcome_is_refused_by_the_database(database: Database) -> None:
    with pytest.raises(Exception, match=r"(?i)check constraint"):
        await AuditTrail(database).record(PAUSE, "perhaps", 200)
