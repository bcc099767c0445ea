"""Databases with the log room's tables, as a pytest plugin; see `export_world.py`."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from export_world import ALL_MIGRATIONS, World
from quarterdeck.facts import Facts
from quarterdeck.state import Database, migrate, open_database

pytest_plugins = ("facts_fixtures",)


@pytest.fixture
def logs_url(database_url: str) -> str:
    """The URL of an empty, migrated database; each test runs once per engine."""
    migrate(database_url, ALL_MIGRATIONS)
    return database_url


@pytest.fixture
async def logs_database(logs_url: str) -> AsyncIterator[Database]:
    """The same, open."""
    opened = open_database(logs_url, "state")
    yield opened
    await opened.close()


@pytest.fixture
def logs_sqlite_url(sqlite_url: str) -> str:
    """The URL of an empty, migrated SQLite database."""
    migrate(sqlite_url, ALL_MIGRATIONS)
    return sqlite_url


@pytest.fixture
async def logs_sqlite(logs_sqlite_url: str) -> AsyncIterator[Database]:
    """The same, open."""
    opened = open_database(logs_sqlite_url, "state")
    yield opened
    await opened.close()


@pytest.fixture
def world(embedded_facts: Facts, logs_database: Database, tmp_path: Path) -> World:
    """Exports on each database; their workers are started by `running`."""
    return World(embedded_facts, logs_database, tmp_path / "exports")


@pytest.fixture
def sqlite_world(embedded_facts: Facts, logs_sqlite: Database, tmp_path: Path) -> World:
    """Exports on SQLite, where the database does not matter."""
    return World(embedded_facts, logs_sqlite, tmp_path / "exports")
