"""SQL texts that both stores send: settings, queries with their format, inserts."""

from collections.abc import Mapping

from quarterdeck.facts.ports import Insert, Limits

Settings = Mapping[str, str | int | float]

READING: Settings = {
    "output_format_json_quote_64bit_integers": 0,
    # Stored text may be no UTF-8; what we send must be.
    "output_format_json_validate_utf8": 1,
    "date_time_output_format": "iso",
    "session_timezone": "UTC",
}

INSERTING: Settings = {
    "input_format_json_read_objects_as_strings": 1,
    "date_time_input_format": "best_effort",
    "session_timezone": "UTC",
    "async_insert": 0,
    "insert_deduplicate": 1,
    # Measured on two cores with 10 MB of log lines: 570,000 rows/s; 460,000 with more threads.
    "max_threads": 1,
    "input_format_parallel_parsing": 0,
    # One insert of one day becomes one block, hence one part: all or none.
    "max_insert_block_size": 10_000_000,
    "min_insert_block_size_rows": 10_000_000,
    "min_insert_block_size_bytes": 1_000_000_000,
}

LINES = "JSONCompactEachRow"

_HEADED = "WithNames"
_ROWWISE = frozenset({"CSV", "TSV", "TSVRaw", "JSONEachRow", "JSONCompactEachRow", "LineAsString"})


def quoted(text: str) -> str:
    """`text` as an SQL string literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def name(identifier: str) -> str:
    """An identifier, quoted; a dot parts the database from its table."""
    return ".".join(f"`{part.replace('`', '``')}`" for part in identifier.split("."))


def settings_clause(settings: Settings) -> str:
    """`SETTINGS a = 1, b = 'x'`, or nothing."""
    pairs = (
        f"{key} = {quoted(value) if isinstance(value, str) else value}"
        for key, value in settings.items()
    )
    text = ", ".join(pairs)
    return f"SETTINGS {text}" if text else ""


def select(sql: str, form: str, settings: Settings) -> str:
    """The query with its format. On lines of their own: `sql` may end in a comment."""
    return f"{sql}\nFORMAT {form} {settings_clause(settings)}"


def parted(form: str) -> tuple[str, bool]:
    """A format without its header, and whether it has one.

    Raises:
        ValueError: its output is no sequence of rows, so that pieces of it could not be joined.
    """
    plain = form.removesuffix(_HEADED)
    if plain not in _ROWWISE:
        raise ValueError(f"{form} cannot be streamed; use one of {sorted(_ROWWISE)}")
    return plain, plain != form


def heading(sql: str, form: str) -> str:
    """A query that gives only the header of `sql` in `form`."""
    return f"SELECT * FROM (\n{sql}\n) LIMIT 0\nFORMAT {form}"  # noqa: S608 - ours as it is


def reading(limits: Limits) -> dict[str, str | int | float]:
    """The settings of one query."""
    return {
        **READING,
        "max_execution_time": limits.seconds,
        "max_memory_usage": limits.memory_bytes,
        **limits.settings,
    }


def reading_here(limits: Limits, query_id: str) -> dict[str, str | int | float]:
    """The settings of one query of the embedded engine, which must live with little memory.

    Below 1 GiB of it for each thread the engine would use one core, and every scan take twice as
    long (measured: a word in 5 million lines 30 ms instead of 18). The limits hold all the same.
    """
    few = {"max_threads_min_free_memory_per_thread": 0}
    return {**few, **reading(limits), "log_comment": query_id}


def inserting(insert: Insert) -> dict[str, str | int | float]:
    """The settings of one insert."""
    return {**INSERTING, "insert_deduplication_token": insert.token, **insert.settings}


def columns_of(insert: Insert) -> str:
    """`(a, b)`."""
    return f"({', '.join(map(name, insert.columns))})"


def structure_of(insert: Insert) -> str:
    """`a String, b UInt8`, as the table functions want it."""
    return ", ".join(f"{name(column)} {kind}" for column, kind in insert.columns.items())
