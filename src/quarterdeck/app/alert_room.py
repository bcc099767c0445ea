"""The alerts room, put together: rules, what they look at, and where notices go."""

from dataclasses import dataclass
from pathlib import Path

from quarterdeck.alerts.adapters import channel_factory
from quarterdeck.alerts.service import AlertOptions, AlertService
from quarterdeck.alerts.settings import build_channels, decode_rules
from quarterdeck.config import Settings
from quarterdeck.health.service import HealthService
from quarterdeck.logs.searches import SavedSearches
from quarterdeck.logs.service import LogService
from quarterdeck.logs.signals import LogSignals, LogWatch
from quarterdeck.queues.service import QueueService
from quarterdeck.queues.signals import QueueSignals
from quarterdeck.reputation.service import ReputationService
from quarterdeck.state import Database


@dataclass(frozen=True, slots=True)
class Watched:
    """What the rules look at."""

    queues: QueueService
    health: HealthService
    reputation: ReputationService
    logs: LogService
    searches: SavedSearches


def compose_alerts(settings: Settings, state: Database, watched: Watched) -> AlertService:
    """Put the room together; nothing is connected yet.

    Raises:
        ConfigError: naming the key and what was expected.
    """
    given = settings.alerts
    origin = Path(settings.origin) if settings.origin else None
    rules, watches = decode_rules(given.rules, origin)
    routes, outlets = build_channels(given.channels, channel_factory, origin)
    counted = [LogWatch(watch.search, watch.minutes) for watch in watches]
    alerts = AlertService(
        state,
        AlertOptions(
            rules=rules,
            providers={
                "queue": QueueSignals(watched.queues),
                "service": watched.health.signals,
                "ip": watched.reputation.signals,
                "log_search": LogSignals(watched.searches, watched.logs, counted),
            },
            routes=routes,
            outlets=outlets,
            interval_s=given.interval_s,
            escalate_after_s=given.escalate_after_s,
            retention_days=given.retention_days,
            console_url=given.console_url,
            heartbeat_url=given.heartbeat_url,
        ),
    )
    watched.health.subscribe(lambda _change: alerts.poke())
    watched.reputation.subscribe(alerts.poke)
    return alerts
