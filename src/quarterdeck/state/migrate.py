"""Schema versions, by Alembic. Each room brings a folder of its own; a branch of its own name."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from quarterdeck.core.errors import ConfigError

_LOCK = 0x51_44_4D_49_47  # "QDMIG": one migrator at a time on PostgreSQL


def migrate(url: str, folders: Sequence[Path]) -> None:
    """Bring the database at `url` to the newest schema of every folder. Safe to repeat.

    Raises:
        ConfigError: the database cannot be opened or is newer than this program.
    """
    parsed = make_url(url)
    try:
        if parsed.get_backend_name() == "sqlite":
            _migrate_sqlite(Path(parsed.database or ""), folders)
        else:
            asyncio.run(_migrate_postgres(url, folders))
    except (SQLAlchemyError, OSError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise ConfigError(f"Cannot migrate the state database: {reason}") from error


def _migrate_sqlite(path: Path, folders: Sequence[Path]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Tokens and payloads live here: nobody but the owner may read the file.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        connection.commit()
        _upgrade(connection, folders)
        connection.commit()
    engine.dispose()


async def _migrate_postgres(url: str, folders: Sequence[Path]) -> None:
    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    async with engine.begin() as connection:
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        await connection.run_sync(_upgrade, folders)
    await engine.dispose()


def _upgrade(connection: Connection, folders: Sequence[Path]) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(map(str, folders)))
    config.attributes["connection"] = connection
    command.upgrade(config, "heads")
