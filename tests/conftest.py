"""Fixtures that every suite shares: real servers (one of each per test process), databases."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import servers
from quarterdeck.state import Database, migrate, open_database
from rabbit_server import RabbitServer, rabbitmq
from servers import MIGRATIONS

# How fast a machine draws examples (and builds Unicode tables for the first) is not under test.
settings.register_profile("timeless", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# `make check` draws fewer; `make test` all.
settings.register_profile("quick", settings.get_profile("timeless"), max_examples=20)
settings.load_profile("timeless")

DATABASES = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[servers.PostgresServer]:
    """One PostgreSQL server for the whole test process."""
    with servers.postgres() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[servers.RedisServer]:
    """One Redis server for the whole test process; tests use keys or databases of their own."""
    with servers.redis() as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[RabbitServer]:
    """One RabbitMQ server for the whole test process; tests use virtual hosts of their own."""
    with rabbitmq() as server:
        yield server


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty, migrated database; each test runs once per engine."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'state.sqlite3'}"
    else:
        server: servers.PostgresServer = request.getfixturevalue("postgres_server")
        url = server.create_database()
    migrate(url, MIGRATIONS)
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open, migrated database; each test runs once per engine."""
    opened = open_database(database_url, "state")
    yield opened
    await opened.close()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of an empty, migrated SQLite database."""
    url = f"sqlite:///{tmp_path / 'state.sqlite3'}"
    migrate(url, MIGRATIONS)
    return url


@pytest.fixture
async def sqlite_database(sqlite_url: str) -> AsyncIterator[Database]:
    """An open, migrated SQLite database."""
    opened = open_database(sqlite_url, "state")
    yield opened
    await opened.close()
