"""Ending tasks that run in the background."""

import asyncio
from collections.abc import Iterable
from typing import Any

ASK_AGAIN_S = 0.1


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until all of them have ended.

    Before Python 3.12 `asyncio.wait_for` loses a cancellation that comes as its inner call ends,
    and redis-py sends each command through it: a loop that is asked once may go on for ever.
    """
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=ASK_AGAIN_S)
