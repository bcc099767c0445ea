"""What is known of exports: their rows, and the changes that may happen to them.

Every change names the state it starts from. So a cancelled export stays cancelled whatever its run
does, and a run that was overtaken by another one changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from quarterdeck.core.pagination import Page
from quarterdeck.logs.export_formats import ExportFormat, JsonShape, Layout, layout_of
from quarterdeck.logs.export_plan import Bite
from quarterdeck.logs.kept_filter import from_data
from quarterdeck.logs.model import Filter
from quarterdeck.logs.tables import log_exports
from quarterdeck.state import Database

KEEP_ROWS = timedelta(days=30)
"""How long an export that has no file any more can still be asked about."""


_SHOWN = [column for column in log_exports.c if column.name != "plan"]
"""Plans can be long."""


class ExportStatus(StrEnum):
    """How far an export is. Only a completed one can be downloaded."""

    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """Before it was completed."""
    EXPIRED = "expired"
    DELETED = "deleted"
    """After it was completed."""


class Checkpoint(msgspec.Struct, frozen=True, array_like=True):
    """Where a run may go on: so many bites, rows and bytes are in the file.

    They are as long as the machine runs (`boot`), whatever happens to the process: nothing is
    waited for until the disk has it. Of a completed export, that this is still to be done.
    """

    bites: int = 0
    rows: int = 0
    size: int = 0
    boot: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """An export. `rows` and `bytes` are those written so far; `total` is what there is to write."""

    id: str
    job_id: str
    created_at: datetime
    created_by: str
    filter: Filter
    format: ExportFormat
    json_shape: JsonShape
    gzip: bool
    status: ExportStatus
    rows: int
    bytes: int
    total: int | None
    error: str | None
    completed_at: datetime | None
    expires_at: datetime | None
    run: str | None
    """The newest one; names its file."""
    unsynced_boot: str | None
    """Completed, but not durable yet: good as long as this run of the machine lasts."""

    def is_over(self, now: datetime) -> bool:
        """Whether the time of its file has come."""
        return self.expires_at is not None and self.expires_at <= now

    @property
    def layout(self) -> Layout:
        """How its file is put together."""
        return layout_of(self.format, self.json_shape)

    @property
    def suffix(self) -> str:
        """The end of its file's name."""
        return self.layout.suffix + (".gz" if self.gzip else "")

    @property
    def media_type(self) -> str:
        """The type of its file; a compressed file is a file of its own kind."""
        return "application/gzip" if self.gzip else self.layout.media_type


@dataclass(frozen=True, slots=True)
class Run:
    """What a run of an export begins with."""

    export: Export
    name: str
    """Of this run; its changes are refused once there is another."""
    earlier: str | None
    """The run before it, whose file may be there."""
    plan: list[Bite] | None
    checkpoint: Checkpoint


