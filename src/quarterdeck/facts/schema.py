"""Schema versions of the tables of facts. Each room brings a tuple of statements of its own."""

import hashlib
import re
from collections.abc import Sequence

from msgspec import Struct, json

from quarterdeck.core.clock import iso_z, utc_now
from quarterdeck.core.errors import ConfigError, SourceUnavailable
from quarterdeck.facts.ports import Facts, Insert
from quarterdeck.facts.statements import name

VERSIONS = """
CREATE TABLE IF NOT EXISTS schema_versions (
  room String, version UInt32, applied_at DateTime64(3, 'UTC'), checksum String
) ENGINE = MergeTree ORDER BY (room, version)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1
"""
COLUMNS = {
    "room": "String",
    "version": "UInt32",
    "applied_at": "DateTime64(3, 'UTC')",
    "checksum": "String",
}


class _Applied(Struct, frozen=True):
    version: int
    checksum: str


async def migrate_facts(
    facts: Facts, room: str, statements: Sequence[str], cluster: str = ""
) -> None:
    """Run the statements of `room` that have not been run yet, in order. Safe to repeat.

    Each is run at least once and recorded after: a crash or a second server may run it again, so
    it says IF NOT EXISTS or IF EXISTS. With `cluster` the tables are replicated on all of it.

    Raises:
        ConfigError: a statement that was run before now reads differently, or the store has been
            written by a newer program.
        SourceUnavailable: a statement failed; those before it stand.
    """
    await facts.execute(on_cluster(VERSIONS, cluster))
    applied = await _applied(facts, room)
    _check(room, statements, applied)
    for version, statement in enumerate(statements, 1):
        if version not in applied:
            await _apply(facts, room, version, on_cluster(statement, cluster))
            await _record(facts, room, version, _checksum(statement))


def on_cluster(statement: str, cluster: str) -> str:
    """A statement about one table, rewritten for all servers of `cluster`; empty: as it is."""
    if not cluster:
        return statement
    replicated = re.sub(r"(ENGINE\s*=\s*)(\w*MergeTree)\b", r"\1Replicated\2", statement)
    return re.sub(
        r"^(\s*(?:CREATE|ALTER|DROP)\s+TABLE\s+(?:IF\s+(?:NOT\s+)?EXISTS\s+)?[\w.`]+)",
        lambda found: f"{found.group(1)} ON CLUSTER {name(cluster)}",
        replicated,
        count=1,
    )


async def _applied(facts: Facts, room: str) -> dict[int, str]:
    rows = await facts.fetch(
        "SELECT DISTINCT version, checksum FROM schema_versions WHERE room = {room:String}",
        _Applied,
        {"room": room},
    )
    return {row.version: row.checksum for row in rows}


def _check(room: str, statements: Sequence[str], applied: dict[int, str]) -> None:
    if max(applied, default=0) > len(statements):
        raise ConfigError(
            f"The store of facts has version {max(applied)} of the {room} tables, this program "
            f"knows {len(statements)}. Run the newer Quarterdeck that wrote it."
        )
    for version, statement in enumerate(statements, 1):
        if applied.get(version, _checksum(statement)) != _checksum(statement):
            raise ConfigError(
                f"Version {version} of the {room} tables was published and has changed since; "
                "a change needs a version of its own."
            )


async def _apply(facts: Facts, room: str, version: int, statement: str) -> None:
    try:
        await facts.execute(statement)
    except SourceUnavailable:
        # Another server may have been at it at the same moment, and won.
        if version not in await _applied(facts, room):
            raise


async def _record(facts: Facts, room: str, version: int, checksum: str) -> None:
    row = json.encode([room, version, iso_z(utc_now()), checksum])
    token = f"{room}/{version}/{checksum}"
    await facts.insert(Insert("schema_versions", COLUMNS, (row + b"\n",), 1, token))


def _checksum(statement: str) -> str:
    return hashlib.sha256(" ".join(statement.split()).encode()).hexdigest()
