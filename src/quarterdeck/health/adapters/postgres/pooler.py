"""PgBouncer's console. It knows only the simple query protocol, of which asyncpg shows no rows.

So asyncpg connects, authenticates and asks; the rows are read from what the line heard meanwhile.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from quarterdeck.health.probing import Misbehaved
from quarterdeck.net.line import Line

Row = Mapping[str, str | None]

_OWN = "pgbouncer"
"""The console itself is listed among the databases."""


async def show(connection: Any, line: Line, sql: str) -> list[Row]:
    """The rows of one `SHOW` of the console.

    Raises:
        Misbehaved: what came is not the rows of an answer.
        asyncpg.PostgresError: the console refused.
    """
    line.heard = bytearray()
    try:
        await connection.execute(sql)
        return list(rows_of(bytes(line.heard)))
    finally:
        line.heard = None


def rows_of(heard: bytes) -> Iterator[Row]:
    """Read RowDescription and DataRow messages of PostgreSQL's protocol 3.

    Raises:
        Misbehaved: they are none.
    """
    names: list[str] = []
    at = 0
    try:
        while at < len(heard):
            kind, length = heard[at : at + 1], struct.unpack_from("!i", heard, at + 1)[0]
            body = heard[at + 5 : at + 1 + length]
            at += 1 + max(length, 4)
            if kind == b"T":
                names = list(_names(body))
            elif kind == b"D":
                yield dict(zip(names, _values(body), strict=True))
    except (struct.error, ValueError, IndexError):
        raise Misbehaved("it answered with something that is not PgBouncer") from None


def fullest_pool(
    pools: Sequence[Row], databases: Sequence[Row]
) -> tuple[float | None, float | None]:
    """Percent of the server connections in use in the pool that has fewest left, and how many
    clients wait for one, in all pools. None is unknown: no pool exists yet, or an unknown version.
    """
    sizes = {row.get("name"): _number(row, "pool_size") for row in databases}
    usages, waiting = [], []
    for row in pools:
        if row.get("database") == _OWN:
            continue
        used, size = _number(row, "sv_active"), sizes.get(row.get("database"))
        waits = _number(row, "cl_waiting")
        if used is not None and size:
            usages.append(round(100 * used / size, 2))
        if waits is not None:
            waiting.append(waits)
    return max(usages, default=None), (sum(waiting) if waiting else None)


def _names(body: bytes) -> Iterator[str]:
    at = 2
    for _ in range(struct.unpack_from("!h", body)[0]):
        end = body.index(0, at)
        yield body[at:end].decode(errors="replace")
        at = end + 19  # the zero byte, and what is known of the type


def _values(body: bytes) -> Iterator[str | None]:
    at = 2
    for _ in range(struct.unpack_from("!h", body)[0]):
        size = struct.unpack_from("!i", body, at)[0]
        at += 4
        yield None if size < 0 else body[at : at + size].decode(errors="replace")
        at += max(size, 0)


def _number(row: Row, name: str) -> float | None:
    text = row.get(name) or ""
    return float(text) if text.isascii() and text.isdigit() else None
