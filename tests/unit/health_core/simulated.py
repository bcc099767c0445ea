"""Time that a test drives: an event loop that jumps to its next timer instead of waiting."""

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

START = datetime(2026, 11, 25, 10, tzinfo=UTC)


class JumpingSelector(selectors.DefaultSelector):
    """Finds what is ready; where the loop would wait for time to pass, it passes at once."""

    now = 0.0
    outside = 0
    """Calls to real servers and threads that are under way; time stands still for them."""

    def select(self, timeout: float | None = None) -> list[Any]:
        if self.outside:
            found: list[Any] = super().select(timeout if timeout == 0 else None)
            return found
        ready: list[Any] = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("everything waits, and nothing will come")
        if not ready and timeout:
            self.now += timeout
        return ready


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Its time starts at zero and moves only when there is nothing left to do."""

    def __init__(self) -> None:
        self.selector = JumpingSelector()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.now

    def clock(self) -> datetime:
        """The same time for people."""
        return START + timedelta(seconds=self.selector.now)

    async def outside(self, call: Awaitable[T]) -> T:
        """Await something that happens in real time, while simulated time stands still."""
        self.selector.outside += 1
        try:
            return await call
        finally:
            self.selector.outside -= 1

    async def shutdown_default_executor(self) -> None:
        await self.outside(super().shutdown_default_executor())

    def stand_still(self, seconds: float) -> None:
        """As if something had blocked the loop for so long."""
        self.selector.now += seconds


def simulate(main: Callable[[SimulatedLoop], Coroutine[Any, Any, T]]) -> T:
    """Run `main` in simulated time."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, SimulatedLoop)
        return runner.run(main(loop))


async def stopped_after(seconds: float, run: Callable[[asyncio.Event], Any]) -> None:
    """Run something until simulated `seconds` have passed and it has stopped."""
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, stop.set)
    await run(stop)
