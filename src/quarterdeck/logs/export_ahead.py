"""Reading the bites of an export in order, one ahead.

While a bite is written the engine makes the next one, on another core: nearly half the time. Large
bites are read alone, for the sake of memory.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable

from quarterdeck.logs.export_plan import Bite

Read = Callable[[Bite], AsyncGenerator[bytes]]


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
    """Pieces whose first one is on its way."""

    def __init__(self, pieces: AsyncGenerator[bytes]) -> None:
        self._pieces = pieces
        self._first: asyncio.Task[bytes | None] | None = asyncio.create_task(self._anext())

    async def next(self) -> bytes | None:
        """The next piece; None at the end."""
        if self._first is not None:
            first, self._first = self._first, None
            return await first
        return await self._anext()

    async def close(self) -> None:
        """Stop, wherever it is."""
        if self._first is not None:
            self._first.cancel()
            await asyncio.gather(self._first, return_exceptions=True)
        await self._pieces.aclose()

    async def _anext(self) -> bytes | None:
        return await anext(self._pieces, None)
