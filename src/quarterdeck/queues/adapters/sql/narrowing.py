"""A text search in SQL that may find too much, but never too little.

A payload is stored with escapes that its shown form does not have (`\\u00e9` for `é`), and the
search is case-insensitive by Unicode's rules, the database's by ASCII's. So SQL looks only for the
longest run of plain ASCII letters and digits in the text, and also lets through whatever could hold
ASCII in disguise: escaped, or as a character that folds to it (`ß` to `ss`, the Kelvin sign to
`k`). Numbers are compared as they are stored: `100` does not find `1e2`.
"""

import re
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, and_, cast, func, or_

from quarterdeck.queues.adapters.sql.tables import JobTables

_FOLDING = "".join(
    char
    for char in map(chr, [*range(0x80, 0xD800), *range(0xE000, 0x10000)])
    if any(folded.isascii() and folded.isalnum() for folded in char.casefold())
)
"""Characters that are not ASCII, but whose folded form holds ASCII letters."""

_ESCAPES = ("00[0-7]", *sorted({f"{ord(char):04x}"[:3] for char in _FOLDING}))
"""How the escapes of ASCII and of `_FOLDING` begin."""


def narrowing(connection: Connection, tables: JobTables, needle: str) -> ColumnElement[bool] | None:
    """A condition that every job with this text meets; None: the text has no plain run."""
    runs = re.findall("[a-z0-9]+", needle.casefold())
    if not runs:
        return None
    run = max(runs, key=len)
    holds = _holds_sqlite if connection.dialect.name == "sqlite" else _holds_postgres
    jobs = tables.jobs
    columns = [jobs.c.payload]
    if "last_error_message" in jobs.c:
        columns.append(jobs.c.last_error_message)
    return or_(*(holds(cast(column, Text), run) for column in columns))


def _holds_postgres(text: ColumnElement[Any], run: str) -> ColumnElement[bool]:
    escapes = "|".join(_ESCAPES)
    in_disguise = text.regexp_match(rf"[{_FOLDING}]|\\u({escapes})", flags="i")
    return or_(text.ilike(f"%{run}%"), in_disguise)


def _holds_sqlite(text: ColumnElement[Any], run: str) -> ColumnElement[bool]:
    glob = text.op("GLOB", is_comparison=True)
    escaped = or_(*(glob(f"*\\u{_any_case(start)}*") for start in _ESCAPES))
    return or_(
        text.like(f"%{run}%"),
        glob(f"*[{_FOLDING}]*"),
        and_(func.instr(text, "\\u") > 0, escaped),
    )


def _any_case(start: str) -> str:
    if "[" in start:
        return start
    return "".join(f"[{char}{char.upper()}]" if char.isalpha() else char for char in start)
