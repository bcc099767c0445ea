"""The rows of one insert, as a file that the engine reads: twice as fast as inside the SQL."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from quarterdeck.facts.ports import Insert
from quarterdeck.facts.statements import (
    LINES,
    columns_of,
    inserting,
    name,
    quoted,
    settings_clause,
    structure_of,
)


def insert_sql(insert: Insert, file: str) -> str:
    """The statement that adds the rows in `file`.

    Never chDB's own `send_insert`: it swallows errors of the storage, such as a full disk.
    """
    columns = columns_of(insert)
    return (  # every part is quoted
        f"INSERT INTO {name(insert.table)} {columns} SELECT {columns[1:-1]} "  # noqa: S608
        f"FROM file({quoted(file)}, '{LINES}', {quoted(structure_of(insert))}) "
        f"{settings_clause(inserting(insert))}"
    )


@contextmanager
def rows_file(rows: Sequence[bytes], spool: Path) -> Iterator[str]:
    """The path of a file with `rows`, gone after the block.

    On Linux it lives in memory and has no name, so that not even a killed process leaves it
    behind; elsewhere it is below `spool`.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("quarterdeck-rows")
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(rows)
            file.flush()
            yield f"/proc/self/fd/{descriptor}"
        return
    with tempfile.NamedTemporaryFile(dir=spool, prefix="rows-") as named:
        named.writelines(rows)
        named.flush()
        yield named.name
