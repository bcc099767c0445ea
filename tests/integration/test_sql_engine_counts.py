"""Counts, times and histories over the documented tables, at moments of our choosing."""

from datetime import UTC, datetime, timedelta

from integration.sql_engines import clock_at, job, queue_of, run, sql_engine
from quarterdeck.core.pagination import TotalKind
from quarterdeck.queues.adapters.sql.listing import CANDIDATES
from quarterdeck.queues.model import JobState, QueueStats
from quarterdeck.queues.rules import Redactor, TextFilter
from quarterdeck.state import Database

NOON = datetime.now(UTC).replace(second=30, microsecond=0)
"""Noon of these tests. Not long ago: PostgreSQL drops counts of minutes two hours after them."""


def stamp(moment: datetime) -> str:
    """A time as SQL text, which both databases take."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f") + "+00:00"


async def add(
    database: Database, job_id: str, status: str = "queued", at: datetime = NOON, **columns: str
) -> None:
    """One job of the queue `mail`, due at `at`; more columns as SQL."""
    moment = stamp(at) if database.dialect == "postgresql" else stamp(at)[:26]
    values = {
        "id": f"'{job_id}'", "queue_name": "'mail'", "status": f"'{status}'", "payload": "'{}'",
        "run_at": f"'{moment}'", "created_at": f"'{moment}'", "updated_at": f"'{moment}'",
        **columns,
    }  # fmt: skip
    if status in {"completed", "failed"}:
        values.setdefault(f"{status}_at", f"'{moment}'")
    await run(
        database,
        "INSERT INTO job_queues (name) VALUES ('mail') ON CONFLICT DO NOTHING",
        f"INSERT INTO jobs ({', '.join(values)}) VALUES ({', '.join(values.values())})",
    )


async def mail_at(url: str, moment: datetime) -> QueueStats:
    async with sql_engine(url, clock_at(moment)) as engine:
        found = await engine.find_queue("queue:mail")
    assert found is not None
    return found[1]


async def test_completed_last_hour_forgets_after_sixty_minutes(
    database: Database, database_url: str
) -> None:
    for minutes in (0, 1, 59, 60, 61):
        await add(database, f"j{minutes}", "completed", NOON - timedelta(minutes=minutes))
    assert (await mail_at(database_url, NOON)).completed_last_hour == 3
    assert (await mail_at(database_url, NOON + timedelta(minutes=1))).completed_last_hour == 2
    later = await mail_at(database_url, NOON + timedelta(hours=2))
    assert (later.completed_last_hour, later.completed) == (0, 5)


async def test_oldest_waiting_is_none_until_a_job_is_due(
    database: Database, database_url: str
) -> None:
    await add(database, "delayed", at=NOON + timedelta(minutes=5))
    before = await mail_at(database_url, NOON)
    assert (before.waiting, before.oldest_waiting_at) == (1, None)
    after = await mail_at(database_url, NOON + timedelta(minutes=6))
    assert after.oldest_waiting_at == NOON + timedelta(minutes=5)


async def test_migrated_jobs_are_waiting(database: Database, database_url: str) -> None:
    await add(database, "moved", "migrated_to_redis")
    async with sql_engine(database_url) as engine:
        found = await engine.find_job(job("moved"))
        queue = await queue_of(engine, "queue:mail")
        page = await engine.list_jobs(queue, JobState.WAITING, 10, 0)
    assert found is not None
    assert (found.state, found.native_state) == (JobState.WAITING, "migrated_to_redis")
    assert [each.ref.id for each in page.items] == ["moved"]


async def test_job_tells_its_times_error_and_history(database: Database, database_url: str) -> None:
    await add(
        database, "broken", "failed", last_error_message="'timeout'", last_error_trace="'at x:1'",
        attempt_count="2", max_attempts="2",
    )  # fmt: skip
    log = (
        "INSERT INTO job_logs (job_id, status, attempt_number, log_message, duration_ms, "
        "started_at) VALUES ('broken', :status, :attempt, 'timeout', 12, :at)"
    )
    cast = "CAST(:at AS timestamptz)" if database.dialect == "postgresql" else ":at"
    for attempt, status in ((1, "retry"), (2, "failed")):
        at = stamp(NOON + timedelta(seconds=attempt))
        statement = log.replace(":attempt", str(attempt)).replace(":status", f"'{status}'")
        await run(database, statement.replace(":at", cast.replace(":at", f"'{at}'")))
    async with sql_engine(database_url) as engine:
        found = await engine.find_job(job("broken"))
    assert found is not None
    assert found.error is not None
    assert (found.error.message, found.error.stack_trace) == ("timeout", "at x:1")
    assert (found.attempts, found.max_attempts) == (2, 2)
    assert (found.created_at, found.updated_at, found.run_at) == (NOON, NOON, NOON)
    assert [(each.number, each.outcome, each.message) for each in found.history] == [
        (1, "retry", "timeout"),
        (2, "failed", "timeout"),
    ]
    assert found.history[1].started_at == NOON + timedelta(seconds=2)


async def test_search_reads_so_many_candidates_and_says_so(
    database: Database, database_url: str
) -> None:
    numbers = {
        "sqlite": "WITH RECURSIVE numbers (i) AS "
        f"(SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i <= {CANDIDATES})",
        "postgresql": f"WITH numbers AS (SELECT generate_series(1, {CANDIDATES + 1}) AS i)",
    }[database.dialect]
    await run(
        database,
        "INSERT INTO job_queues (name) VALUES ('mail')",
        "INSERT INTO jobs (id, queue_name, payload) "
        f"{numbers} SELECT CAST(i AS text), 'mail', '{{\"to\": \"someone\"}}' FROM numbers",
        "UPDATE jobs SET payload = '{\"to\": \"nobody\"}' WHERE id = '77'",
    )
    redactor = Redactor([])
    async with sql_engine(database_url) as engine:
        queue = await queue_of(engine, "queue:mail")
        every = await engine.list_jobs(queue, None, 5, 0, TextFilter("o", redactor))
        narrow = await engine.list_jobs(queue, None, 5, 0, TextFilter("NOBODY", redactor))
    assert (len(every.items), every.total, every.total_kind) == (5, CANDIDATES, TotalKind.CAPPED)
    assert [each.ref.id for each in narrow.items] == ["77"]
    assert (narrow.total, narrow.total_kind) == (1, TotalKind.EXACT)


async def test_search_finds_text_that_hides_in_escapes(
    sqlite_database: Database, sqlite_url: str
) -> None:
    hidden = {
        "escaped ascii": r'{"text": "\u0073ecret \u004Bey"}',
        "escaped fold": r'{"text": "\u00DFtra\u1E9Ee"}',
        "newline": r'{"text": "one\u000atwo"}',
        "slash": r'{"text": "a\/b"}',
    }
    for job_id, payload in hidden.items():
        await add(sqlite_database, job_id, payload=f"'{payload}'")
    async with sql_engine(sqlite_url) as engine:
        queue = await queue_of(engine, "queue:mail")
        for needle, expected in {
            "SECRET": "escaped ascii",
            "key": "escaped ascii",
            "sstrasse": "escaped fold",
            "ntwo": "newline",
            "a/b": "slash",
        }.items():
            page = await engine.list_jobs(queue, None, 9, 0, TextFilter(needle, Redactor([])))
            assert [each.ref.id for each in page.items] == [expected], needle
