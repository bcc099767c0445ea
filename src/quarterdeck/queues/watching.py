"""Samples every queue every 15 seconds, and remembers enough to say where each is going."""

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import InvalidRequest, SourceUnavailable
from quarterdeck.queues.history import Outlook, QueueHistory
from quarterdeck.queues.model import EngineHealth, Provenance, QueueRef, QueueStats
from quarterdeck.queues.samples import QueueSamples
from quarterdeck.queues.service import QueueListing, QueueService
from quarterdeck.queues.trends import HOUR, Track

log = logging.getLogger("quarterdeck.queues")

EVERY_S = 15.0
FORGET_AFTER = timedelta(hours=2)
"""A queue that no answer has named for so long has no track any more."""

NOTHING = Outlook()


class QueueWatch:
    """Runs beside the answering; for the event loop only."""

    def __init__(self, queues: QueueService, samples: QueueSamples, clock: Clock = utc_now) -> None:
        self._queues = queues
        self._samples = samples
        self._clock = clock
        self._tracks: dict[tuple[str, str], Track] = {}
        self._seen_at: dict[tuple[str, str], datetime] = {}

    async def open(self) -> None:
        """Make the table of samples if the store of facts is there; else `run` does it later.

        Raises:
            ConfigError: the table was made by a newer program.
        """
        await self._samples.rows.open()

    async def run(self, stop: asyncio.Event) -> None:
        """Sample until `stop` is set."""
        await self._remember()
        async with asyncio.TaskGroup() as group:
            ending = asyncio.Event()
            storing = group.create_task(self._samples.rows.run(ending))
            while not stop.is_set():
                try:
                    await self.sample()
                except Exception:  # one look that fails must not be the last
                    log.exception("queues cannot be sampled")
                with suppress(TimeoutError):
                    async with asyncio.timeout(EVERY_S):
                        await stop.wait()
            ending.set()
            await storing

    async def sample(self) -> None:
        """Take one sample of every queue whose source answers now."""
        listing = await self._queues.list_queues()
        now = self._clock()
        fresh = {each.name for each in listing.sources if each.health is EngineHealth.OK}
        for ref, stats in listing.queues:
            if ref.source in fresh:
                self._samples.add(ref, stats, now)
                self._track(ref.source, ref.name, now, stats.waiting, stats.completed_last_minute)
        for key in [key for key, at in self._seen_at.items() if now - at > FORGET_AFTER]:
            del self._tracks[key], self._seen_at[key]

    def outlook(self, ref: QueueRef, stats: QueueStats) -> Outlook:
        """Where a queue is going that is now as `stats` say."""
        track = self._tracks.get((ref.source, ref.name))
        return track.outlook(stats.waiting, stats.paused, self._clock()) if track else NOTHING

    def completed(self, stats: QueueStats, outlook: Outlook) -> tuple[int | None, Provenance]:
        """Jobs completed in the last hour, and how that is known: the engine's word comes first."""
        if stats.completed_last_hour is not None or outlook.completed_last_hour is None:
            return stats.completed_last_hour, stats.completed_last_hour_source
        return outlook.completed_last_hour, Provenance.SAMPLED

    async def history(self, ref: QueueRef, hours: int, now: datetime) -> QueueHistory:
        """What a queue was like in the hours before `now`.

        Raises:
            InvalidRequest: that many hours cannot be shown.
            SourceUnavailable: the store of facts cannot be had.
        """
        if hours < 1:
            raise InvalidRequest.of("hours", "give a number from 1")
        return await self._samples.history(ref, now - timedelta(hours=hours), now)

    async def listing(self, source: str | None = None) -> QueueListing:
        """See `QueueService.list_queues`."""
        return await self._queues.list_queues(source)

    async def _remember(self) -> None:
        """Go on with the samples of the last process."""
        try:
            rows = await self._samples.recent(self._clock() - HOUR)
        except SourceUnavailable as error:
            log.warning("trends of queues begin anew: %s", error.message)
            return
        for row in rows:
            at = datetime.fromtimestamp(row.at_ms / 1000, UTC)
            self._track(row.source, row.queue, at, row.waiting, row.completed_last_minute)

    def _track(
        self, source: str, queue: str, at: datetime, waiting: int | None, completed: int | None
    ) -> None:
        key = (source, queue)
        self._tracks.setdefault(key, Track()).add(at, waiting, completed)
        self._seen_at[key] = at
