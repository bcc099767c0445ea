"""Rounds of look-ups: when they are made, by whom, and what follows from them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.reputation.judging import Judgement
from quarterdeck.reputation.model import Address, CheckReport, SendingAddress
from quarterdeck.reputation.ports import Looker
from quarterdeck.reputation.store import ReputationStore
from quarterdeck.work.worker import JobContext

log = logging.getLogger("quarterdeck.reputation")

LOOK_S = 15.0
"""How often to see whether a round is due."""
HELD_S = 120.0
"""How long a round may be silent before another may take its place."""
BATCH = 200
"""Addresses that are looked up together; a round tells after each that it is alive."""
TIDY_S = 3600.0
UNNAMED = timedelta(days=1)
"""An address that no server has asked about for so long, and that is not ours, is forgotten."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often, and how long what has ended is kept."""

    interval: timedelta
    retention: timedelta


class Rounds:
    """Makes rounds. Of several servers one does each, and never two at once."""

    def __init__(
        self,
        store: ReputationStore,
        looker: Looker,
        pace: Pace,
        clock: Clock,
        addresses: Callable[[], Awaitable[Sequence[SendingAddress]]],
        finished: Callable[[Sequence[SendingAddress], datetime], Awaitable[None]],
    ) -> None:
        self._store = store
        self._looker = looker
        self._pace = pace
        self._clock = clock
        self._addresses = addresses
        self._finished = finished
        self._checks: dict[Address, asyncio.Task[None]] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """See that rounds are queued when they are due, until `stop` is set."""
        tidy_at, clock = 0.0, asyncio.get_running_loop().time
        is_first = True
        while not stop.is_set():
            try:
                await self._start(is_first)
                is_first = False
                if clock() >= tidy_at:
                    await self._tidy()
                    tidy_at = clock() + TIDY_S
            except SourceUnavailable as error:
                log.warning("rounds of look-ups wait: %s", error.message)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await stop.wait()
        await asyncio.gather(*self._checks.values(), return_exceptions=True)

    async def check(self, address: SendingAddress) -> None:
        """Make a round about one address; whoever asks meanwhile waits for the same one."""
        running = self._checks.get(address.address)
        if running is None:
            running = asyncio.create_task(self.make([address], is_whole=False))
            self._checks[address.address] = running
            running.add_done_callback(lambda _: self._checks.pop(address.address))
        # Whoever asked first may hang up; the others still want to know.
        await asyncio.shield(running)

    async def run_job(self, context: JobContext) -> None:
        """A round about all addresses, or a re-check of those that the job names."""
        job = context.job
        wanted = job.payload.get("addresses")
        addresses = await self._addresses()
        if wanted is not None:
            some = [each for each in addresses if str(each.address) in wanted]
            await self.make(some, is_whole=False)
            return
        if not await self._hold(job.id):
            log.info("a round of look-ups is under way already; this one is not needed")
            return
        try:
            await context.progress(total=len(addresses))
            await self.make(addresses, is_whole=True, holder=job.id)
            await context.progress(total=len(addresses), done=len(addresses))
        finally:
            await self._store.let_go(job.id)

    async def make(
        self, addresses: Sequence[SendingAddress], *, is_whole: bool, holder: str | None = None
    ) -> None:
        """Look addresses up, and store what follows from what is found."""
        now = self._clock()
        report: CheckReport | None = None
        for at in range(0, len(addresses), BATCH):
            part = await self._looker.check(addresses[at : at + BATCH], now)
            report = part if report is None else report.joined(part)
            if holder is not None:
                await self._hold(holder)
        if report is None:
            return
        judged = await self._store.settle(addresses, report, self._looker.lists, is_whole=is_whole)
        _tell(judged)
        for zone in report.zones:
            if not zone.is_healthy:
                log.warning("the list '%s' cannot be used: %s", zone.list_id, zone.problem)
        await self._finished(addresses, now)

    async def _start(self, is_first: bool) -> None:
        """Queue what is due; after a start also addresses that are new in the settings."""
        addresses, now = await self._addresses(), self._clock()
        if not addresses:
            return
        is_started = await self._store.start_round(now, self._pace.interval)
        if is_first and not is_started:
            await self._store.start_first_checks(addresses, now)

    async def _tidy(self) -> None:
        now = self._clock()
        await self._store.forget_past(now - self._pace.retention)
        await self._store.forget_others(await self._addresses(), now - UNNAMED)

    async def _hold(self, holder: str) -> bool:
        now = self._clock()
        return await self._store.hold(holder, now, now + timedelta(seconds=HELD_S))


def _tell(judged: Judgement) -> None:
    for change in judged.changes:
        listing = change.after or change.before
        assert listing is not None  # noqa: S101 - one of both is there
        what = "is listed on" if change.after else "is no longer listed on"
        log.warning("%s %s %s", change.address, what, listing.list_id)
