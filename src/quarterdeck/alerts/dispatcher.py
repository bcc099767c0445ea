"""Sends what is in the outbox. A loop for each channel: a slow one delays only itself."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from quarterdeck.alerts.model import Transition
from quarterdeck.alerts.outbox import Claim, Failure, Outbox
from quarterdeck.alerts.ports import Channel, DeliveryError
from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import SourceUnavailable

log = logging.getLogger("quarterdeck.alerts")

BACKOFF_S = (10.0, 60.0, 300.0, 900.0, 3600.0, 86_400.0)
"""After each failed attempt: the platform's steps, and one of ten seconds before them."""

AT_ONCE = 8
"""Notices of different alerts that a channel sends at the same time."""

GRACE_S = 5.0
"""A channel ends by its own timeout; one that does not is cut off after this."""

LEASE_MARGIN_S = 30.0
POLL_S = 5.0
"""How often to look for notices of other servers, and for leases of dead ones."""

AGAIN_S = 1.0
"""Before the database is asked again that could not be had."""

TRIES = 5


@dataclass(frozen=True, slots=True)
class Outlet:
    """A channel, and how it wants to be used."""

    channel: Channel
    timeout_s: float = 10.0
    resend_s: float | None = None
    """Its receiver forgets what it is not told so often; None: it does not."""


class Dispatcher:
    """Sends at least once, and in order for each alert and channel."""

    def __init__(
        self, outbox: Outbox, outlets: Mapping[str, Outlet], clock: Clock = utc_now
    ) -> None:
        self._outbox = outbox
        self._lanes = {name: _Lane(name, each, outbox, clock) for name, each in outlets.items()}

    @property
    def outlets(self) -> Mapping[str, Outlet]:
        """By name of the channel."""
        return {name: lane.outlet for name, lane in self._lanes.items()}

    def on_settled(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Have `listener` called after each attempt; gives what ends that."""
        for lane in self._lanes.values():
            lane.listeners.append(listener)

        def forget() -> None:
            for lane in self._lanes.values():
                lane.listeners.remove(listener)

        return forget

    def wake(self) -> None:
        """Look at once: something was put into the outbox."""
        for lane in self._lanes.values():
            lane.awake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Send, until `stop` is set; what is being sent by then is finished."""
        ending = asyncio.create_task(stop.wait())
        ending.add_done_callback(lambda _: self.wake())
        try:
            async with asyncio.TaskGroup() as group:
                for lane in self._lanes.values():
                    group.create_task(lane.run(stop))
        finally:
            ending.cancel()

    async def close(self) -> None:
        """Give all connections back."""
        for lane in self._lanes.values():
            await lane.outlet.channel.close()


class _Lane:
    """One channel's way out of the outbox."""

    def __init__(self, name: str, outlet: Outlet, outbox: Outbox, clock: Clock) -> None:
        self.outlet = outlet
        self.awake = asyncio.Event()
        self.listeners: list[Callable[[], None]] = []
        self._name = name
        self._outbox = outbox
        self._clock = clock
        self._lease_s = outlet.timeout_s + GRACE_S + LEASE_MARGIN_S
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        try:
            while not stop.is_set():
                self.awake.clear()
                try:
                    wait_s = await self._turn()
                except SourceUnavailable as error:
                    log.warning("notices of '%s' wait: %s", self._name, error.message)
                    wait_s = AGAIN_S
                if wait_s > 0:
                    await self._rest(wait_s)
            await asyncio.gather(*self._sending)
        finally:
            for task in self._sending:
                task.cancel()

    async def _turn(self) -> float:
        """Begin to send what is due; gives how long nothing else will be."""
        free = AT_ONCE - len(self._sending)
        now = self._clock()
        if not free:
            return POLL_S
        if self.outlet.resend_s is not None:
            await self._outbox.repeat(
                self._name, now - timedelta(seconds=self.outlet.resend_s), now
            )
        claims = await self._outbox.claim(self._name, now, self._lease_s, free)
        for claim in claims:
            task = asyncio.create_task(self._send(claim))
            self._sending.add(task)
            task.add_done_callback(self._done)
        if claims:
            return 0.0
        due_at = await self._outbox.next_due(self._name)
        if due_at is None:
            return POLL_S
        return min(max((due_at - self._clock()).total_seconds(), 0.01), POLL_S)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self.awake.set()

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.awake.wait()
        except TimeoutError:
            return

    async def _send(self, claim: Claim) -> None:
        failure = await self._attempt(claim)
        for _ in range(TRIES):
            try:
                if failure is None:
                    await self._outbox.deliver(claim, self._clock())
                else:
                    await self._outbox.fail(claim, failure, self._clock())
                break
            except SourceUnavailable as error:
                # Until it is noted the notice counts as not sent; after the lease it is sent again.
                log.warning("what became of a notice cannot be noted: %s", error.message)
                await asyncio.sleep(AGAIN_S)
        for listener in list(self.listeners):
            listener()

    async def _attempt(self, claim: Claim) -> Failure | None:
        limit_s = self.outlet.timeout_s + GRACE_S
        try:
            async with asyncio.timeout(limit_s):
                await self.outlet.channel.send(claim.notification)
        except DeliveryError as error:
            if error.is_permanent:
                log.warning("notice %s was refused: %s", claim.notification.id, error.message)
                return Failure(error.message, False, None)
            # It may have arrived, and only the answer was lost.
            return self._failure(claim, error.message, error.retry_after_s or 0.0)
        except TimeoutError:
            text = f"The channel did not end within {limit_s:g} s; is its receiver reachable?"
            return self._failure(claim, text)
        except Exception as error:  # whatever it is, the other notices must go on
            log.exception("the channel '%s' failed in a way it should not", self._name)
            text = f"The channel failed unexpectedly ({type(error).__name__}); see the log."
            return self._failure(claim, text)
        return None

    def _failure(self, claim: Claim, text: str, at_least_s: float = 0.0) -> Failure:
        log.warning("notice %s was not delivered: %s", claim.notification.id, text)
        return Failure(text, True, self._retry_at(claim, at_least_s))

    def _retry_at(self, claim: Claim, at_least_s: float) -> datetime | None:
        is_test = claim.notification.transition is Transition.TEST
        if is_test or claim.attempt > len(BACKOFF_S):
            return None
        wait_s = max(BACKOFF_S[claim.attempt - 1], at_least_s)
        return self._clock() + timedelta(seconds=wait_s)
