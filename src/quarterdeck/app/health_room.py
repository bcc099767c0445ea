"""The health room, put together: probes, telemetry, and what is kept of both."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from quarterdeck.config import Settings
from quarterdeck.core.clock import utc_now
from quarterdeck.facts import Facts
from quarterdeck.health.adapters import probe_factory
from quarterdeck.health.connectivity import Connectivity
from quarterdeck.health.declared import Registry, declare
from quarterdeck.health.heartbeats import Heartbeats
from quarterdeck.health.otlp_metrics import MetricsIntake
from quarterdeck.health.ports import QueueBacklog, Toolbox
from quarterdeck.health.samples import Samples
from quarterdeck.health.service import HealthParts, HealthService
from quarterdeck.health.store import HealthStore
from quarterdeck.health.telemetry import OWN_NAME, SelfTelemetry
from quarterdeck.health.windows import TelemetrySummary, Windows
from quarterdeck.net.guard import Guard
from quarterdeck.queues.service import QueueService
from quarterdeck.state import Database


@dataclass(frozen=True, slots=True)
class HealthRoom:
    """What the rest of the server needs of it."""

    service: HealthService
    metrics: MetricsIntake
    own: SelfTelemetry


@dataclass(frozen=True, slots=True)
class _Telemetry:
    """The windows, with our own requests in them up to now."""

    windows: Windows
    own: SelfTelemetry

    def summary(self, service_names: Sequence[str], now: datetime) -> TelemetrySummary | None:
        """See `health.pushed.Telemetry`."""
        if OWN_NAME in service_names:
            self.own.flush()
        return self.windows.summary(service_names, now)


def compose_health(
    settings: Settings, facts: Facts, state: Database, queues: QueueService
) -> HealthRoom:
    """Put the room together; nothing is connected yet.

    Raises:
        ConfigError: naming the key and what was expected.
    """
    given = settings.health
    store = HealthStore(state)
    heartbeats = Heartbeats(store)
    guard = Guard.of(given.deny, where="health.deny")

    async def backlog(name: str, source: str | None) -> QueueBacklog:
        stats = (await queues.get_queue(name, source)).stats
        return QueueBacklog(stats.waiting, stats.paused)

    def toolbox(timeout_s: float) -> Toolbox:
        return Toolbox(timeout_s, guard, utc_now, backlog, heartbeats.last)

    services = declare(
        given.services,
        Registry(probe_factory, toolbox),
        settings.origin,
        watch_self=given.watch_self,
    )
    windows = Windows()
    own = SelfTelemetry(windows)
    parts = HealthParts(
        store=store,
        heartbeats=heartbeats,
        samples=Samples(facts, given.retention_days, settings.facts.cluster),
        telemetry=_Telemetry(windows, own),
        connectivity=Connectivity(given.connectivity, guard.connect),
    )
    return HealthRoom(HealthService(services, parts), MetricsIntake(windows, utc_now), own)
