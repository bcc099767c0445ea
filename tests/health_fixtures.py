"""Databases for services that are watched: fixtures, as a pytest plugin; see `health_world.py`."""

from pathlib import Path

import pytest

import servers
from health_world import MIGRATIONS
from quarterdeck.state import migrate


@pytest.fixture(params=["sqlite", "postgresql"])
def health_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a migrated database of each kind."""
    if request.param == "sqlite":
        address = f"sqlite:///{tmp_path / 'state.sqlite3'}"
    else:
        server: servers.PostgresServer = request.getfixturevalue("postgres_server")
        address = server.create_database()
    migrate(address, MIGRATIONS)
    return address


@pytest.fixture
def health_sqlite_url(tmp_path: Path) -> str:
    """Of a migrated SQLite database, where the kind does not matter."""
    address = f"sqlite:///{tmp_path / 'state.sqlite3'}"
    migrate(address, MIGRATIONS)
    return address
