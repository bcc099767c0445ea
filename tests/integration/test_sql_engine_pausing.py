"""Pauses where the platform itself may switch whole queues off."""

import asyncio

from integration.sql_engines import queue_of, run, sql_engine
from quarterdeck.queues.adapters.sql import SqlEngine
from quarterdeck.state import Database, open_database

NAMES = ["queue:mail", "queue:mail:high", "queue:mail:low"]
OFF = "INSERT INTO job_queues (name, is_active) VALUES ('mail', false)"


async def paused(engine: SqlEngine) -> dict[str, bool | None]:
    found = [await engine.find_queue(name) for name in NAMES]
    return {queue.name: stats.paused for queue, stats in filter(None, found)}


async def test_resuming_one_band_of_an_inactive_queue_starts_exactly_that(
    database: Database, database_url: str
) -> None:
    await run(database, OFF)
    async with sql_engine(database_url) as engine:
        assert set((await paused(engine)).values()) == {True}
        assert {queue.name for queue in await engine.snapshot()} == set(NAMES)
        result = await engine.resume(await queue_of(engine, "queue:mail:high"))
        assert result.changed
        assert list(result.affected) == ["queue:mail:high"]
        assert await paused(engine) == {
            "queue:mail": True,
            "queue:mail:high": False,
            "queue:mail:low": True,
        }
        again = await engine.resume(await queue_of(engine, "queue:mail:high"))
        assert not again.changed


async def test_pausing_a_band_of_an_inactive_queue_outlasts_its_activation(
    database: Database, database_url: str
) -> None:
    await run(database, OFF)
    async with sql_engine(database_url) as engine:
        result = await engine.pause(await queue_of(engine, "queue:mail:low"))
        assert (result.paused, result.changed) == (True, False)
        await run(database, "UPDATE job_queues SET is_active = true")
        assert (await paused(engine))["queue:mail:low"] is True
        assert (await paused(engine))["queue:mail"] is False


async def test_resuming_all_bands_at_once_starts_all(database: Database, database_url: str) -> None:
    await run(database, OFF)
    async with sql_engine(database_url) as engine:
        for _ in range(5):
            queues = [await queue_of(engine, name) for name in NAMES]
            await asyncio.gather(*(engine.resume(queue) for queue in queues))
            assert set((await paused(engine)).values()) == {False}
            await run(
                database,
                "DELETE FROM job_queue_pauses",
                "UPDATE job_queues SET is_active = false",
            )


async def test_two_servers_pausing_and_resuming_end_in_one_truth(
    database: Database, database_url: str
) -> None:
    await run(database, "INSERT INTO job_queues (name) VALUES ('mail')")
    other = open_database(database_url, "other")
    async with sql_engine(database_url) as one, sql_engine(database_url) as two:
        queue = await queue_of(one, "queue:mail")
        answers = await asyncio.gather(
            *(call(queue) for _ in range(6) for call in (one.pause, two.resume, two.pause))
        )
        last = await one.resume(queue)
        assert last.paused is False
        assert (await paused(two))["queue:mail"] is False
    # Every pause that changed something was undone by exactly one resume.
    pauses = sum(answer.changed for answer in answers if answer.paused)
    resumes = sum(answer.changed for answer in [*answers, last] if not answer.paused)
    assert pauses == resumes
    await other.close()
