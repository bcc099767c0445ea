"""What a store of facts can do; the same for ClickHouse in this process and for a server."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Protocol, TypeVar

from quarterdeck.core.errors import SourceUnavailable

T = TypeVar("T")

Param = str | int | float | bool | datetime | Sequence[str] | Sequence[int] | None
"""A value for `{name:Type}` in a query. It is bound, never pasted."""

NO_PARAMS: Mapping[str, Param] = MappingProxyType({})


class QueryLimit(SourceUnavailable):
    """A query was stopped because it took too long or too much memory; ask for less."""


class RowsRefused(SourceUnavailable):
    """An insert holds a row that is not of the table's form: nothing of it was added, and sending
    it again will not help."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one query may take."""

    seconds: float = 30.0
    memory_bytes: int = 400_000_000
    settings: Mapping[str, str | int] = field(default_factory=dict)
    """Further ClickHouse settings, such as `max_threads`. Never from users."""


USUAL = Limits()
"""For a query that nobody expects to be large."""


@dataclass(frozen=True, slots=True)
class Insert:
    """Rows of one partition (one day) of one table, all or none; of several days, each for itself.

    `rows` is JSONCompactEachRow: one array a line. The table needs
    `non_replicated_deduplication_window`, or tokens mean nothing.
    """

    table: str
    columns: Mapping[str, str]
    """Name to ClickHouse type, in the order of the rows' values."""
    rows: Sequence[bytes]
    """Pieces, each whole lines; written one after another, never joined."""
    count: int
    token: str
    """The same token twice is the same insert: a retry adds nothing."""
    settings: Mapping[str, str | int] = field(default_factory=dict)


class Facts(Protocol):
    """An open ClickHouse. Every method raises `SourceUnavailable` when it cannot be had."""

    async def fetch(
        self,
        sql: str,
        row: type[T],
        params: Mapping[str, Param] = NO_PARAMS,
        limits: Limits = USUAL,
    ) -> list[T]:
        """Run a SELECT without FORMAT; every row is decoded by msgspec into `row`, a struct or
        dict whose fields are the result's columns. Moments come as aware datetimes in UTC,
        64-bit integers as int, NaN as None.

        Cancelling the task stops the query in the engine.

        Raises:
            QueryLimit: it took longer or more memory than its limits.
            InvalidRequest: a parameter is no text or number that a column could hold.
        """
        ...

    def stream(
        self,
        sql: str,
        form: str,
        params: Mapping[str, Param] = NO_PARAMS,
        limits: Limits = USUAL,
    ) -> AsyncGenerator[bytes]:
        """Run a SELECT without FORMAT and give its output in the ClickHouse format `form` piece by
        piece, at flat memory; moments are ISO 8601 with Z. `aclose` (use `contextlib.aclosing`)
        stops the query in the engine. The time limit counts while the reader is away, too.

        Raises:
            ValueError: `form` does not go row by row (CSV, TSV, TSVRaw, with or WithNames;
                JSONEachRow, JSONCompactEachRow, LineAsString).
            QueryLimit: it took longer or more memory than its limits; pieces may have come before.
        """
        ...

    async def execute(self, sql: str, params: Mapping[str, Param] = NO_PARAMS) -> None:
        """Run a statement that gives no rows."""
        ...

    async def insert(self, insert: Insert) -> None:
        """Add rows; durable on return when the table says `fsync_after_insert`. Inserts
        are committed in the order of calls; large ones, of 10,000 rows and more, may overtake.
        Cancelling does not undo what is under way.

        Raises:
            RowsRefused: nothing was added, and never will be.
            SourceUnavailable: nothing was added, or it is not known; the same `token` may be sent
                again.
        """
        ...

    async def close(self) -> None:
        """Stop what runs and give everything back."""
        ...
