"""Exports whose process is killed: the next one goes on, and the file is whole."""

import asyncio
import csv
import gzip
import io
import json
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import cast

import pytest

import servers
from export_world import ME, World
from quarterdeck.facts import Facts
from quarterdeck.logs.export_state import ExportStatus
from quarterdeck.state import Database
from workers.support import rows, until

pytest_plugins = ("export_fixtures",)

LINES = 400_000


def numbers(packed: bytes, kind: str) -> list[int]:
    """The numbers of the lines in a file, in its order."""
    text = gzip.decompress(packed).decode()
    if kind == "json":
        found = [each["message"] for each in json.loads(text)]
    elif kind == "csv":
        found = [row["message"] for row in csv.DictReader(io.StringIO(text, newline=""))]
    else:
        found = [entry.split(" ", 3)[3] for entry in text.splitlines()]
    return [int(message.split()[1]) for message in found]


@pytest.mark.parametrize(("kind", "kills"), [("json", 3), ("csv", 1)])
async def test_killed_process_is_followed_by_one_that_goes_on(
    sqlite_url: str, sqlite_database: Database, tmp_path: Path, kind: str, kills: int
) -> None:
    directory = tmp_path / "exports"
    paths = (sqlite_url, str(tmp_path / "facts"), str(directory))
    # The engine belongs to the processes that are killed; here only the state is looked at.
    world = World(cast(Facts, None), sqlite_database, directory)
    exports = world.build()
    reached: list[int] = []

    async def has_come_further() -> bool:
        query = "SELECT status, checkpoint FROM log_exports WHERE checkpoint IS NOT NULL"
        for status, checkpoint in await rows(sqlite_database, query):
            assert status == "processing"
            bites = json.loads(checkpoint)[0]
            if bites > (reached[-1] if reached else 0):
                reached.append(bites)
                return True
        return False

    with running(paths, str(LINES), kind) as process:
        await until(has_come_further)
        process.kill()
    ((export_id,),) = await rows(sqlite_database, "SELECT id FROM log_exports")
    for _ in range(kills - 1):
        assert (await exports.get(export_id, ME)).status is ExportStatus.PROCESSING
        assert [name for name in world.files() if not name.endswith(".part")] == []
        with running(paths) as process:
            await until(has_come_further)
            process.kill()
    with running(paths) as process:
        done = await world.finished(export_id)
        process.terminate()
        assert await asyncio.to_thread(process.wait, 30) == 0
    assert (done.status, done.rows, done.total) == (ExportStatus.COMPLETED, LINES, LINES)
    content = await world.content(export_id)
    assert numbers(content, kind) == list(range(LINES - 1, -1, -1))
    assert len(world.files()) == 1
    assert await rows(sqlite_database, "SELECT status, attempt_count FROM jobs") == [
        ("completed", kills + 1)
    ]


def running(
    paths: tuple[str, ...], *arguments: str
) -> AbstractContextManager["subprocess.Popen[bytes]"]:
    """A process that works on exports."""
    script = Path(__file__).parents[1] / "workers" / "export_worker.py"
    command = [sys.executable, str(script), *paths, *arguments]
    return servers.running(command)
