"""Merging is held in a burst, let go after it, and never held for too many parts."""

import asyncio

from quarterdeck.facts.merging import LARGE, MergeBrake

STOP, START = "SYSTEM STOP MERGES `logs`", "SYSTEM START MERGES `logs`"


class Recorder:
    """Statements as they are run, and a way to wait for one."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self._said: asyncio.Queue[str] = asyncio.Queue()

    async def __call__(self, sql: str) -> None:
        self.statements.append(sql)
        await self._said.put(sql)

    async def next(self) -> str:
        async with asyncio.timeout(10):
            return await self._said.get()


async def test_a_burst_holds_merging_once_and_its_end_lets_it_go() -> None:
    run = Recorder()
    brake = MergeBrake(run, calm_s=0.01)
    for _ in range(3):
        await brake.note("logs", LARGE)
    assert [await run.next(), await run.next()] == [STOP, START]
    assert run.statements == [STOP, START]
    await brake.close()


async def test_small_inserts_are_no_burst() -> None:
    run = Recorder()
    brake = MergeBrake(run, calm_s=0.01)
    for _ in range(50):
        await brake.note("logs", LARGE - 1)
    await brake.close()
    assert run.statements == []


async def test_a_burst_without_end_is_merged_as_it_goes() -> None:
    run = Recorder()
    brake = MergeBrake(run, calm_s=60, most=4)
    for _ in range(9):
        await brake.note("logs", LARGE)
    assert run.statements == [STOP, START]
    await brake.close()


async def test_a_second_burst_is_held_again() -> None:
    run = Recorder()
    brake = MergeBrake(run, calm_s=0.01)
    for _ in range(2):
        await brake.note("logs", LARGE)
        assert [await run.next(), await run.next()] == [STOP, START]
    await brake.close()
