"""The state database: the same behaviour on SQLite and PostgreSQL, also when things break."""

import asyncio
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

import servers
from quarterdeck.core.errors import ConfigError, SourceUnavailable
from quarterdeck.state import Database, DataDirLock, migrate, open_database
from servers import MIGRATIONS

INSERT = text("INSERT INTO job_queues (name) VALUES (:name)")
NAMES = text("SELECT name FROM job_queues ORDER BY name")


def insert(connection: Connection, name: str) -> None:
    connection.execute(INSERT, {"name": name})


async def names(database: Database) -> list[str]:
    return await database.read(lambda c: list(c.execute(NAMES).scalars()))


async def test_write_is_visible_to_reads_after_return(database: Database) -> None:
    assert await database.write(lambda c: c.execute(INSERT, {"name": "a"}).rowcount) == 1
    assert await names(database) == ["a"]


async def test_failed_write_leaves_nothing_and_spares_its_neighbours(database: Database) -> None:
    def half_done(connection: Connection) -> None:
        connection.execute(INSERT, {"name": "half"})
        raise RuntimeError("died half-way")

    def good(name: str) -> "asyncio.Future[object]":
        return asyncio.ensure_future(
            database.write(lambda c: c.execute(INSERT, {"name": name}).rowcount)
        )

    results = await asyncio.gather(
        good("a"), database.write(half_done), good("b"), return_exceptions=True
    )
    assert isinstance(results[1], RuntimeError)
    assert await names(database) == ["a", "b"]


async def test_migrate_twice_changes_nothing(database_url: str) -> None:
    await asyncio.to_thread(migrate, database_url, MIGRATIONS)
    opened = open_database(database_url, "state")
    assert await names(opened) == []
    await opened.close()


async def test_slow_read_is_cut_off(database: Database) -> None:
    slow = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000000) "
        "SELECT count(*) FROM n"
    )
    with pytest.raises(SourceUnavailable, match="took too long"):
        await database.read(lambda c: c.execute(text(slow)).scalar(), timeout_s=0.2)
    assert await names(database) == []


async def test_sqlite_file_gone_is_unavailable_and_recovers(
    sqlite_database: Database, tmp_path: Path
) -> None:
    await sqlite_database.write(lambda c: c.execute(INSERT, {"name": "a"}).rowcount)
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"state.sqlite3{suffix}").rename(tmp_path / f"away{suffix}")
    with pytest.raises(SourceUnavailable, match="gone"):
        await sqlite_database.write(lambda c: c.execute(INSERT, {"name": "b"}).rowcount)
    with pytest.raises(SourceUnavailable, match="gone"):
        await names(sqlite_database)
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"away{suffix}").rename(tmp_path / f"state.sqlite3{suffix}")
    await sqlite_database.write(lambda c: c.execute(INSERT, {"name": "c"}).rowcount)
    assert await names(sqlite_database) == ["a", "c"]


async def test_sqlite_full_disk_loses_nothing_acknowledged(
    sqlite_database: Database, tmp_path: Path
) -> None:
    await sqlite_database.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 60").scalar())
    acknowledged = []
    with pytest.raises(SourceUnavailable, match="full"):
        for number in range(1000):
            name = f"{number:04}" + "x" * 2000
            await sqlite_database.write(partial(insert, name=name))
            acknowledged.append(name)
    await sqlite_database.write(
        lambda c: c.exec_driver_sql("PRAGMA max_page_count = 100000").scalar()
    )
    await sqlite_database.write(lambda c: c.execute(INSERT, {"name": "after"}).rowcount)
    assert await names(sqlite_database) == [*acknowledged, "after"]


async def test_sqlite_locked_by_another_process_is_unavailable_and_recovers(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    other = sqlite3.connect(tmp_path / "state.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    pending = asyncio.ensure_future(
        sqlite_database.write(lambda c: c.execute(INSERT, {"name": "a"}).rowcount)
    )
    assert await names(sqlite_database) == []
    with pytest.raises(SourceUnavailable, match="another process has held its lock"):
        await pending
    other.execute("ROLLBACK")
    other.close()
    await sqlite_database.write(lambda c: c.execute(INSERT, {"name": "b"}).rowcount)
    assert await names(sqlite_database) == ["b"]


async def test_postgres_gone_is_unavailable_and_recovers() -> None:
    with servers.postgres() as server:
        url = server.create_database()
        await asyncio.to_thread(migrate, url, MIGRATIONS)
        database = open_database(url, "state")
        await database.write(lambda c: c.execute(INSERT, {"name": "a"}).rowcount)
        server.stop()
        with pytest.raises(SourceUnavailable):
            await names(database)
        server.start()
        assert await names(database) == ["a"]
        await database.close()


def test_second_server_on_one_data_directory_is_refused(tmp_path: Path) -> None:
    with (
        DataDirLock(tmp_path),
        pytest.raises(ConfigError, match="Another server"),
        DataDirLock(tmp_path),
    ):
        raise AssertionError("both servers hold the lock")
    with DataDirLock(tmp_path):
        pass
