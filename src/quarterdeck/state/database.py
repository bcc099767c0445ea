"""The two databases behind one small interface.

A transaction is a plain function of a SQLAlchemy `Connection`; `read` and `write` run it whole.
SQLite runs it in a thread, PostgreSQL on asyncpg through SQLAlchemy's greenlet bridge. One
function, one SQL, both engines. (Measured, one durable insert after another on SQLite: 650/s
through aiosqlite, which hops threads four times a transaction; 2,000/s this way. ADR 0003.)
"""

from collections.abc import Callable
from typing import Literal, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from quarterdeck.core.errors import ConfigError

T = TypeVar("T")
Dialect = Literal["sqlite", "postgresql"]
READ_TIMEOUT_S = 10.0


class Database(Protocol):
    """An open SQL database. Every method raises `SourceUnavailable` when it cannot be had."""

    @property
    def name(self) -> str:
        """How errors call it."""
        ...

    @property
    def dialect(self) -> Dialect:
        """Which SQL it speaks."""
        ...

    async def read(self, query: Callable[[Connection], T], timeout_s: float = READ_TIMEOUT_S) -> T:
        """Run `query` in one read transaction, cut off after `timeout_s`."""
        ...

    async def write(self, change: Callable[[Connection], T]) -> T:
        """Run `change` in one transaction; returns only after the commit is durable."""
        ...

    async def close(self) -> None:
        """Finish what runs and give the connections back."""
        ...


def open_database(url: str, name: str) -> Database:
    """Open `sqlite:///path` or `postgresql://...`; `name` is how errors call it.

    Nothing is connected yet, so this never fails for want of a server. A SQLite file must exist
    by the first use (see `migrate`): a database that vanished is never replaced by an empty one.

    Raises:
        ConfigError: another scheme, or the driver's extra is not installed.
    """
    parsed = make_url(url)
    scheme = parsed.get_backend_name()
    if scheme == "sqlite":
        from quarterdeck.state.sqlite import SqliteDatabase  # noqa: PLC0415 - one driver each

        return SqliteDatabase(parsed.database or "", name)
    if scheme in {"postgresql", "postgres"}:
        from quarterdeck.state.postgres import PostgresDatabase  # noqa: PLC0415

        return PostgresDatabase(parsed, name)
    raise ConfigError(f"{name}: '{scheme}' databases are not supported; use sqlite or postgresql.")
