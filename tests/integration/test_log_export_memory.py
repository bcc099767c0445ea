"""A million lines are exported at flat memory, also when they are all of one hour."""

import gc
import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from export_world import ME, World, create_table, line, running, store, store_many
from quarterdeck.logs.export_formats import ExportFormat, JsonShape
from quarterdeck.logs.model import Filter

pytest_plugins = ("export_fixtures",)

LINES = 1_000_000
MOST_EXTRA = 250_000_000


def resident() -> int:
    """Bytes of memory that this process has to itself; what it has mapped of files is not."""
    for entry in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if entry.startswith("Anonymous:"):
            return int(entry.split()[1]) * 1024
    raise AssertionError("the kernel does not tell")


async def settled(world: World) -> int:
    """The memory once what storing took is given back."""
    gc.collect()
    await world.facts.execute("SYSTEM JEMALLOC PURGE")
    return resident()


@contextmanager
def watched() -> Iterator[list[int]]:
    """The most memory that the block had, in the list at its end."""
    stop, peak = threading.Event(), [resident()]

    def watch() -> None:
        while not stop.wait(0.02):
            peak[0] = max(peak[0], resident())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize(("kind", "hours"), [(ExportFormat.CSV, 1), (ExportFormat.JSON, 16)])
async def test_million_lines_take_little_memory(
    sqlite_world: World, kind: ExportFormat, hours: int
) -> None:
    """Of one hour, which is sorted on disk, and of many, which are read one ahead."""
    await create_table(sqlite_world.facts)
    await store_many(sqlite_world.facts, LINES, timedelta(hours=hours))
    before = await settled(sqlite_world)
    async with running(sqlite_world) as exports:
        with watched() as peak:
            export = await exports.start(Filter(), kind, JsonShape.NDJSON, False, ME)
            done = await sqlite_world.finished(export.id)
        file = await exports.get_file(export.id, ME)
        with file.path.open("rb") as content:
            ends = sum(piece.count(b"\n") for piece in iter(lambda: content.read(1 << 20), b""))
    assert (done.rows, done.error) == (LINES, None)
    assert ends == LINES + (1 if kind is ExportFormat.CSV else 0)
    assert peak[0] - before < MOST_EXTRA, f"{(peak[0] - before) / 1e6:.0f} MB"


async def test_hour_of_huge_lines_is_read_in_smaller_parts(sqlite_world: World) -> None:
    """Lines of a megabyte: what the engine may hold is not enough for an hour of them."""
    await create_table(sqlite_world.facts)
    for number in range(12):
        at = f"2026-11-24T10:00:{number:02}.000000Z"
        huge = line(timestamp=at, message=f"m{number} " + "x" * 2**20)
        await store(sqlite_world.facts, [huge] * 10, f"t{number}")
    before = await settled(sqlite_world)
    async with running(sqlite_world) as exports:
        with watched() as peak:
            export = await exports.start(Filter(), ExportFormat.TXT, JsonShape.NDJSON, True, ME)
            done = await sqlite_world.finished(export.id)
        file = await exports.get_file(export.id, ME)
        with gzip.open(file.path, "rt") as content:
            found = [entry.split(" ", 4)[3] for entry in content]
    assert (done.rows, done.error) == (120, None)
    assert found == [f"m{number}" for number in reversed(range(12)) for _ in range(10)]
    assert peak[0] - before < 1.6 * MOST_EXTRA, f"{(peak[0] - before) / 1e6:.0f} MB"
