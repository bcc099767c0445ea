"""The sample platform as processes: it shows every state, heals itself, and leaves nothing."""

import asyncio
import logging
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from quarterdeck.app import MIGRATIONS
from quarterdeck.config import Settings
from quarterdeck.demo.launcher import DemoLauncher
from quarterdeck.state import migrate

DEADLINE_S = 60.0

PROCESSES = {"producer", "mailer", "analyst"}
"""Without a door for logs and health there are no neighbours."""

PARENT = """
import asyncio, sys
from pathlib import Path
from quarterdeck.app import MIGRATIONS
from quarterdeck.demo.launcher import DemoLauncher
from quarterdeck.state import migrate

async def main():
    async def announce():
        pass
    launcher = DemoLauncher(
        Path(sys.argv[1]), 7, lambda url: migrate(url, MIGRATIONS), announce
    )
    await launcher.start()
    await asyncio.Event().wait()

asyncio.run(main())
"""


def children(data_dir: Path) -> dict[str, int]:
    """The platform's living processes, by module."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            arguments = (entry / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if "-m" in arguments and any(str(data_dir) in argument for argument in arguments):
            found[arguments[2].removeprefix("quarterdeck.demo.")] = int(entry.name)
    return found


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.05)


def states(data_dir: Path) -> set[str]:
    """The states of the jobs in `email-sending`."""
    path = data_dir / "demo" / "platform.sqlite3"
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        query = "SELECT DISTINCT status FROM jobs WHERE queue_name = 'email-sending'"
        return {status for (status,) in connection.execute(query)}
    finally:
        connection.close()


async def said_nothing() -> None:
    pass


@asynccontextmanager
async def running(
    data_dir: Path, announce: Callable[[], object] = said_nothing
) -> AsyncIterator[DemoLauncher]:
    launcher = DemoLauncher(data_dir, 7, lambda url: migrate(url, MIGRATIONS), announce)  # type: ignore[arg-type]  # each is async
    await launcher.start()
    try:
        yield launcher
    finally:
        await launcher.stop()


async def test_platform_shows_every_state_and_stops_clean(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "quarterdeck.demo")
    async with running(tmp_path) as launcher:
        settings = launcher.attach(Settings())
        url = f"sqlite:///{tmp_path}/demo/platform.sqlite3"
        assert settings.queues.sources == [{"name": "demo", "kind": "sql", "url": url}]
        assert settings.health == Settings().health
        seen = states(tmp_path)
        assert seen >= {"queued", "completed", "failed"}, "the first look is empty"

        def all_seen() -> bool:
            seen.update(states(tmp_path))
            return seen >= {"queued", "running", "completed", "failed"}

        await until(all_seen)
        assert set(children(tmp_path)) == PROCESSES
    assert children(tmp_path) == {}
    assert "running" not in states(tmp_path)
    # Migrating says something, too, where a test before this one made its logger talk.
    ours = [record for record in caplog.records if record.name == "quarterdeck.demo"]
    assert [record.levelname for record in ours] == ["INFO"]
    assert "sample data, seed 7" in caplog.text


async def test_child_that_was_killed_is_started_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path):
        await until(lambda: set(children(tmp_path)) == PROCESSES)
        killed = children(tmp_path)["mailer"]
        os.kill(killed, signal.SIGKILL)
        await until(lambda: children(tmp_path).get("mailer", killed) != killed)
    assert "the demo's mailer has died (exit -9: no message)" in caplog.text


async def test_parent_that_was_killed_leaves_no_orphans(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, str(tmp_path))
    await until(lambda: set(children(tmp_path)) == PROCESSES)
    await until(lambda: "running" in states(tmp_path))
    parent.kill()
    await parent.wait()
    await until(lambda: children(tmp_path) == {})


async def test_stop_during_start_up_leaves_nothing(tmp_path: Path) -> None:
    async with running(tmp_path):
        pass
    assert children(tmp_path) == {}


async def test_announcement_that_fails_stops_the_platform(tmp_path: Path) -> None:
    async def broken() -> None:
        raise RuntimeError("no state database")

    launcher = DemoLauncher(tmp_path, 7, lambda url: migrate(url, MIGRATIONS), broken)
    with pytest.raises(RuntimeError, match="no state database"):
        await launcher.start()
    assert children(tmp_path) == {}


async def test_child_that_always_dies_is_reported_with_its_last_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    launcher = DemoLauncher(tmp_path, 7, lambda url: migrate(url, MIGRATIONS), said_nothing)
    await launcher.start()
    # Without a schema the producer fails at its first statement.
    path = tmp_path / "demo" / "platform.sqlite3"
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        name.unlink(missing_ok=True)
    path.touch()
    await until(lambda: caplog.text.count("demo's producer has died") >= 2)
    await launcher.stop()
    assert "no such table: jobs" in caplog.text
    assert "started again in 0.5 s" in caplog.text
    assert "started again in 1.0 s" in caplog.text
