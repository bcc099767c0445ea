"""Exports on each database, as a pytest plugin; see `export_world.py`."""

from pathlib import Path

import pytest

from export_world import World
from quarterdeck.facts import Facts
from quarterdeck.state import Database

pytest_plugins = ("facts_fixtures",)


@pytest.fixture
def world(embedded_facts: Facts, database: Database, tmp_path: Path) -> World:
    """Exports on each database; their workers are started by `running`."""
    return World(embedded_facts, database, tmp_path / "exports")


@pytest.fixture
def sqlite_world(embedded_facts: Facts, sqlite_database: Database, tmp_path: Path) -> World:
    """Exports on SQLite, where the database does not matter."""
    return World(embedded_facts, sqlite_database, tmp_path / "exports")
