"""Exports and a loss of power: had at once, durable before the job ends, or made again."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from export_world import ME, World, create_table, line, running, store
from quarterdeck.core.errors import Conflict
from quarterdeck.logs import export_files, export_run, exports
from quarterdeck.logs.export_files import ExportDirectory, boot_id
from quarterdeck.logs.export_formats import ExportFormat, JsonShape
from quarterdeck.logs.export_state import Export, ExportStatus
from quarterdeck.logs.exports import LogExports
from quarterdeck.logs.model import Filter
from workers.support import rows

pytest_plugins = ("export_fixtures",)

Rebooted = Callable[[str], None]


@pytest.fixture
def reboot(monkeypatch: pytest.MonkeyPatch) -> Rebooted:
    """From now on it is another run of the machine."""

    def change(name: str) -> None:
        for module in (exports, export_run):
            monkeypatch.setattr(module, "boot_id", lambda: name)

    return change


async def started(built: LogExports) -> Export:
    return await built.start(Filter(), ExportFormat.TXT, JsonShape.NDJSON, False, ME)


async def three_lines(world: World) -> None:
    await create_table(world.facts)
    await store(world.facts, [line(message=f"m{number}") for number in range(3)])


async def pending(world: World) -> bool:
    """Whether the checkpoint of the only export says that it is not durable."""
    ((checkpoint,),) = await rows(world.database, "SELECT checkpoint FROM log_exports")
    return checkpoint is not None


async def again_until_durable(world: World) -> None:
    """Have the job run again without its pause, until what it made is durable."""
    at_once = "UPDATE jobs SET run_at = created_at WHERE status = 'queued'"
    async with asyncio.timeout(60):
        while await pending(world):
            await world.database.write(lambda c: c.exec_driver_sql(at_once).rowcount)
            await asyncio.sleep(0.05)


async def test_export_is_had_before_it_is_durable_and_made_so_before_the_job_ends(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await three_lines(world)
    begun, may_end = threading.Event(), threading.Event()
    real = ExportDirectory.make_durable

    def slow(directory: ExportDirectory, file: Path) -> None:
        begun.set()
        assert may_end.wait(30)
        real(directory, file)

    monkeypatch.setattr(ExportDirectory, "make_durable", slow)
    async with running(world) as built:
        export = await started(built)
        assert len((await world.content(export.id)).splitlines()) == 3
        assert await asyncio.to_thread(begun.wait, 30)
        assert await pending(world)
        assert await rows(world.database, "SELECT status FROM jobs") == [("running",)]
        may_end.set()
        async with asyncio.timeout(30):
            while await rows(world.database, "SELECT status FROM jobs") != [("completed",)]:
                await asyncio.sleep(0.02)
    assert not await pending(world)


async def test_export_that_was_not_durable_is_made_again_after_a_loss_of_power(
    world: World, monkeypatch: pytest.MonkeyPatch, reboot: Rebooted
) -> None:
    await three_lines(world)

    def lost(_directory: ExportDirectory, _file: Path) -> None:
        raise ZeroDivisionError("the power is gone")

    with monkeypatch.context() as patch:
        patch.setattr(ExportDirectory, "make_durable", lost)
        async with running(world) as built:
            export = await started(built)
            await world.finished(export.id)
            async with asyncio.timeout(30):
                while await rows(world.database, "SELECT status FROM jobs") != [("queued",)]:
                    await asyncio.sleep(0.02)
    file = (await world.exports[0].get_file(export.id, ME)).path
    reboot("another")
    file.write_bytes(b"")
    with pytest.raises(Conflict, match="made again"):
        await world.exports[0].get_file(export.id, ME)
    world.exports.clear()
    async with running(world):
        await again_until_durable(world)
        assert len((await world.content(export.id)).splitlines()) == 3


async def test_process_that_died_before_it_was_durable_is_followed_by_one_that_sees_to_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await three_lines(world)
    done: list[Path] = []
    real = ExportDirectory.make_durable

    def counted(directory: ExportDirectory, file: Path) -> None:
        done.append(file)
        if len(done) == 1:
            raise ZeroDivisionError("the process is gone")
        real(directory, file)

    monkeypatch.setattr(ExportDirectory, "make_durable", counted)
    async with running(world) as built:
        export = await started(built)
        content = await world.content(export.id)
        await again_until_durable(world)
        assert await world.content(export.id) == content
    assert len(set(done)) == 1
    assert (await world.exports[0].get(export.id, ME)).status is ExportStatus.COMPLETED


async def test_system_that_tells_no_runs_waits_for_the_disk(
    world: World, monkeypatch: pytest.MonkeyPatch, reboot: Rebooted
) -> None:
    await three_lines(world)
    reboot("")
    done: list[Path] = []
    real = ExportDirectory.make_durable

    def counted(directory: ExportDirectory, file: Path) -> None:
        done.append(file)
        real(directory, file)

    monkeypatch.setattr(ExportDirectory, "make_durable", counted)
    async with running(world) as built:
        export = await started(built)
        assert len((await world.content(export.id)).splitlines()) == 3
        assert len(done) == 1
        assert not await pending(world)


def test_run_of_the_machine_has_a_name_where_the_system_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(boot_id()) == 36
    assert boot_id() == boot_id()
    monkeypatch.setattr(export_files, "_BOOT", tmp_path / "none")
    assert boot_id() == ""
