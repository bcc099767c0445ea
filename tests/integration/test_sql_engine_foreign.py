"""Tables that people already have: what is missing is said, what is odd breaks nothing."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import servers
from integration.sql_engines import clock_at, job, queue_of, run, sql_engine
from quarterdeck.core.clock import utc_now
from quarterdeck.core.errors import ConfigError, Conflict, NotFound, SourceUnavailable, Unsupported
from quarterdeck.core.pagination import TotalKind
from quarterdeck.queues.model import (
    AttemptsReset,
    BulkAction,
    ErrorSupport,
    JobState,
    PauseScope,
    PauseSupport,
    Provenance,
    TotalSupport,
)
from quarterdeck.state import Database, open_database

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MAP: dict[str, Any] = {
    "tables": {"queues": "lists", "jobs": "items", "logs": "tries"},
    "columns": {
        "jobs": {"queue_name": "list", "payload": "data", "created_at": "made"},
        "logs": {"job_id": "item", "attempt_number": "number", "started_at": "began"},
    },
}
TABLES = [
    "CREATE TABLE lists (name text PRIMARY KEY)",
    "CREATE TABLE items (id integer PRIMARY KEY, list text REFERENCES lists, status text, "
    "data text, made text)",
    "CREATE TABLE tries (item integer REFERENCES items, number integer, status text, began text)",
    "INSERT INTO lists VALUES ('mail')",
]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The URL of an empty SQLite file."""
    (tmp_path / "theirs.sqlite3").touch()
    return f"sqlite:///{tmp_path / 'theirs.sqlite3'}"


@pytest.fixture
async def theirs(url: str) -> AsyncIterator[Database]:
    """Somebody's minimal tables in SQLite: integer ids, times as text, hardly any columns."""
    opened = open_database(url, "theirs")
    await run(opened, *TABLES)
    yield opened
    await opened.close()


async def add(database: Database, job_id: int, status: str, made: str, data: str = "'{}'") -> None:
    await run(
        database,
        "INSERT INTO items (id, list, status, data, made) VALUES "
        f"({job_id}, 'mail', '{status}', {data}, '{made}')",
    )


async def test_minimal_tables_say_what_they_cannot_do(theirs: Database, url: str) -> None:
    await add(theirs, 1, "failed", "2026-03-01 10:00:00")
    async with sql_engine(url, clock_at(NOON), **MAP) as engine:
        queue = await queue_of(engine, "queue:mail")
        able = engine.capabilities(queue)
        assert able.pause is PauseSupport.NONE
        assert able.completed_last_hour is Provenance.NONE
        assert able.total is TotalSupport.CAPPED
        assert able.attempts_reset is AttemptsReset.NO
        assert able.error is ErrorSupport.NONE
        for change in (engine.pause, engine.resume):
            with pytest.raises(Unsupported, match="is_active"):
                await change(queue)
        with pytest.raises(Unsupported, match="failed_at"):
            await anext(aiter(engine.bulk(BulkAction.RETRY_FAILED, queue, NOON)))
        stats = (await engine.snapshot())[queue]
        assert (stats.failed, stats.completed_last_hour, stats.completed) == (1, None, None)
        assert stats.paused is False
        assert await engine.find_queue("queue:mail:high") is None
        found = await engine.find_job(job("1"))
        assert found is not None
        assert (found.attempts, found.max_attempts, found.error) == (None, None, None)
        assert found.updated_at == found.created_at == datetime(2026, 3, 1, 10, tzinfo=UTC)
        assert not (await engine.retry(job("1"))).attempts_reset
        assert ((await engine.snapshot())[queue]).waiting == 1


@pytest.mark.parametrize("job_id", ["x", "1.0", "01", "+1", " 1", "1e0", str(2**63), "9" * 400])
async def test_id_that_no_integer_column_holds_is_unknown(
    theirs: Database, url: str, job_id: str
) -> None:
    await add(theirs, 1, "failed", "2026-03-01 10:00:00")
    async with sql_engine(url, **MAP) as engine:
        assert await engine.find_job(job(job_id)) is None
        with pytest.raises(NotFound):
            await engine.retry(job(job_id))
        assert await engine.find_job(job(str(2**63 - 1))) is None


