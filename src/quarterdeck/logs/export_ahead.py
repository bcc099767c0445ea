"""Reading the bites of an export in order, one ahead.

While a bite is written the engine makes the next one, on another core, as far as there is room for
its pieces: nearly half the time. Large bites are read alone, for the sake of memory.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable

from quarterdeck.core.tasks import end
from quarterdeck.logs.export_plan import Bite

Read = Callable[[Bite], AsyncGenerator[bytes]]

AHEAD_BYTES = 24_000_000
"""Of each bite; a usual one is not larger. What is over it is the last piece."""


class BiteReader:
    """Gives the pieces of one bite after the other. Close it at the end."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._ahead: tuple[Bite, _Begun] | None = None

    async def pieces(self, bite: Bite, following: Bite | None) -> AsyncGenerator[bytes]:
        """The pieces of a bite, while `following` is begun."""
        begun = await self._taken(bite)
        try:
            if following and bite.is_light and following.is_light:
                self._ahead = (following, _Begun(self._read(following)))
            while (piece := await begun.next()) is not None:
                yield piece
        finally:
            await begun.close()

    async def close(self) -> None:
        """Stop what has been begun and is not wanted."""
        if self._ahead is not None:
            _, begun = self._ahead
            self._ahead = None
            await begun.close()

    async def _taken(self, bite: Bite) -> "_Begun":
        if self._ahead is not None and self._ahead[0] == bite:
            _, begun = self._ahead
            self._ahead = None
            return begun
        await self.close()
        return _Begun(self._read(bite))


class _Begun:
    """Pieces that are made while nobody asks for them, until they fill `AHEAD_BYTES`."""

    def __init__(self, pieces: AsyncGenerator[bytes]) -> None:
        self._pieces = pieces
        self._ready: deque[bytes] = deque()
        self._held = 0
        self._changed = asyncio.Event()
        self._making = asyncio.create_task(self._make())
        self._making.add_done_callback(lambda _: self._changed.set())

    async def next(self) -> bytes | None:
        """The next piece; None at the end. Raises what reading it has raised."""
        while not self._ready:
            if self._making.done():
                self._making.result()
                return None
            await self._change()
        piece = self._ready.popleft()
        self._held -= len(piece)
        self._changed.set()
        return piece

    async def close(self) -> None:
        """Stop, wherever it is."""
        await end([self._making])
        await asyncio.gather(self._making, return_exceptions=True)  # nobody asks how it failed
        await self._pieces.aclose()

    async def _make(self) -> None:
        async for piece in self._pieces:
            self._ready.append(piece)
            self._held += len(piece)
            self._changed.set()
            while self._held >= AHEAD_BYTES:
                await self._change()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