class ExportRows:
    """The table of exports."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, values: Mapping[str, Any]) -> None:
        """Insert a row, unless it is there."""
        await self._database.write(lambda c: _add(c, values))

    async def find(self, export_id: str, owner: str | None) -> Export | None:
        """One export; None: there is none, or it is not this owner's. No owner: anybody's."""
        query = select(*_SHOWN).where(log_exports.c.id == export_id)
        if owner is not None:
            query = query.where(log_exports.c.created_by == owner)
        row = await self._database.read(lambda c: c.execute(query).one_or_none())
        return export_of(row._asdict()) if row else None

    async def page(self, owner: str, limit: int, offset: int) -> Page[Export]:
        """The exports of one owner, newest first."""
        mine = log_exports.c.created_by == owner
        query = select(*_SHOWN).where(mine).order_by(log_exports.c.id.desc())
        count = select(func.count()).select_from(log_exports).where(mine)

        def read(connection: Connection) -> Page[Export]:
            rows = connection.execute(query.limit(limit).offset(offset))
            return Page(
                [export_of(row._asdict()) for row in rows], connection.execute(count).scalar_one()
            )

        return await self._database.read(read)

    async def with_status(self, status: ExportStatus) -> list[Export]:
        """All exports of a status."""
        query = select(*_SHOWN).where(log_exports.c.status == status.value)
        return await self._database.read(
            lambda c: [export_of(row._asdict()) for row in c.execute(query)]
        )

    async def change(self, export_id: str, before: ExportStatus, **values: Any) -> bool:
        """Change an export that has the status `before`; False: it has another."""
        return await self._change(
            log_exports.c.id == export_id, log_exports.c.status == before.value, **values
        )

    async def change_run(self, run: Run, **values: Any) -> bool:
        """Change an export that is processed by this run; False: by another, or by none."""
        return await self._change(
            log_exports.c.id == run.export.id,
            log_exports.c.status == ExportStatus.PROCESSING.value,
            log_exports.c.run == run.name,
            **values,
        )

    async def begin(self, values: Mapping[str, Any], name: str, boot: str) -> Run | None:
        """Take an export for the run `name`; None: it is cancelled, or over.

        What an earlier run of the machine has left without making it durable begins anew.
        """
        return await self._database.write(lambda c: _begin(c, values, name, boot))

    async def expire(self, now: datetime) -> None:
        """Mark completed exports whose time is over; forget old ones that have no file."""
        over = (
            update(log_exports)
            .where(
                log_exports.c.status == ExportStatus.COMPLETED.value,
                log_exports.c.expires_at <= now,
            )
            .values(status=ExportStatus.EXPIRED.value)
        )
        living = (ExportStatus.PROCESSING.value, ExportStatus.COMPLETED.value)
        old = delete(log_exports).where(
            log_exports.c.status.not_in(living), log_exports.c.created_at < now - KEEP_ROWS
        )
        await self._database.write(lambda c: (c.execute(over).rowcount, c.execute(old).rowcount))

    async def count(self, owner: str, status: ExportStatus) -> int:
        """How many exports of this status an owner has."""
        query = (
            select(func.count())
            .select_from(log_exports)
            .where(log_exports.c.created_by == owner, log_exports.c.status == status.value)
        )
        return await self._database.read(lambda c: c.execute(query).scalar_one())

    async def _change(self, *conditions: Any, **values: Any) -> bool:
        change = update(log_exports).where(*conditions).values(**values)
        return bool(await self._database.write(lambda c: c.execute(change).rowcount))


def row_of(job_id: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The row of an export that has not been run yet, from the job's payload."""
    return {
        "id": payload["export_id"],
        "job_id": job_id,
        "created_at": datetime.fromisoformat(payload["created_at"]),
        "created_by": payload["created_by"],
        "filter": payload["filter"],
        "format": payload["format"],
        "json_shape": payload["json_shape"],
        "gzip": payload["gzip"],
        "status": ExportStatus.PROCESSING.value,
        "rows": 0,
        "bytes": 0,
    }


def _add(connection: Connection, values: Mapping[str, Any]) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(log_exports).on_conflict_do_nothing(), dict(values))


def _begin(connection: Connection, values: Mapping[str, Any], name: str, boot: str) -> Run | None:
    _add(connection, values)
    query = select(log_exports).where(log_exports.c.id == values["id"]).with_for_update()
    row = connection.execute(query).one()
    checkpoint = msgspec.convert(row.checkpoint or [], Checkpoint)
    is_lost = row.checkpoint is not None and checkpoint.boot != boot
    is_open = row.status in {ExportStatus.PROCESSING, ExportStatus.FAILED}
    if not is_open and not (row.status == ExportStatus.COMPLETED and is_lost):
        return None
    change = update(log_exports).where(log_exports.c.id == row.id)
    fresh = {"run": name, "status": ExportStatus.PROCESSING.value, "error": None}
    connection.execute(change.values(**fresh, completed_at=None, expires_at=None))
    plan = None if row.plan is None else msgspec.convert(row.plan, list[Bite])
    export = export_of({**row._asdict(), **fresh, "checkpoint": None})
    return Run(export, name, row.run, plan, Checkpoint() if is_lost else checkpoint)


def export_of(row: Mapping[str, Any]) -> Export:
    """The export of a row, also of a new one."""
    return Export(
        id=row["id"],
        job_id=row["job_id"],
        created_at=row["created_at"],
        created_by=row["created_by"],
        filter=from_data(row["filter"]),
        format=ExportFormat(row["format"]),
        json_shape=JsonShape(row["json_shape"]),
        gzip=row["gzip"],
        status=ExportStatus(row["status"]),
        rows=row["rows"],
        bytes=row["bytes"],
        total=row.get("total"),
        error=row.get("error"),
        completed_at=row.get("completed_at"),
        expires_at=row.get("expires_at"),
        run=row.get("run"),
        unsynced_boot=_unsynced(row),
    )


def _unsynced(row: Mapping[str, Any]) -> str | None:
    checkpoint = row.get("checkpoint")
    if row["status"] != ExportStatus.COMPLETED or checkpoint is None:
        return None
    return msgspec.convert(checkpoint, Checkpoint).boot
