"""The life of exports: started, written, cancelled, failed, expired; on both databases."""

import asyncio
import resource
from datetime import timedelta
from pathlib import Path

import pytest

from access_world import Watch
from export_world import ME, World, create_table, line, running, store, store_many
from quarterdeck.core.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    SourceUnavailable,
    TooManyRequests,
)
from quarterdeck.facts import Facts
from quarterdeck.logs.export_formats import ExportFormat, JsonShape
from quarterdeck.logs.export_state import Export, ExportStatus
from quarterdeck.logs.exports import EXPORTS_QUEUE, MOST_UNDER_WAY, LogExports
from quarterdeck.logs.model import Filter
from quarterdeck.work.model import JobStatus
from quarterdeck.work.store import WorkStore
from workers.support import rows

pytest_plugins = ("export_fixtures",)

TEXT = (ExportFormat.TXT, JsonShape.NDJSON, False)
ALL = Filter()


async def start(exports: LogExports, wanted: Filter = ALL, owner: str = ME) -> Export:
    return await exports.start(wanted, *TEXT, owner)


async def messages(world: World, export: Export) -> list[str]:
    content = (await world.content(export.id)).decode()
    return [entry.split(" ")[3] for entry in content.splitlines()]


async def ten_lines(facts: Facts) -> None:
    """Ten lines in three hours of two days, oldest first."""
    await create_table(facts)
    hours = ("23T22", "23T23", "24T00")
    stamps = [f"2026-11-{hours[n // 4]}:00:0{n}.000000Z" for n in range(10)]
    await store(facts, [line(timestamp=at, message=f"m{n}") for n, at in enumerate(stamps)])


async def test_export_is_queued_at_once_and_then_completed(world: World) -> None:
    await ten_lines(world.facts)
    async with running(world) as exports:
        started = await start(exports, Filter(query="m3 OR m7"))
        assert started.status is ExportStatus.PROCESSING
        assert (started.rows, started.completed_at, started.created_by) == (0, None, ME)
        assert await messages(world, started) == ["m7", "m3"]
        done = await exports.get(started.id, ME)
        assert (done.rows, done.total, done.error) == (2, 2, None)
        assert done.completed_at and done.expires_at == done.completed_at + timedelta(hours=24)
    job = await WorkStore(world.database).find_job(done.job_id)
    assert job and job.progress and job.queue_name == EXPORTS_QUEUE
    assert (job.status, job.progress.done, job.progress.total) == (JobStatus.COMPLETED, 2, 2)
    assert [name for name in world.files() if not name.endswith(".txt")] == []


async def test_lines_are_newest_first_over_hours_and_days(world: World) -> None:
    await ten_lines(world.facts)
    async with running(world) as exports:
        export = await start(exports)
        assert await messages(world, export) == [f"m{n}" for n in reversed(range(10))]


async def test_lines_that_come_later_do_not_belong_to_it(world: World) -> None:
    await ten_lines(world.facts)
    exports = world.build()
    export = await start(exports)
    late = [line(timestamp=f"2026-11-{d}T22:00:00.500000Z", message="late") for d in (22, 23, 24)]
    await store(world.facts, late, "later")
    world.exports.clear()
    async with running(world):
        assert "late" not in await messages(world, export)
        done = await world.finished(export.id)
        assert (done.rows, done.total) == (10, 10)


async def test_bad_query_is_refused_at_once_and_leaves_nothing(world: World) -> None:
    await create_table(world.facts)
    exports = world.build()
    with pytest.raises(InvalidRequest):
        await start(exports, Filter(query='"open'))
    assert await rows(world.database, "SELECT count(*) FROM log_exports") == [(0,)]
    assert await rows(world.database, "SELECT count(*) FROM jobs") == [(0,)]


async def test_crash_between_job_and_row_leaves_an_export_that_is_made(world: World) -> None:
    await ten_lines(world.facts)
    exports = world.build()
    export = await start(exports)
    await world.database.write(
        lambda c: c.exec_driver_sql("DELETE FROM log_exports").rowcount
    )  # the process died before it wrote the row
    world.exports.clear()
    async with running(world) as fresh:
        assert len(await messages_when_there(world, fresh, export.id)) == 10
        assert [each.id for each in (await fresh.list_exports(ME, 50, 0)).items] == [export.id]


