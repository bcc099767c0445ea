"""A room of alerts in tests: a clock to turn, signals to set, channels that note what they get."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from quarterdeck import alerts
from quarterdeck.alerts.dispatcher import Outlet
from quarterdeck.alerts.model import Notification, Operator, Rule, Severity, Transition
from quarterdeck.alerts.ports import Channel, DeliveryError
from quarterdeck.alerts.routing import Route
from quarterdeck.alerts.service import AlertOptions, AlertService
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.core.signals import Signal, Value
from quarterdeck.state import Database

ALERT_MIGRATIONS = Path(alerts.__path__[0]) / "migrations"
NOON = datetime(2025, 12, 4, 12, 0, tzinfo=UTC)

DEPTH = Rule(
    "queue_depth", "queue", "waiting", Operator.ABOVE, 10_000, Severity.ERROR,
    "Queue size exceeded {threshold} threshold: {value} jobs wait in {subject}",
)  # fmt: skip
DOWN = Rule(
    "service_down", "service", "status", Operator.IS, "down", Severity.ERROR,
    "{subject} is down: {reason}", group="service_status",
)  # fmt: skip
DEGRADED = Rule(
    "service_degraded", "service", "status", Operator.IS, "degraded", Severity.WARNING,
    "{subject} is degraded: {reason}", group="service_status",
)  # fmt: skip


class ManualClock:
    """A clock that stands until it is turned."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class RecordingChannel:
    """Notes what it is sent; can refuse, hang and fail."""

    def __init__(self) -> None:
        self.got: list[Notification] = []
        self.refusals: list[Exception] = []
        """Raised one by one, before anything is taken."""
        self.attempts = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.changed = asyncio.Condition()

    async def send(self, notification: Notification) -> None:
        self.attempts += 1
        await self._tell()
        await self.gate.wait()
        if self.refusals:
            raise self.refusals.pop(0)
        self.got.append(notification)
        await self._tell()

    async def close(self) -> None:
        self.gate.set()

    async def until(self, number: int) -> list[Notification]:
        """Wait until it has taken so many."""
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(lambda: len(self.got) >= number)
        return self.got

    async def until_tried(self, number: int) -> None:
        """Wait until it was tried so often."""
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(lambda: self.attempts >= number)

    @property
    def told(self) -> list[Transition]:
        return [each.transition for each in self.got]

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()


_: type[Channel] = RecordingChannel


@dataclass
class Source:
    """A room's signals, to be set by the test."""

    name: str
    clock: ManualClock
    values: dict[str, Mapping[str, Value]] = field(default_factory=dict)
    depends_on: dict[str, Sequence[str]] = field(default_factory=dict)
    is_away: bool = False

    async def __call__(self) -> Sequence[Signal]:
        if self.is_away:
            raise SourceUnavailable(self.name, "it is away")
        return [
            Signal(
                self.name, subject, self.clock.now, values,
                depends_on=self.depends_on.get(subject, ()), details={"reason": "no answer"},
            )
            for subject, values in self.values.items()
        ]  # fmt: skip


class World:
    """A service with a clock, two sources and channels."""

    def __init__(
        self,
        database: Database,
        routes: Sequence[Route] = (Route("ops"),),
        rules: Sequence[Rule] = (DEPTH, DOWN, DEGRADED),
        clock: ManualClock | None = None,
    ) -> None:
        self.database = database
        self.clock = clock or ManualClock()
        self.routes = routes
        self.rules = rules
        self.channels = {route.channel: RecordingChannel() for route in routes}
        self.queues = Source("queue", self.clock)
        self.services = Source("service", self.clock)
        self.resend_s: float | None = None
        self.service = self.build()

    def build(self) -> AlertService:
        """Another server with the same sources and channels."""
        outlets = {
            name: Outlet(channel, resend_s=self.resend_s) for name, channel in self.channels.items()
        }
        options = AlertOptions(
            self.rules,
            {"queue": self.queues, "service": self.services},
            self.routes,
            outlets,
            console_url="https://ops.example.org",
        )
        return AlertService(self.database, options, self.clock)

    @property
    def ops(self) -> RecordingChannel:
        return self.channels["ops"]

    def waiting(self, number: float | None, queue: str = "email") -> None:
        """Set how many jobs wait."""
        self.queues.values[queue] = {"waiting": number}

    def status(self, service: str, status: str | None) -> None:
        """Set what a service is."""
        self.services.values[service] = {"status": status}

    async def look(self, seconds: float = 0, every: float = 15) -> None:
        """Let time pass with a look at each interval; without time, look once."""
        if not seconds:
            await self.service.evaluate()
        end = self.clock.now + timedelta(seconds=seconds)
        while self.clock.now < end:
            self.clock.advance(min(every, (end - self.clock.now).total_seconds()))
            await self.service.evaluate()

    @asynccontextmanager
    async def sending(self, service: AlertService | None = None) -> AsyncIterator[None]:
        """Run the dispatcher; all that is due is sent by the end of the block."""
        dispatcher = (service or self.service)._dispatcher
        stop = asyncio.Event()
        task = asyncio.create_task(dispatcher.run(stop))
        try:
            yield
        finally:
            stop.set()
            await task

    async def send(self) -> None:
        """Send all that is due now."""
        for lane in self.service._dispatcher._lanes.values():
            while await lane._turn() == 0.0:
                await asyncio.gather(*lane._sending)


def refusal(permanent: bool = False, after: float | None = None) -> DeliveryError:
    return DeliveryError("the receiver refused", is_permanent=permanent, retry_after_s=after)
