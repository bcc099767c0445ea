"""Tells somebody outside, again and again, that the alerts are being looked after.

Who watches the watcher: a service such as Healthchecks, or another Quarterdeck's
`POST /infrastructure/heartbeats/{name}`, raises the alarm when these calls stay away. They do so
also when this server runs but its rules are not evaluated.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.net.outgoing import PostClient

log = logging.getLogger("quarterdeck.alerts")

EVERY_S = 60.0


class LifeSign:
    """Posts to one address, as long as `evaluated_at` is not older than `longest_gap_s`."""

    def __init__(
        self,
        client: PostClient,
        evaluated_at: Callable[[], datetime | None],
        longest_gap_s: float,
        clock: Clock,
    ) -> None:
        self._client = client
        self._evaluated_at = evaluated_at
        self._longest_gap = timedelta(seconds=longest_gap_s)
        self._clock = clock
        self._is_failing = False

    async def run(self, stop: asyncio.Event) -> None:
        """Give a sign every minute until `stop` is set."""
        while not stop.is_set():
            await self.give()
            try:
                async with asyncio.timeout(EVERY_S):
                    await stop.wait()
            except TimeoutError:
                continue

    async def give(self) -> bool:
        """Give one sign if there is reason to; whether it was taken."""
        at = self._evaluated_at()
        if at is None or self._clock() - at > self._longest_gap:
            return False
        try:
            answer = await self._client.post(b"", {})
            problem = None if answer.status < 300 else f"it is answered with {answer.status}"
        except SourceUnavailable as error:
            problem = error.message
        if problem is not None and not self._is_failing:
            log.warning("the sign of life is not taken by %s: %s", self._client.host, problem)
        elif problem is None and self._is_failing:
            log.info("the sign of life is taken again by %s", self._client.host)
        self._is_failing = problem is not None
        return problem is None

    async def close(self) -> None:
        """Give the connection back."""
        await self._client.close()
