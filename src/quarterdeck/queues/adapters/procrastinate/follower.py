"""Counts of all queues: each look goes on where the one before it ended."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.queues.adapters.procrastinate.access import Access
from quarterdeck.queues.adapters.procrastinate.census import (
    COUNT_LIMIT,
    Census,
    find_last_event_before,
    scan_failed,
    take_census,
)
from quarterdeck.queues.adapters.procrastinate.lanes import Lane
from quarterdeck.queues.adapters.procrastinate.ledger import FAILED_LIMIT, LOOK_BACK, RECENT, Ledger
from quarterdeck.queues.model import Provenance, QueueStats

log = logging.getLogger("quarterdeck.queues")

SCAN_PATIENCE_S = 2.0
"""The first look waits so long for the scan of the table; then failed counts are unknown."""
SCAN_TIMEOUT_S = 600.0
RESCAN_S = 900.0
"""What a transaction of more than `SETTLE_S` hid from us is found by the next scan."""
GAP_S = 600.0
"""After such a pause a new start costs less than reading all events since."""


@dataclass(frozen=True, slots=True)
class View:
    """All queues at one moment."""

    census: Census
    failed: Mapping[Lane, Sequence[int]] | None
    """Ids of failed jobs of each lane, the newest first; None: not known yet."""
    completed: Mapping[Lane, int]

    @property
    def lanes(self) -> set[Lane]:
        """Those with jobs, and the normal one of each queue."""
        census = self.census
        normal = (Lane(name, 0) for name in census.names)
        return {*normal, *census.waiting, *census.active, *(self.failed or ()), *self.completed}

    def failed_ids(self, lane: Lane) -> Sequence[int] | None:
        """Failed jobs of a lane, all of them, the newest first; None: not known, or too many."""
        if self.failed is None or len(self.failed.get(lane, ())) > FAILED_LIMIT:
            return None
        return self.failed.get(lane, ())

    def stats(self, lane: Lane) -> QueueStats:
        """The counts of a lane."""
        waiting, warnings = self.census.waiting.get(lane), []
        count = waiting.count if waiting else None if self.census.is_waiting_capped else 0
        failed = None if self.failed is None else len(self.failed.get(lane, ()))
        if self.census.is_waiting_capped:
            warnings.append(f"More than {COUNT_LIMIT} jobs wait here; counting stopped there.")
        if failed is None:
            warnings.append("Failed jobs are not counted yet: the whole table is read for it.")
        elif failed > FAILED_LIMIT:
            failed = FAILED_LIMIT
            warnings.append(f"There are more than {failed} failed jobs; counting stopped there.")
        return QueueStats(
            active=self.census.active.get(lane, 0),
            waiting=count,
            failed=failed,
            completed_last_hour=self.completed.get(lane, 0),
            completed_last_hour_source=Provenance.RETAINED,
            paused=False,
            oldest_waiting_at=waiting.oldest_at if waiting else None,
            warnings=warnings,
        )


class Follower:
    """Looks at the database, one look at a time, and remembers what the next one builds upon."""

    def __init__(self, access: Access, clock: Clock) -> None:
        self._access = access
        self._clock = clock
        self._looking = asyncio.Lock()
        self._ledger: Ledger | None = None
        self._looked_at = self._scanned_at = 0.0
        self._is_scanned = False
        self._scan: asyncio.Task[dict[Lane, list[int]]] | None = None

    async def look(self) -> View:
        """Everything as it is now.

        Raises:
            SourceUnavailable: the database cannot be had.
        """
        async with self._looking:
            now = self._clock()
            ledger = await self._continue(now)
            census = await self._take_census(ledger)
            if census.last_event < ledger.after:
                # Its ids have begun anew: another database, or a TRUNCATE.
                ledger = await self._begin(now)
                census = await self._take_census(ledger)
            ledger.note(census, now)
            self._looked_at = _monotonic()
            completed = {lane: ledger.completed_last_hour(lane) for lane in ledger.lanes}
            failed = ledger.failed if self._is_scanned else None
            return View(census, failed, {lane: n for lane, n in completed.items() if n})

    async def close(self) -> None:
        """Give up a scan that runs."""
        if self._scan is not None:
            self._scan.cancel()
            await asyncio.gather(self._scan, return_exceptions=True)

    async def _take_census(self, ledger: Ledger) -> Census:
        known, after = ledger.known_failed, ledger.after
        return await self._access.read(lambda connection: take_census(connection, known, after))

    async def _continue(self, now: datetime) -> Ledger:
        ledger = self._ledger
        if ledger is None or _monotonic() - self._looked_at > GAP_S:
            return await self._begin(now)
        if self._scan is None and _monotonic() - self._scanned_at > RESCAN_S:
            self._start_scan()
        self._take_over_scan(ledger)
        return ledger

    async def _begin(self, now: datetime) -> Ledger:
        """Go back an hour, and scan for failed jobs; a failed start leaves nothing behind."""
        await self.close()
        self._ledger, self._scan, self._is_scanned = None, None, False
        moments = now - LOOK_BACK, now - RECENT
        after, recent = await self._access.read(
            lambda connection: [find_last_event_before(connection, moment) for moment in moments]
        )
        ledger = Ledger(after, recent)
        # The scan begins later than the events that will be read: nothing falls in between.
        await asyncio.wait({self._start_scan()}, timeout=SCAN_PATIENCE_S)
        self._take_over_scan(ledger, is_needed=True)
        self._ledger = ledger
        return ledger

    def _start_scan(self) -> "asyncio.Task[dict[Lane, list[int]]]":
        scanning = self._access.read(
            lambda connection: scan_failed(connection, FAILED_LIMIT + 1), SCAN_TIMEOUT_S
        )
        self._scan = asyncio.create_task(scanning)
        return self._scan

    def _take_over_scan(self, ledger: Ledger, *, is_needed: bool = False) -> None:
        if self._scan is None or not self._scan.done():
            return
        scan, self._scan = self._scan, None
        try:
            ledger.add_failed(scan.result())
        except SourceUnavailable as error:
            if is_needed:
                raise
            log.warning("failed jobs could not be scanned: %s", error.message)
            return
        self._is_scanned, self._scanned_at = True, _monotonic()


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
