"""A process with an embedded store of facts of its own: `facts_worker.py COMMAND DIRECTORY`.

chDB opens one path for each process, so tests that reopen, kill or fill a store need processes.
Each command prints JSON lines.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from facts_world import LINE_COLUMNS, LINES, count, until
from quarterdeck.core.errors import ConfigError, SourceUnavailable
from quarterdeck.facts import Facts, Insert
from quarterdeck.facts.embedded import EmbeddedFacts

ROWS = 2_000


def say(**fact: object) -> None:
    sys.stdout.write(json.dumps(fact) + "\n")
    sys.stdout.flush()


def batch(token: str, width: int) -> Insert:
    """`ROWS` rows that do not compress, of one day, marked with their token."""
    rows = [
        json.dumps(["2026-11-24T10:00:00Z", n, f"{token}:{os.urandom(width).hex()}"]) + "\n"
        for n in range(ROWS)
    ]
    return Insert("lines", LINE_COLUMNS, [row.encode() for row in rows], ROWS, token)


async def counted(facts: Facts) -> dict[str, int]:
    """Rows by token."""
    sql = "SELECT splitByChar(':', text)[1] AS token, count() AS n FROM lines GROUP BY token"
    rows = await facts.fetch(sql, dict[str, object])
    return {str(row["token"]): int(str(row["n"])) for row in rows}


async def load(facts: Facts) -> None:
    """Insert until killed; say each token once its insert has returned."""
    await facts.execute(LINES.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS"))
    number = 0
    while True:
        token = f"{os.getpid()}-{number}"
        await facts.insert(batch(token, 50))
        say(acknowledged=token)
        number += 1


async def check(facts: Facts) -> None:
    """Say what is there, and what is there after every token was sent again."""
    before = await counted(facts)
    for token in before:
        await facts.insert(batch(token, 50))
    say(before=before, after=await counted(facts))


async def fill(facts: Facts, directory: Path) -> None:
    """Insert until the disk is full, then make room and try again."""
    ballast = directory / "ballast"
    ballast.write_bytes(b"x" * 12_000_000)
    await facts.execute(LINES)
    acknowledged, refused, message = [], "", ""
    for number in range(100):
        refused = f"t{number}"
        try:
            await facts.insert(batch(refused, 500))
        except SourceUnavailable as error:
            message = error.message
            break
        acknowledged.append(refused)
    full = await counted(facts)
    ballast.unlink()
    await facts.insert(batch(refused, 500))
    say(
        acknowledged=acknowledged, refused=refused, message=message, full=full,
        after=await counted(facts),
    )  # fmt: skip


async def hold(facts: Facts) -> None:
    """Keep the store open until told otherwise."""
    say(rows=await count(facts, "SELECT 1 AS n"))
    await asyncio.to_thread(sys.stdin.readline)


async def end(facts: Facts) -> None:
    """Close with everything going on; say how each call ended and how long closing took."""
    await facts.execute(LINES)
    sql = "SELECT count() AS n FROM numbers(1000000000000) WHERE sipHash64(number) = 6"
    searches = [asyncio.create_task(facts.fetch(sql, dict[str, int])) for _ in range(11)]
    await until(facts, "sipHash64(number) = 6", 11)
    searches += [asyncio.create_task(facts.fetch(sql, dict[str, int])) for _ in range(9)]
    streams = [facts.stream("SELECT number FROM numbers(1000000000)", "TSV") for _ in range(2)]
    for stream in streams:
        await anext(stream)
    inserts = [asyncio.create_task(facts.insert(batch(f"t{n}", 50))) for n in range(5)]
    await asyncio.sleep(0)
    begun = time.monotonic()
    await facts.close()
    took_s = time.monotonic() - begun
    calls = [*searches, *(anext(stream) for stream in streams), *inserts]
    ends = await asyncio.gather(*calls, return_exceptions=True)
    say(took_s=took_s, ends=[getattr(end, "message", end) for end in ends])


async def leave(facts: Facts) -> None:
    """End the process without closing anything."""
    say(rows=await count(facts, "SELECT 1 AS n"))
    sys.exit(0)


async def main() -> None:
    command, directory = sys.argv[1], Path(sys.argv[2])
    try:
        facts = EmbeddedFacts(directory / "facts")
    except ConfigError as error:
        say(refused=error.message)
        return
    if command == "fill":
        await fill(facts, directory)
    else:
        await {"load": load, "check": check, "hold": hold, "end": end, "leave": leave}[command](
            facts
        )
    await facts.close()


if __name__ == "__main__":
    asyncio.run(main())
