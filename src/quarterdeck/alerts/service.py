"""The verbs of the alerts room."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import quote

from quarterdeck.alerts.advance import Look, Policy
from quarterdeck.alerts.dispatcher import Dispatcher, Outlet
from quarterdeck.alerts.evaluator import Evaluation, Evaluator
from quarterdeck.alerts.external import ExternalAlert
from quarterdeck.alerts.foreign import observe_external
from quarterdeck.alerts.life_sign import LifeSign
from quarterdeck.alerts.lifecycle import Limits
from quarterdeck.alerts.model import Alert, AlertState, Matcher, Rule, Severity, Silence
from quarterdeck.alerts.outbox import DeadLetter, Link, Outbox
from quarterdeck.alerts.record import Record
from quarterdeck.alerts.routing import Route, Routing
from quarterdeck.alerts.silences import Silences, new_silence
from quarterdeck.alerts.store import AlertStore
from quarterdeck.alerts.stream import EventStream
from quarterdeck.alerts.telling import Told, acknowledge, unacknowledge
from quarterdeck.alerts.trial import TrialOutcome, try_channels
from quarterdeck.alerts.upkeep import Upkeep
from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import Conflict, InvalidRequest, NotFound
from quarterdeck.core.pagination import Page
from quarterdeck.core.signals import Signals
from quarterdeck.core.text import storable
from quarterdeck.net.outgoing import PostClient
from quarterdeck.state import Database

GAPS = 3
"""Intervals without a look after which the time between does not count."""


@dataclass(frozen=True, slots=True)
class AlertOptions:
    """What is evaluated, and who is told."""

    rules: Sequence[Rule]
    providers: Mapping[str, Signals]
    """By the `source` of their signals."""
    routes: Sequence[Route] = ()
    outlets: Mapping[str, Outlet] = field(default_factory=dict)
    """By channel name; each route has one."""
    interval_s: float = 15.0
    escalate_after_s: float = 600.0
    retention_days: int = 90
    console_url: str = ""
    """Public address of this server; empty: notices have no link."""
    heartbeat_url: str = ""
    """Who is told every minute that the alerts are looked after; empty: nobody."""


@dataclass(frozen=True, slots=True)
class AlertStats:
    """How the room is doing."""

    pending: int
    firing: int
    waiting_notices: int
    """Not delivered yet, and not given up."""
    oldest_notice_at: datetime | None
    """Since when the oldest of these waits."""
    dead_letters: int
    last_evaluation: Evaluation
    lag_s: float | None
    """Since the last evaluation; None: there was none yet."""


class AlertService:
    """Knows what is wrong, and tells people so.

    Every method raises `SourceUnavailable` when the database cannot be had.
    """

    def __init__(self, database: Database, options: AlertOptions, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._routing = Routing(options.routes, options.escalate_after_s)
        limits = Limits(longest_gap_s=GAPS * options.interval_s)
        self._store = AlertStore(database, Policy(self._routing, limits))
        self._silences = Silences(database)
        self._outbox = Outbox(database, _linker(options.console_url))
        self._dispatcher = Dispatcher(self._outbox, options.outlets, clock)
        self._store.on_commit(self._dispatcher.wake)
        self._stream = EventStream(database, self._store.on_commit)
        self._evaluator = Evaluator(
            self._store, options.rules, options.providers, options.interval_s, clock
        )
        self._upkeep = Upkeep(database, self._dispatcher, options.retention_days, clock)
        self._life_sign = self._life_sign_of(options) if options.heartbeat_url else None

    async def run(self, stop: asyncio.Event) -> None:
        """Evaluate and send until `stop` is set; what is being sent by then is finished."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._evaluator.run(stop))
            group.create_task(self._dispatcher.run(stop))
            group.create_task(self._upkeep.run(stop))
            if self._life_sign is not None:
                group.create_task(self._life_sign.run(stop))

    async def close(self) -> None:
        """Give the connections back; after `run`."""
        await self._dispatcher.close()
        if self._life_sign is not None:
            await self._life_sign.close()

    def poke(self) -> None:
        """Evaluate at once: a room says that something has changed."""
        self._evaluator.poke()

    async def evaluate(self) -> None:
        """Look at all signals once, now."""
        await self._evaluator.evaluate()

    async def take_external(self, alerts: Sequence[ExternalAlert]) -> None:
        """Open, update and resolve alerts that somebody else found; durable on return."""
        now = self._clock()
        await self._store.advance(Look(observe_external(alerts, now)), now)

    # Alerts

    async def list_alerts(
        self, hours: int, severity: Severity | None, now: datetime
    ) -> list[Alert]:
        """Alerts that were firing at some time in the last hours, newest first."""
        return await self._store.list_since(now - timedelta(hours=hours), severity)

    async def get(self, alert_id: str) -> Alert:
        """One alert.

        Raises:
            NotFound: there is none of this id.
        """
        return _known(await self._store.find(alert_id))

    async def acknowledge(self, alert_id: str, who: str, note: str, now: datetime) -> Alert:
        """Note that somebody looks after it: it is escalated no further.

        Raises:
            NotFound: there is none of this id.
            Conflict: it does not fire.
        """
        text = storable(note.strip())
        return await self._do(alert_id, lambda r: acknowledge(_firing(r), who, text, now), now)

    async def unacknowledge(self, alert_id: str, who: str, now: datetime) -> Alert:
        """Note that nobody looks after it any more; `who` says so.

        Raises:
            NotFound: there is none of this id.
            Conflict: it does not fire.
        """
        routing = self._routing
        return await self._do(alert_id, lambda r: unacknowledge(_firing(r), routing, now), now)

    # Silences

    async def create_silence(
        self,
        matchers: Sequence[Matcher],
        *,
        author: str,
        comment: str,
        ends_at: datetime,
        starts_at: datetime | None,
        now: datetime,
    ) -> Silence:
        """Withhold notices of what matches; `starts_at` None: from now on.

        Raises:
            InvalidRequest: it would match nothing or everything, or its times are wrong.
        """
        silence = new_silence(matchers, author, comment, starts_at, ends_at, now)
        await self._silences.create(silence)
        await self._store.advance(Look(), now)
        return silence

    async def list_silences(
        self, limit: int, offset: int, *, is_active: bool | None, now: datetime
    ) -> Page[Silence]:
        """One page, those that end last first; `is_active` None: all of them."""
        return await self._silences.list_page(limit, offset, is_active, now)

    async def end_silence(self, silence_id: str, who: str, now: datetime) -> None:
        """End one now, as `who` wants: what still fires is told.

        Raises:
            NotFound: there is none of this id.
        """
        await self._silences.end(silence_id, now)
        await self._store.advance(Look(), now)

    # Channels

    async def send_test(self, channel: str | None, who: str) -> list[TrialOutcome]:
        """Send a test notice to one channel or all, and wait for what becomes of it.

        Raises:
            InvalidRequest: there is no such channel.
        """
        names = list(self._dispatcher.outlets)
        if channel is not None and channel not in names:
            known = ", ".join(names) or "none"
            raise InvalidRequest.of(
                "channel", f"there is no such channel; configured are: {known}.", "body"
            )
        wanted = names if channel is None else [channel]
        now = self._clock()
        return await try_channels(self._outbox, self._dispatcher, wanted, who, now)

    async def dead_letters(self) -> list[DeadLetter]:
        """Notices that were given up, newest first."""
        return await self._outbox.dead_letters()

    # Following

    async def last_event_id(self) -> int:
        """Of the newest change; 0 when there was none yet."""
        return await self._stream.last_id()

    def follow(self, after: int) -> AsyncIterator[list[tuple[int, Alert]]]:
        """Changes after an event; see `EventStream.follow`."""
        return self._stream.follow(after)

    def end_following(self) -> None:
        """End every `follow`: the server is about to stop, and none would end by itself."""
        self._stream.end()

    async def stats(self) -> AlertStats:
        """How the room is doing."""
        opened = await self._store.count_open()
        waiting, oldest = await self._outbox.count_waiting()
        last = self._evaluator.last
        return AlertStats(
            pending=opened.get(AlertState.PENDING, 0),
            firing=opened.get(AlertState.FIRING, 0),
            waiting_notices=waiting,
            oldest_notice_at=oldest,
            dead_letters=await self._outbox.count_dead(),
            last_evaluation=last,
            lag_s=(self._clock() - last.at).total_seconds() if last.at else None,
        )

    def _life_sign_of(self, options: AlertOptions) -> LifeSign:
        client = PostClient(options.heartbeat_url, "alerts.heartbeat_url")
        evaluator, gap_s = self._evaluator, GAPS * options.interval_s
        return LifeSign(client, lambda: evaluator.last.at, gap_s, self._clock)

    async def _do(self, alert_id: str, told: Callable[[Record], Told], now: datetime) -> Alert:
        return _known(await self._store.tell(alert_id, told, now))


def _known(alert: Alert | None) -> Alert:
    if alert is None:
        raise NotFound("There is no such alert. It may be older than the retention.")
    return alert


def _firing(record: Record) -> Record:
    if not record.is_firing:
        raise Conflict("The alert does not fire; only one that does can be looked after.")
    return record


def _linker(console_url: str) -> Link:
    root = console_url.rstrip("/")
    return lambda alert_id: f"{root}/console/alerts/{quote(alert_id, safe='')}" if root else None
