"""Pause and resume: one band where there is a table of pauses, else a whole queue."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Integer, Table, delete, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from quarterdeck.core.errors import NotFound, Unsupported
from quarterdeck.queues.adapters.sql.names import BANDS, Lane
from quarterdeck.queues.adapters.sql.tables import JobTables
from quarterdeck.queues.model import PauseResult, PauseScope, Priority

NO_PAUSE = (
    "These tables have nothing that stops workers: neither pauses of bands nor a column "
    "`is_active` of queues. If it has another name there, set `columns.queues.is_active`."
)


def pause_scope(tables: JobTables) -> PauseScope | None:
    """How far a pause reaches; None: there is no way to pause."""
    if tables.pauses is not None:
        return PauseScope.BAND
    return PauseScope.QUEUE if "is_active" in tables.queues.c else None


def pause(
    connection: Connection, tables: JobTables, source: str, lane: Lane, now: datetime
) -> PauseResult:
    """Stop claims from a band, or from its whole queue."""
    was_active = _lock_queue(connection, tables, lane)
    if tables.pauses is None:
        return _switch(connection, tables, source, lane, was_active, to_active=False)
    is_new = _insert_pauses(connection, tables.pauses, lane.queue, [lane.priority], now)
    return _one_band(source, lane, paused=True, changed=was_active and is_new)


def resume(
    connection: Connection, tables: JobTables, source: str, lane: Lane, now: datetime
) -> PauseResult:
    """Allow claims again, of exactly this band: of an inactive queue the others become paused."""
    was_active = _lock_queue(connection, tables, lane)
    pauses = tables.pauses
    if pauses is None:
        return _switch(connection, tables, source, lane, was_active, to_active=True)
    notes: Sequence[str] = ()
    if not was_active:
        others = [priority for priority in BANDS if priority is not lane.priority]
        _insert_pauses(connection, pauses, lane.queue, others, now)
        _set_active(connection, tables, lane.queue, True)
        notes = ["The whole queue had been switched off; its other bands stay paused."]
    gone = connection.execute(
        delete(pauses).where(pauses.c.queue_name == lane.queue, pauses.c.band == lane.band)
    )
    changed = gone.rowcount > 0 or not was_active
    return _one_band(source, lane, paused=False, changed=changed, notes=notes)


def _switch(
    connection: Connection,
    tables: JobTables,
    source: str,
    lane: Lane,
    was_active: bool,
    *,
    to_active: bool,
) -> PauseResult:
    """Switch the whole queue on or off."""
    if "is_active" not in tables.queues.c:
        raise Unsupported.of("pause", "none", NO_PAUSE)
    if was_active is not to_active:
        _set_active(connection, tables, lane.queue, to_active)
    bands = BANDS if tables.has_bands else (Priority.NORMAL,)
    return PauseResult(
        paused=not to_active,
        changed=was_active is not to_active,
        scope=PauseScope.QUEUE,
        durable=True,
        affected=[Lane(lane.queue, priority).ref(source).name for priority in bands],
    )


def _one_band(
    source: str, lane: Lane, *, paused: bool, changed: bool, notes: Sequence[str] = ()
) -> PauseResult:
    return PauseResult(
        paused=paused,
        changed=changed,
        scope=PauseScope.BAND,
        durable=True,
        affected=[lane.ref(source).name],
        notes=notes,
    )


def _lock_queue(connection: Connection, tables: JobTables, lane: Lane) -> bool:
    """Whether the queue is active, which nobody else changes until we commit.

    Raises:
        NotFound: there is no such queue.
    """
    queues = tables.queues
    is_active = queues.c.get("is_active")
    column = queues.c.name if is_active is None else is_active
    # NO KEY UPDATE on PostgreSQL: producers, whose new jobs refer to this row, need not wait.
    statement = select(column.label("flag")).where(queues.c.name == lane.queue)
    row = connection.execute(statement.with_for_update(key_share=True)).first()
    if row is None:
        raise NotFound(f"There is no queue '{lane.queue[:100]}'. GET /queues lists all of them.")
    return is_active is None or row.flag is None or bool(row.flag)


def _set_active(connection: Connection, tables: JobTables, queue: str, active: bool) -> None:
    queues = tables.queues
    # People's flag may be a number, and PostgreSQL takes no boolean for one.
    value = int(active) if isinstance(queues.c.is_active.type, Integer) else active
    statement = update(queues).where(queues.c.name == queue)
    connection.execute(statement.values({queues.c.is_active: value}))


def _insert_pauses(
    connection: Connection, pauses: Table, queue: str, bands: Sequence[Priority], now: datetime
) -> bool:
    """Whether any of these bands was not paused before."""
    insert = sqlite_insert if connection.dialect.name == "sqlite" else postgres_insert
    rows = [
        {"queue_name": queue, "band": BANDS.index(priority), "paused_at": now} for priority in bands
    ]
    return connection.execute(insert(pauses).values(rows).on_conflict_do_nothing()).rowcount > 0
