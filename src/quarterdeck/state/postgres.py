"""PostgreSQL on asyncpg. The functions that run here are the same that SQLite runs."""

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import create_async_engine

from quarterdeck.core.errors import ConfigError, SourceUnavailable
from quarterdeck.state.database import READ_TIMEOUT_S

T = TypeVar("T")

CONNECT_TIMEOUT_S = 5.0
POOL_TIMEOUT_S = 15.0
"""A crowd of callers waits in line for a connection this long before it is told to come back."""
WRITE_TIMEOUT_S = 30.0
TRIES = 3
"""A deadlock or serialisation failure undid everything: the transaction may run again."""

_UNDONE = frozenset({"40001", "40P01"})


class PostgresDatabase:
    """A pool of connections to one PostgreSQL database."""

    dialect: Literal["postgresql"] = "postgresql"

    def __init__(self, url: URL, name: str) -> None:
        self.name = name
        try:
            self._engine = create_async_engine(
                url.set(drivername="postgresql+asyncpg"),
                pool_size=20,
                max_overflow=0,
                pool_timeout=POOL_TIMEOUT_S,
                pool_pre_ping=True,
                connect_args={
                    "timeout": CONNECT_TIMEOUT_S,
                    "command_timeout": WRITE_TIMEOUT_S,
                    "server_settings": {"application_name": "quarterdeck", "jit": "off"},
                },
            )
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"{name}: PostgreSQL needs a driver. Run: pip install 'quarterdeck[postgres]'"
            ) from error

    async def read(self, query: Callable[[Connection], T], timeout_s: float = READ_TIMEOUT_S) -> T:
        """See `Database.read`."""

        def limited(connection: Connection) -> T:
            connection.execute(
                text("SELECT set_config('statement_timeout', :ms, true)"),
                {"ms": str(int(timeout_s * 1000))},
            )
            return query(connection)

        return await self._run(limited)

    async def write(self, change: Callable[[Connection], T]) -> T:
        """See `Database.write`."""
        return await self._run(change)

    async def close(self) -> None:
        """See `Database.close`."""
        await self._engine.dispose()

    async def _run(self, change: Callable[[Connection], T]) -> T:
        for attempt in range(1, TRIES + 1):
            try:
                async with self._engine.begin() as connection:
                    return await connection.run_sync(change)
            except (IntegrityError, ProgrammingError):
                raise
            except DBAPIError as error:
                if attempt == TRIES or getattr(error.orig, "sqlstate", None) not in _UNDONE:
                    raise self._unavailable(error.orig) from error
            except (TimeoutError, OSError, PoolTimeout) as error:
                raise self._unavailable(error) from error
        raise AssertionError("unreachable: the last try returns or raises")

    def _unavailable(self, error: Any) -> Exception:
        if getattr(error, "sqlstate", None) == "57014":
            reason = "the query took too long and was stopped; narrow it down"
        else:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            reason = reason.rsplit(": ", 1)[-1] if reason.startswith("<class") else reason
        return SourceUnavailable(self.name, f"The {self.name} database: {reason}.")