async def test_odd_values_break_no_page(theirs: Database, url: str) -> None:
    odd = {
        1: ("2026-03-01T10:00:00Z", '\'{"good": "é"}\''),
        2: ("2026-03-01T12:30:00.5+02:00", "'{\"cut'"),
        3: ("yesterday", "'[1, 2]'"),
        4: ("1772359200", "x'ff00fe'"),
        5: ("2026-03-01 10:00:00", "NULL"),
        6: ("2026-03-01 10:00:00", "12"),
        7: ("2026-03-01 10:00:00", "'NaN'"),
        8: ("2026-03-01 10:00:00", "'" + '{"a":' * 3000 + " 1" + "}" * 3000 + "'"),
    }
    for job_id, (made, data) in odd.items():
        await add(theirs, job_id, "queued", made, data)
    async with sql_engine(url, **MAP) as engine:
        queue = await queue_of(engine, "queue:mail")
        page = await engine.list_jobs(queue, None, 50, 0)
        found = {int(each.ref.id): each for each in page.items}
    assert set(found) == set(odd)
    assert found[1].payload == {"good": "é"}
    assert found[1].created_at == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert found[2].created_at == datetime(2026, 3, 1, 10, 30, 0, 500_000, tzinfo=UTC)
    assert found[3].created_at is None
    assert [number for number, each in found.items() if not each.payload_error] == [1]
    assert (found[2].payload, found[3].payload, found[5].payload) == ('{"cut', "[1, 2]", None)


async def test_status_that_is_not_mapped_is_not_shown(theirs: Database, url: str) -> None:
    await add(theirs, 1, "cancelled", "2026-03-01 10:00:00")
    await add(theirs, 2, "dead", "2026-03-01 10:00:00")
    statuses = {"failed": ["failed", "dead"], "waiting": ["todo", "queued"]}
    async with sql_engine(url, statuses=statuses, **MAP) as engine:
        queue = await queue_of(engine, "queue:mail")
        page = await engine.list_jobs(queue, None, 10, 0)
        assert [(each.ref.id, each.state) for each in page.items] == [("2", JobState.FAILED)]
        assert await engine.find_job(job("1")) is None
        with pytest.raises(NotFound):
            await engine.delete(job("1"))
        await engine.retry(job("2"))
        found = await engine.find_job(job("2"))
    assert found is not None
    assert found.native_state == "todo"


async def test_deleting_a_job_takes_its_attempts_along(theirs: Database, url: str) -> None:
    await add(theirs, 1, "failed", "2026-03-01 10:00:00")
    await add(theirs, 2, "running", "2026-03-01 10:00:00")
    for item in (1, 2):
        await run(theirs, f"INSERT INTO tries VALUES ({item}, 1, 'failed', '2026-03-01 10:00:00')")
    async with sql_engine(url, **MAP) as engine:
        await engine.delete(job("1"))
        with pytest.raises(Conflict):
            await engine.delete(job("2"))
        found = await engine.find_job(job("2"))
    assert found is not None
    assert [attempt.number for attempt in found.history] == [1]


async def test_job_that_others_refer_to_is_a_conflict(theirs: Database, url: str) -> None:
    await run(theirs, "CREATE TABLE bills (item integer REFERENCES items)")
    await add(theirs, 1, "failed", "2026-03-01 10:00:00")
    await run(theirs, "INSERT INTO bills VALUES (1)")
    async with sql_engine(url, **MAP) as engine:
        with pytest.raises(Conflict, match="refuses"):
            await engine.delete(job("1"))
        assert await engine.find_job(job("1")) is not None


async def test_counts_stop_at_a_limit_and_say_so(theirs: Database, url: str) -> None:
    await run(
        theirs,
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10005) "
        "INSERT INTO items SELECT i, 'mail', 'queued', '{}', '2026-03-01 10:00:00' FROM n",
    )
    async with sql_engine(url, **MAP) as engine:
        queue = await queue_of(engine, "queue:mail")
        stats = (await engine.snapshot())[queue]
        page = await engine.list_jobs(queue, JobState.WAITING, 10, 10_000)
    assert stats.waiting == 10_000
    assert "more than 10000 waiting" in " ".join(stats.warnings)
    assert (page.total, page.total_kind) == (10_000, TotalKind.CAPPED)
    assert len(page.items) == 5


async def test_completed_last_hour_reads_every_form_of_time(theirs: Database, url: str) -> None:
    await run(theirs, "ALTER TABLE items ADD COLUMN completed_at text")
    for job_id, at in enumerate(
        (
            "2026-03-01 11:30:00", "2026-03-01T11:30:00Z", "2026-03-01T12:30:00+01:00",
            "2026-03-01T10:30:00Z", "2026-03-01 10:59:59.9", "yesterday",
        )
    ):  # fmt: skip
        await add(theirs, job_id, "completed", "2026-03-01 10:00:00")
        await run(theirs, f"UPDATE items SET completed_at = '{at}' WHERE id = {job_id}")
    async with sql_engine(url, clock_at(NOON), **MAP) as engine:
        found = await engine.find_queue("queue:mail")
    assert found is not None
    assert found[1].completed_last_hour == 3
    assert found[1].completed_last_hour_source is Provenance.RETAINED


