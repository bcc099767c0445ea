"""Tasks that are ended have ended, also where a cancellation is lost."""

import asyncio

from quarterdeck.core import tasks


async def test_a_task_that_loses_its_cancellation_is_asked_again() -> None:
    lost = 0

    async def go_on() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost += 1
                if lost == 3:
                    raise

    begun = asyncio.create_task(go_on())
    await asyncio.sleep(0)
    await tasks.end([begun])
    assert begun.cancelled()
    assert lost == 3


async def test_tasks_that_failed_or_were_not_there_are_no_trouble() -> None:
    async def fail() -> None:
        raise ValueError

    failed = asyncio.create_task(fail())
    await asyncio.wait([failed])
    await tasks.end([failed])
    await tasks.end([])
    assert isinstance(failed.exception(), ValueError)
