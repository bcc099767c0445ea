"""The verbs of the health room."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import InvalidRequest, NotFound
from quarterdeck.core.signals import Signal
from quarterdeck.core.text import is_storable
from quarterdeck.health.checks import CheckState
from quarterdeck.health.connectivity import ASK_AGAIN_S, Connectivity, Network
from quarterdeck.health.declared import DeclaredService
from quarterdeck.health.heartbeats import Heartbeats
from quarterdeck.health.history import History
from quarterdeck.health.keeper import Keeper, pause
from quarterdeck.health.kept import Note
from quarterdeck.health.model import Outcome, Reading, ServiceHealth, ServiceStatus, Snapshot
from quarterdeck.health.pushed import Pushed, Telemetry
from quarterdeck.health.rules import SILENT_INTERVALS
from quarterdeck.health.samples import Sample, Samples
from quarterdeck.health.scheduler import Scheduler, Turn
from quarterdeck.health.shown import health_of, signal_of
from quarterdeck.health.store import HealthStore
from quarterdeck.health.watch import ServiceWatch
from quarterdeck.health.windows import TelemetrySummary

log = logging.getLogger("quarterdeck.health")

SWEEP_S = 1.0
"""How often silence, pushed telemetry and expired notes are looked at."""
MAX_NOTE = 500
MAX_HOURS = 10 * 366 * 24


@dataclass(frozen=True, slots=True)
class HealthParts:
    """What the service stands on."""

    store: HealthStore
    heartbeats: Heartbeats
    samples: Samples
    telemetry: Telemetry
    connectivity: Connectivity
    clock: Clock = utc_now


@dataclass(frozen=True, slots=True)
class HealthChange:
    """A service is shown otherwise than before."""

    service: str
    at: datetime
    before: ServiceStatus
    status: ServiceStatus
    stale: bool
    reason: str | None


class HealthService:
    """Watches services; answers at once from what it knows. For the event loop only."""

    def __init__(self, services: Sequence[DeclaredService], parts: HealthParts) -> None:
        self._parts = parts
        self._clock = parts.clock
        now = parts.clock()
        self._services = services
        self._watches = {
            each.spec.name: ServiceWatch(
                each.spec, [(probe.kind, probe.probe.target) for probe in each.probes], now
            )
            for each in services
        }
        self._pushed = Pushed(parts.telemetry)
        self._network = Network(parts.connectivity)
        self._keeper = Keeper(parts.store, parts.heartbeats, self._watches, parts.clock)
        self._listeners: dict[Callable[[HealthChange], None], None] = {}
        self._shown: dict[str, tuple[int, ServiceHealth]] = {}
        self._snapshot: tuple[tuple[int, str | None], Snapshot] | None = None

    # Watching

    async def open(self) -> None:
        """Make the table of readings if the store of facts is there; else `run` does it later.

        Raises:
            ConfigError: the table was made by a newer program.
        """
        await self._parts.samples.rows.open()

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until `stop` is set, and keep what is known then."""
        await self._keeper.load(stop)
        ending = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keeper.run(ending))
            group.create_task(self._parts.samples.rows.run(ending))
            async with asyncio.TaskGroup() as watching:
                watching.create_task(Scheduler(self._turns()).run(stop))
                watching.create_task(self._sweep_again(stop))
                watching.create_task(self._mind_network(stop))
            ending.set()

    async def close(self) -> None:
        """Give the probes' connections back."""
        for service in self._services:
            for each in service.probes:
                try:
                    await each.probe.close()
                except Exception as error:  # noqa: BLE001 - one driver's trouble is not another's
                    log.warning("closing the %s ended with %s", each.kind, type(error).__name__)

    def subscribe(self, listener: Callable[[HealthChange], None]) -> Callable[[], None]:
        """Have `listener` called at each change, at once; gives what ends that."""
        self._listeners[listener] = None
        return lambda: self._listeners.pop(listener, None)

    def sweep(self) -> None:
        """Look at what no probe tells: silence, pushed telemetry, expired notes."""
        now, is_offline = self._clock(), self._network.is_offline
        for watch in self._watches.values():
            if not is_offline:
                self._take_pushed(watch, now)
            self._judge(watch, now)

    # Telling

    def snapshot(self) -> Snapshot:
        """All services as they are known; nothing is probed, nothing is waited for."""
        reason = self._network.offline_reason
        key = (sum(watch.version for watch in self._watches.values()), reason)
        if self._snapshot is None or self._snapshot[0] != key:
            services = tuple(self._health(watch) for watch in self._watches.values())
            built = Snapshot(self._clock(), services, reason is None, reason)
            self._snapshot = (key, built)
        return self._snapshot[1]

    async def signals(self) -> Sequence[Signal]:
        """For the alert rules; see `core.signals.Signals`. What is stale is unknown."""
        return [signal_of(watch, self._health(watch)) for watch in self._watches.values()]

    async def history(self, service: str, hours: float, now: datetime) -> History:
        """What a service was like in the hours before `now`.

        Raises:
            NotFound: there is no such service.
            InvalidRequest: that many hours cannot be shown.
            SourceUnavailable: the store of facts cannot be had.
        """
        self._watch(service)
        if not 0 < hours <= MAX_HOURS:
            raise InvalidRequest.of("hours", f"give a number up to {MAX_HOURS}.")
        return await self._parts.samples.history(service, now - timedelta(hours=hours), now)

    # Being told

    async def set_note(
        self, service: str, note: str, author: str, expires_at: datetime | None = None
    ) -> None:
        """Show a sentence as the service's reason, until it expires or is cleared.

        Raises:
            NotFound: there is no such service.
            InvalidRequest: it is empty, too long or cannot be stored.
            SourceUnavailable: it could not be stored.
        """
        watch, text = self._watch(service), note.strip()
        if not 0 < len(text) <= MAX_NOTE or not is_storable(text):
            raise InvalidRequest.of(
                "note", f"give 1 to {MAX_NOTE} characters, without NUL characters.", "body"
            )
        said = Note(service, text, author, self._clock(), expires_at)
        await self._parts.store.set_note(said)
        watch.annotate(said)

    async def clear_note(self, service: str) -> None:
        """Show the generated reason again; nothing happens if there was no note.

        Raises:
            NotFound: there is no such service.
            SourceUnavailable: it could not be removed.
        """
        watch = self._watch(service)
        await self._parts.store.clear_note(service)
        watch.annotate(None)

    async def heartbeat(self, name: str) -> datetime:
        """Note a heartbeat, durably; gives when it came. See `Heartbeats.record`."""
        return await self._parts.heartbeats.record(name)

    def _watch(self, name: str) -> ServiceWatch:
        watch = self._watches.get(name)
        if watch is None:
            raise NotFound(
                f"There is no service '{name}'. GET /infrastructure/health lists them all."
            )
        return watch

    def _health(self, watch: ServiceWatch) -> ServiceHealth:
        known = self._shown.get(watch.spec.name)
        if known is None or known[0] != watch.version:
            known = self._shown[watch.spec.name] = (watch.version, health_of(watch))
        return known[1]

    def _turns(self) -> list[Turn]:
        turns = []
        for service in self._services:
            spec, watch = service.spec, self._watches[service.spec.name]
            for each, check in zip(service.probes, watch.probes, strict=True):
                report = partial(self._take, watch, check)
                turns.append(Turn(spec.interval_s, spec.timeout_s, each.probe.check, report))
        return turns

    def _take(self, watch: ServiceWatch, check: CheckState, reading: Reading) -> None:
        """Take what a probe says; offline it says nothing of the service."""
        self._network.note(id(check), reading.outcome)
        if not self._network.is_offline:
            now = self._clock()
            watch.take(check, reading, now)
            self._judge(watch, now)
            self._note_sample(watch, now, check.kind, reading)

    def _take_pushed(self, watch: ServiceWatch, now: datetime) -> None:
        taken = self._pushed.take(watch, now)
        if taken is not None:
            self._judge(watch, now)
            self._note_sample(watch, now, watch.telemetry.kind, *taken)

    def _judge(self, watch: ServiceWatch, now: datetime) -> None:
        before = watch.verdict
        if watch.judge(now, is_offline=self._network.is_offline):
            self._keeper.mark(watch.spec.name, is_urgent=True)
            self._tell(watch, before.status, now)

    def _note_sample(
        self,
        watch: ServiceWatch,
        now: datetime,
        kind: str,
        reading: Reading,
        summary: TelemetrySummary | None = None,
    ) -> None:
        self._keeper.mark(watch.spec.name, is_urgent=False)
        verdict = watch.verdict
        status = verdict.status if verdict.is_judged else None
        valid_s = SILENT_INTERVALS * watch.spec.interval_s
        self._parts.samples.add(
            Sample(watch.spec.name, now, status, valid_s, kind, reading, summary)
        )

    def _tell(self, watch: ServiceWatch, before: ServiceStatus, now: datetime) -> None:
        verdict = watch.verdict
        change = HealthChange(
            watch.spec.name, now, before, verdict.status, verdict.stale, verdict.reason
        )
        for listener in list(self._listeners):
            try:
                listener(change)
            except Exception:  # one listener's fault must not stop the watching
                log.exception("a listener of health changes failed")

    async def _sweep_again(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self.sweep()
            await pause(stop, SWEEP_S)

    async def _mind_network(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            is_asked = self._network.is_suspect
            if await self._network.look():
                self._network_changed()
            await pause(stop, ASK_AGAIN_S if is_asked else SWEEP_S)

    def _network_changed(self) -> None:
        now, reason = self._clock(), self._network.offline_reason
        log.warning(reason or "This monitor has its network again.")
        for watch in self._watches.values():
            if reason is not None:
                # What failed while the network was going says nothing of the services.
                watch.forget_streaks()
            self._judge(watch, now)
            self._note_sample(watch, now, "monitor", Reading(Outcome.UNKNOWN))