@pytest.mark.parametrize(
    ("change", "setting"),
    [
        ({"tables": {"jobs": "nope"}}, "tables.jobs"),
        ({"tables": {"queues": "nope"}}, "tables.queues"),
        ({"tables": {"logs": "nope"}}, "tables.logs"),
        ({"tables": {"jobs": ""}}, "tables.jobs"),
        ({"columns": {"jobs": {"payload": "nope"}}}, "columns.jobs.payload"),
        ({"columns": {"jobs": {"payload": ""}}}, "columns.jobs.payload"),
        ({"columns": {"jobs": {"failed_at": "nope"}}}, "columns.jobs.failed_at"),
        ({"columns": {"queues": {"is_active": "nope"}}}, "columns.queues.is_active"),
        ({"columns": {"jobs": {"run_at": "id"}}}, "columns.jobs.run_at"),
        ({"statuses": {"failed": []}}, "statuses.failed"),
        ({"counters": "job_counts"}, "counters"),
    ],
)
async def test_what_is_missing_is_named_with_its_setting(
    theirs: Database, url: str, change: dict[str, Any], setting: str
) -> None:
    options: dict[str, Any] = {**MAP, **change}
    if "tables" in change:
        options["tables"] = {**MAP["tables"], **change["tables"]}
    if "columns" in change:
        columns = {role: {**MAP["columns"].get(role, {}), **names}
                   for role, names in change["columns"].items()}  # fmt: skip
        options["columns"] = {**MAP["columns"], **columns}
    async with sql_engine(url, **options) as engine:
        with pytest.raises(SourceUnavailable, match=f"`{setting}`"):
            await engine.snapshot()


async def test_unknown_setting_stops_the_start(url: str) -> None:
    with pytest.raises(ConfigError, match="statu"):
        async with sql_engine(url, columns={"jobs": {"statu": "state"}}):
            raise AssertionError("the engine was built")


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
async def test_table_that_goes_away_is_named_and_may_come_back(
    request: pytest.FixtureRequest, url: str, dialect: str
) -> None:
    if dialect == "postgresql":
        server: servers.PostgresServer = request.getfixturevalue("postgres_server")
        url = server.create_database()
    database = open_database(url, "theirs")
    times = [statement.replace("made text", "made timestamp") for statement in TABLES]
    times[2] = times[2].replace("began text", "began timestamptz")
    await run(database, *times)
    async with sql_engine(url, **MAP) as engine:
        assert len(await engine.snapshot()) == 1
        await run(database, "ALTER TABLE items RENAME TO away")
        for _ in range(2):
            with pytest.raises(SourceUnavailable, match=r"`tables\.jobs`"):
                await engine.snapshot()
        await run(database, "ALTER TABLE away RENAME TO items")
        assert len(await engine.snapshot()) == 1
        await run(database, "ALTER TABLE items RENAME COLUMN data TO content")
        with pytest.raises(SourceUnavailable, match=r"`columns\.jobs\.payload`"):
            await engine.find_job(job("1"))
    await database.close()


async def test_whole_queue_is_paused_where_bands_cannot_be(
    postgres_server: servers.PostgresServer,
) -> None:
    url = postgres_server.create_database()
    database = open_database(url, "theirs")
    await run(
        database,
        "CREATE SCHEMA shop",
        "CREATE TABLE shop.job_queues (name text PRIMARY KEY, is_active smallint)",
        "CREATE TABLE shop.jobs (id bigserial PRIMARY KEY, queue_name text, status text, "
        "priority integer, payload bytea, created_at timestamptz DEFAULT now(), "
        "updated_at timestamp)",
        "INSERT INTO shop.job_queues VALUES ('mail', NULL)",
        "INSERT INTO shop.jobs (queue_name, status, payload, updated_at) "
        "VALUES ('mail', 'failed', '{}', now() AT TIME ZONE 'utc')",
    )
    async with sql_engine(url, schema="shop") as engine:
        queue = await queue_of(engine, "queue:mail:low")
        assert engine.capabilities(queue).pause_scope is PauseScope.QUEUE
        assert engine.capabilities(queue).notes
        result = await engine.pause(queue)
        assert (result.scope, result.changed) == (PauseScope.QUEUE, True)
        assert set(result.affected) == {"queue:mail:high", "queue:mail", "queue:mail:low"}
        assert all(stats.paused for stats in (await engine.snapshot()).values())
        assert (await engine.resume(queue)).changed
        normal = await queue_of(engine, "queue:mail")
        page = await engine.list_jobs(normal, JobState.FAILED, 10, 0)
        assert page.items[0].payload_error
        late = utc_now() + timedelta(minutes=1)
        sizes = [size async for size in engine.bulk(BulkAction.RETRY_FAILED, normal, late)]
        assert sizes == [1]
    await database.close()