async def messages_when_there(world: World, exports: LogExports, export_id: str) -> list[str]:
    async with asyncio.timeout(30):
        while not (await exports.list_exports(ME, 50, 0)).total:
            await asyncio.sleep(0.02)
    return await messages(world, await world.finished(export_id))


async def test_exports_belong_to_who_made_them(world: World) -> None:
    await ten_lines(world.facts)
    async with running(world) as exports:
        mine, other = await start(exports), await start(exports, owner="token:other")
        await world.finished(mine.id)
        for call in (exports.get, exports.get_file, exports.cancel):
            with pytest.raises(NotFound):
                await call(mine.id, "token:other")
        assert (await exports.get(mine.id, None)).id == mine.id
        page = await exports.list_exports("token:other", 50, 0)
        assert ([each.id for each in page.items], page.total) == ([other.id], 1)


@pytest.mark.parametrize("unknown", ["export_logs_1", "", "a\x00b", "../../etc/passwd", "*"])
async def test_unknown_export_is_not_found(world: World, unknown: str) -> None:
    exports = world.build()
    for call in (exports.get, exports.get_file, exports.cancel):
        with pytest.raises(NotFound):
            await call(unknown, None)


async def test_cancelled_export_stops_and_its_files_are_gone(world: World) -> None:
    await create_table(world.facts)
    await store_many(world.facts, 300_000, timedelta(hours=1))
    async with running(world) as exports:
        export = await start(exports)
        async with asyncio.timeout(30):
            while not list(world.directory.glob("*.part")):
                await asyncio.sleep(0.005)
        cancelled = await exports.cancel(export.id, ME)
        assert cancelled.status is ExportStatus.CANCELLED
        assert (await exports.cancel(export.id, ME)).status is ExportStatus.CANCELLED
        with pytest.raises(NotFound, match="cancelled"):
            await exports.get_file(export.id, ME)
        work = WorkStore(world.database)
        async with asyncio.timeout(30):
            while (job := await work.find_job(export.job_id)) and job.status is JobStatus.RUNNING:
                await asyncio.sleep(0.02)
    assert world.files() == []
    assert (await exports.get(export.id, ME)).status is ExportStatus.CANCELLED


async def test_waiting_export_is_cancelled_before_it_runs(world: World) -> None:
    await ten_lines(world.facts)
    exports = world.build()
    export = await start(exports)
    assert (await exports.cancel(export.id, ME)).status is ExportStatus.CANCELLED
    world.exports.clear()
    async with running(world):
        other = await start(world.exports[0])
        await world.finished(other.id)
    assert [name for name in world.files() if export.id in name] == []


async def test_deleted_export_has_no_file_and_deleting_again_is_fine(world: World) -> None:
    await ten_lines(world.facts)
    async with running(world) as exports:
        export = await start(exports)
        await world.content(export.id)
        for _ in range(2):
            assert (await exports.cancel(export.id, ME)).status is ExportStatus.DELETED
        assert world.files() == []
        with pytest.raises(NotFound, match="deleted"):
            await exports.get_file(export.id, ME)


async def test_files_expire_and_their_rows_say_so(world: World) -> None:
    watch = Watch()
    world.clock = watch
    await ten_lines(world.facts)
    async with running(world) as exports:
        export = await start(exports)
        await world.content(export.id)
        watch.forward(hours=23, minutes=59)
        await exports.sweep()
        assert (await exports.get_file(export.id, ME)).size > 0
        watch.forward(minutes=1)
        assert (await exports.get(export.id, ME)).status is ExportStatus.EXPIRED
        with pytest.raises(NotFound, match="expired"):
            await exports.get_file(export.id, ME)
        await exports.sweep()
        assert world.files() == []
        assert await rows(world.database, "SELECT status FROM log_exports") == [("expired",)]
        watch.forward(days=31)
        await exports.sweep()
        assert await rows(world.database, "SELECT status FROM log_exports") == []


