"""The engine's reads reach their rows by an index, on both databases."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine

from integration.sql_engines import job, queue_of, run, sql_engine
from quarterdeck.queues.adapters.sql import SqlEngine
from quarterdeck.queues.model import JobState, QueueRef
from quarterdeck.state import Database

NUMBERS = {
    "sqlite": "WITH RECURSIVE numbers (i) AS "
    "(SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i < 20000)",
    "postgresql": "WITH numbers AS (SELECT generate_series(0, 20000) AS i)",
}
FILL = """
INSERT INTO jobs (id, queue_name, status, priority, payload)
{numbers}
SELECT CAST(i AS text), CASE i % 2 WHEN 0 THEN 'big' ELSE 'q' || CAST(i % 20 AS text) END,
  CASE WHEN i % 100 < 90 THEN 'completed' WHEN i % 100 < 96 THEN 'queued'
    WHEN i % 100 < 99 THEN 'failed' ELSE 'running' END, 100, '{{}}'
FROM numbers"""

Statement = tuple[str, Any]


@contextmanager
def recorded() -> Iterator[list[Statement]]:
    """Every statement that is executed while the block runs, with its parameters."""
    statements: list[Statement] = []

    def note(*call: Any) -> None:
        if "SELECT set_config" not in call[2] and call[2].lstrip().startswith("SELECT"):
            statements.append((call[2], call[3]))

    event.listen(Engine, "before_cursor_execute", note)
    yield statements
    event.remove(Engine, "before_cursor_execute", note)


async def plan(database: Database, statement: Statement) -> str:
    prefix = "EXPLAIN QUERY PLAN " if database.dialect == "sqlite" else "EXPLAIN "

    def explain(connection: Connection) -> str:
        rows = connection.exec_driver_sql(prefix + statement[0], statement[1])
        return "\n".join(str(row[-1]) for row in rows)

    return await database.read(explain)


@pytest.fixture
async def filled(database: Database) -> Database:
    """Twenty thousand jobs, half of them in one queue, and fresh statistics."""
    names = ", ".join(f"('{name}')" for name in ("big", *(f"q{n}" for n in range(1, 20, 2))))
    fill = FILL.format(numbers=NUMBERS[database.dialect])
    await run(database, f"INSERT INTO job_queues (name) VALUES {names}", fill, "ANALYZE")
    return database


async def assert_no_scan(database: Database, statements: list[Statement]) -> None:
    assert statements
    for statement in statements:
        found = await plan(database, statement)
        assert "SCAN jobs" not in found, f"{statement[0]}\n{found}"
        assert "Seq Scan on jobs" not in found, f"{statement[0]}\n{found}"
        if " LIMIT " in statement[0]:
            assert "TEMP B-TREE" not in found, f"{statement[0]}\n{found}"
            assert "Sort" not in found, f"{statement[0]}\n{found}"


async def test_snapshot_scans_no_jobs(filled: Database, database_url: str) -> None:
    async with sql_engine(database_url) as engine:
        await engine.snapshot()
        with recorded() as statements:
            await engine.snapshot()
            await engine.find_queue("queue:big")
    await assert_no_scan(filled, statements)


@pytest.mark.parametrize("state", [None, *JobState])
async def test_first_and_last_page_scan_no_jobs(
    filled: Database, database_url: str, state: JobState | None
) -> None:
    async with sql_engine(database_url) as engine:
        queue = await queue_of(engine, "queue:big")
        total = (await engine.list_jobs(queue, state, 10, 0)).total
        assert total > 100 or state is JobState.ACTIVE
        with recorded() as statements:
            await engine.list_jobs(queue, state, 10, 0)
            await engine.list_jobs(queue, state, 10, max(total - 10, 0))
            await engine.find_job(job("0"))
    await assert_no_scan(filled, statements)


async def test_sampling_failures_scans_no_jobs(filled: Database, database_url: str) -> None:
    async with sql_engine(database_url) as engine:
        queue = await queue_of(engine, "queue:big")
        with recorded() as statements:
            await engine.sample_failures(queue, 20)
    await assert_no_scan(filled, statements)


async def test_last_page_is_read_from_its_own_end(filled: Database, database_url: str) -> None:
    async with sql_engine(database_url) as engine:
        queue = await queue_of(engine, "queue:big")
        everything = await all_ids(engine, queue)
        for offset in (0, 60, len(everything) // 2, len(everything) - 7, len(everything) - 1):
            page = await engine.list_jobs(queue, None, 10, offset)
            assert [each.ref.id for each in page.items] == everything[offset : offset + 10]
            assert page.total == len(everything)


async def all_ids(engine: SqlEngine, queue: QueueRef) -> list[str]:
    found: list[str] = []
    while page := (await engine.list_jobs(queue, None, 2000, len(found))).items:
        found += [each.ref.id for each in page]
    return found
