"""The room's SQL over the state: what services are, notes, heartbeats."""

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from quarterdeck.health.kept import Kept, Memory, Note
from quarterdeck.health.model import ServiceStatus
from quarterdeck.health.tables import health_heartbeats, health_notes, health_services
from quarterdeck.state import Database

log = logging.getLogger("quarterdeck.health")

_CHECKS = msgspec.json.Decoder(dict[str, Memory])


class HealthStore:
    """Every method raises SourceUnavailable when the database cannot be had."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> list[Kept]:
        """All services that were ever watched here."""
        query = select(health_services)
        rows = await self._database.read(lambda c: c.execute(query).all())
        return [_kept(row) for row in rows]

    async def save(self, services: Sequence[Kept], now: datetime) -> None:
        """Write what is known of these services; durable on return."""
        rows = [
            {
                "name": kept.name,
                "status": kept.status,
                "since": kept.since,
                "checked_at": kept.checked_at,
                "checks": msgspec.json.encode(kept.checks).decode(),
                "updated_at": now,
            }
            for kept in sorted(services, key=lambda kept: kept.name)
        ]
        if rows:
            await self._database.write(lambda c: _upsert(c, health_services, "name", rows))

    async def notes(self) -> list[Note]:
        """All notes, also those that have expired."""
        query = select(health_notes)
        rows = await self._database.read(lambda c: c.execute(query).all())
        return [
            Note(row.service, row.note, row.author, row.created_at, row.expires_at) for row in rows
        ]

    async def set_note(self, note: Note) -> None:
        """Write a note in the place of the service's former one."""
        row = {
            "service": note.service,
            "note": note.text,
            "author": note.author,
            "created_at": note.created_at,
            "expires_at": note.expires_at,
        }
        await self._database.write(lambda c: _upsert(c, health_notes, "service", [row]))

    async def clear_note(self, service: str) -> bool:
        """Remove a service's note; whether there was one."""
        change = delete(health_notes).where(health_notes.c.service == service)
        return await self._database.write(lambda c: c.execute(change).rowcount) > 0

    async def heartbeats(self) -> dict[str, datetime]:
        """When each was last seen."""
        query = select(health_heartbeats)
        rows = await self._database.read(lambda c: c.execute(query).all())
        return {row.name: row.last_at for row in rows}

    async def record_heartbeat(self, name: str, at: datetime, most: int) -> datetime | None:
        """Note it, durably; never back in time. Gives what is noted then.

        None: there are `most` of other names already, and nothing was noted.
        """
        return await self._database.write(lambda c: _beat(c, name, at, most))


def _kept(row: Any) -> Kept:
    try:
        checks = _CHECKS.decode(row.checks)
    except msgspec.MsgspecError:
        # Written by another version: counting begins anew, status and `since` stay.
        log.warning("what the checks of '%s' had counted cannot be read; it is counted anew",
                    row.name)  # fmt: skip
        checks = {}
    status = ServiceStatus(row.status) if row.status is not None else None
    return Kept(row.name, status, row.since, row.checked_at, checks)


def _upsert(connection: Connection, table: Any, key: str, rows: Iterable[Any]) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    insert = dialect.insert(table)
    changed = {
        column.name: insert.excluded[column.name] for column in table.c if column.name != key
    }
    statement = insert.on_conflict_do_update(index_elements=[key], set_=changed)
    connection.execute(statement, list(rows))


def _beat(connection: Connection, name: str, at: datetime, most: int) -> datetime | None:
    table = health_heartbeats
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    known = select(func.count(), func.max(table.c.last_at).filter(table.c.name == name))
    count, last_at = connection.execute(known.select_from(table)).one()
    if last_at is None and count >= most:
        return None
    insert = dialect.insert(table)
    statement = insert.on_conflict_do_update(
        index_elements=["name"],
        set_={"last_at": insert.excluded.last_at},
        where=table.c.last_at < insert.excluded.last_at,
    )
    connection.execute(statement, {"name": name, "last_at": at})
    return max(at, last_at) if last_at is not None else at