async def test_sweep_removes_orphans_only(world: World) -> None:
    await ten_lines(world.facts)
    async with running(world) as exports:
        export = await start(exports)
        content = await world.content(export.id)
        for name in (f"{export.id}.aa.part", "export_logs_01GONE.aa.csv", "notes.txt"):
            (world.directory / name).write_text("left behind")
        await exports.sweep()
        assert await world.content(export.id) == content
    assert [name for name in world.files() if export.id not in name] == ["notes.txt"]
    assert len(world.files()) == 2


async def test_export_whose_job_was_removed_has_failed(world: World) -> None:
    await ten_lines(world.facts)
    exports = world.build()
    export = await start(exports)
    await world.database.write(lambda c: c.exec_driver_sql("DELETE FROM jobs").rowcount)
    found = await exports.get(export.id, ME)
    assert (found.status, found.error) == (
        ExportStatus.FAILED, "Its job was removed from the queue.",
    )  # fmt: skip


async def test_file_is_not_given_before_the_end(world: World) -> None:
    await ten_lines(world.facts)
    exports = world.build()
    export = await start(exports)
    with pytest.raises(Conflict, match="not completed"):
        await exports.get_file(export.id, ME)


async def test_file_that_is_not_on_this_server_is_not_found(world: World) -> None:
    await ten_lines(world.facts)
    async with running(world) as exports:
        export = await start(exports)
        await world.content(export.id)
        for path in world.directory.iterdir():
            path.unlink()
        with pytest.raises(NotFound, match="not on this server"):
            await exports.get_file(export.id, ME)


async def test_enough_exports_under_way_are_enough(world: World) -> None:
    await ten_lines(world.facts)
    exports = world.build()
    for _ in range(MOST_UNDER_WAY):
        await start(exports)
    with pytest.raises(TooManyRequests):
        await start(exports)
    await start(exports, owner="token:other")


async def test_nearly_full_disk_fails_the_export_with_a_sentence(world: World) -> None:
    await ten_lines(world.facts)
    world.reserve_bytes = 2**62
    async with running(world) as exports:
        export = await start(exports)
        failed = await world.finished(export.id)
        assert failed.status is ExportStatus.FAILED
        assert failed.error and failed.error.startswith("The disk for exports is full.")
        assert world.files() == []
        with pytest.raises(Conflict, match="disk for exports is full"):
            await exports.get_file(export.id, ME)
    job = await WorkStore(world.database).find_job(export.job_id)
    assert job and (job.status, job.attempt_count) == (JobStatus.FAILED, 1)
    assert job.last_error_message == failed.error


async def test_failing_write_in_the_middle_removes_the_file(sqlite_world: World) -> None:
    await create_table(sqlite_world.facts)
    await store_many(sqlite_world.facts, 100_000, timedelta(hours=3))
    async with running(sqlite_world) as exports:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_000_000, limits[1]))
        try:
            failed = await sqlite_world.finished((await start(exports)).id)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert failed.status is ExportStatus.FAILED
        assert failed.error == "The file could not be written: File too large."
    # The worker has ended: the state is told first, then the file goes.
    assert sqlite_world.files() == []


async def test_engine_that_is_gone_refuses_the_start(world: World, tmp_path: Path) -> None:
    from quarterdeck.facts.server import ServerFacts
    from servers import free_port

    gone = ServerFacts(f"http://127.0.0.1:{free_port()}")
    world.facts = gone
    with pytest.raises(SourceUnavailable):
        await start(world.build())
    await gone.close()
    assert await rows(world.database, "SELECT count(*) FROM jobs") == [(0,)]


async def test_two_workers_make_each_export_once(world: World) -> None:
    await ten_lines(world.facts)
    world.workers = 2
    async with running(world) as exports:
        started = [await start(exports, Filter(query=f"m{n}")) for n in range(10)]
        for number, export in enumerate(started):
            assert await messages(world, export) == [f"m{number}"]
    assert len(world.files()) == 10
    assert await rows(
        world.database, "SELECT status, attempt_count, count(*) FROM jobs GROUP BY 1, 2"
    ) == [("completed", 1, 10)]
