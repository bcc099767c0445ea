"""Rows that rooms note down one by one, stored in batches and kept for a while.

Rows wait in memory for the next insert. A store that is down costs the oldest of them once there
are too many; it never holds up whoever notes them.
"""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import ClassVar

import msgspec

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.facts.ports import Facts, Insert, RowsRefused
from quarterdeck.facts.schema import migrate_facts

log = logging.getLogger("quarterdeck.facts")

INSERT_EVERY_S = 5.0
TRIM_EVERY_S = 600.0


@dataclass(frozen=True, slots=True)
class RecordTable:
    """A table whose partitions are days."""

    room: str
    """Whose versions of the schema these are."""
    name: str
    columns: dict[str, str]
    migrations: Sequence[str]
    what: str
    """What its rows are, for messages: `health readings`."""


@dataclass(slots=True)
class _Batch:
    """Rows of one day."""

    day: date
    rows: list[bytes] = field(default_factory=list)
    token: str = ""
    """Set once it was sent: the same rows are sent again, and the store knows them."""


class Recorder:
    """Takes rows; `run` stores them and lets old days go."""

    MOST_WAITING: ClassVar[int] = 50_000
    """Rows; 25 minutes of 500 subjects that give one each 15 s, and some 15 MB."""

    def __init__(
        self,
        facts: Facts,
        table: RecordTable,
        retention_days: int = 90,
        cluster: str = "",
        clock: Clock = utc_now,
    ) -> None:
        self._facts = facts
        self._table = table
        self._retention = timedelta(days=retention_days)
        self._cluster = cluster
        self._clock = clock
        self._batches: deque[_Batch] = deque()
        self._is_migrated = False
        self._is_failing = False
        self.waiting = 0
        """Rows that are not stored yet."""
        self.dropped = 0
        """Rows that were given up, since the start."""

    def add(self, at: datetime, row: Sequence[object]) -> None:
        """Take a row of this moment, its values in the order of the columns.

        The oldest waiting ones go when there are too many.
        """
        day = at.astimezone(UTC).date()
        last = self._batches[-1] if self._batches else None
        if last is None or last.day != day or last.token:
            last = _Batch(day)
            self._batches.append(last)
        last.rows.append(msgspec.json.encode(row) + b"\n")
        self.waiting += 1
        while self.waiting > self.MOST_WAITING and len(self._batches) > 1:
            self._drop(self._batches.popleft())
        if self.waiting > self.MOST_WAITING:
            half = len(last.rows) // 2
            self._drop(_Batch(day, last.rows[:half]))
            del last.rows[:half]

    async def open(self) -> None:
        """Make the table; if the store is down, `run` does it later.

        Raises:
            ConfigError: the table was made by a newer program.
        """
        try:
            await self._migrate()
        except SourceUnavailable as error:
            log.warning("the table of %s cannot be made yet: %s", self._table.what, error.message)

    async def run(self, stop: asyncio.Event) -> None:
        """Store what is added, every few seconds and once more when `stop` is set."""
        trim_at = 0.0
        clock = asyncio.get_running_loop().time
        while not stop.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(INSERT_EVERY_S):
                    await stop.wait()
            await self.flush()
            if self._is_migrated and clock() >= trim_at and not stop.is_set():
                trim_at = clock() + TRIM_EVERY_S
                await self.trim()

    async def flush(self) -> None:
        """Store what waits; what cannot be stored now waits on."""
        what = self._table.what
        try:
            await self._migrate()
            while self._batches:
                await self._insert(self._batches[0])
        except SourceUnavailable as error:
            if not self._is_failing:
                log.warning("%s wait to be stored: %s", what, error.message)
            self._is_failing = True
        else:
            if self._is_failing:
                log.info("%s are stored again; %d were dropped", what, self.dropped)
            self._is_failing = False

    async def trim(self) -> None:
        """Drop the days that are older than the retention."""
        oldest = (self._clock() - self._retention).date()
        table = self._table.name
        sql = (
            "SELECT DISTINCT partition FROM system.parts "
            "WHERE database = currentDatabase() AND table = {table:String} AND active"
        )
        try:
            for row in await self._facts.fetch(sql, dict[str, str], {"table": table}):
                day = date.fromisoformat(row["partition"])
                if day < oldest:
                    await self._facts.execute(
                        f"ALTER TABLE {table} DROP PARTITION '{day.isoformat()}'"
                    )
        except SourceUnavailable as error:
            log.warning("old %s are kept for now: %s", self._table.what, error.message)

    async def _migrate(self) -> None:
        if not self._is_migrated:
            table = self._table
            await migrate_facts(self._facts, table.room, table.migrations, self._cluster)
            self._is_migrated = True

    async def _insert(self, batch: _Batch) -> None:
        batch.token = batch.token or secrets.token_hex(16)
        rows, count = (b"".join(batch.rows),), len(batch.rows)
        try:
            await self._facts.insert(
                Insert(self._table.name, self._table.columns, rows, count, batch.token)
            )
        except RowsRefused as error:
            log.error("%s were refused, please report it: %s", self._table.what, error.message)
            self.dropped += count
        if self._batches and self._batches[0] is batch:
            self._batches.popleft()
            self.waiting -= count

    def _drop(self, batch: _Batch) -> None:
        self.waiting -= len(batch.rows)
        self.dropped += len(batch.rows)
