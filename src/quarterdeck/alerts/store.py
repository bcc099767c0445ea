"""The room's SQL of alerts: a pass reads all it needs and stores all that follows, in one
transaction, its notices among it.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import Connection, bindparam, delete, func, insert, or_, select, update

from quarterdeck.alerts.advance import Known, Look, Outcome, Policy, advance
from quarterdeck.alerts.lifecycle import REOPEN_WITHIN
from quarterdeck.alerts.model import Alert, AlertState, Severity
from quarterdeck.alerts.record import Record
from quarterdeck.alerts.rows import (
    alert_of,
    notice_values,
    record_of,
    record_values,
    silence_of,
    snapshot,
)
from quarterdeck.alerts.tables import alert_events, alert_notices, alert_silences, alerts
from quarterdeck.alerts.telling import Told
from quarterdeck.alerts.turns import take_turn
from quarterdeck.core.text import is_storable
from quarterdeck.state import Database

T = TypeVar("T")

AT_ONCE = 500
"""Values in one condition; SQLite takes a limited number."""

_IS_OPEN = alerts.c.resolved_at.is_(None)


class AlertStore:
    """Alerts in one database. Any number of servers may use it at once.

    Every method raises `SourceUnavailable` when the database cannot be had.
    """

    def __init__(self, database: Database, policy: Policy) -> None:
        self._database = database
        self._policy = policy
        self._listeners: list[Callable[[], None]] = []

    def on_commit(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Have `listener` called after each change; gives what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def advance(self, look: Look, now: datetime) -> Outcome:
        """Store everything that follows from a look, and from the time that has passed."""
        if not any(each.holds for each in look.observations):
            # Most looks find nothing, and one that changes nothing need not stand in line.
            known = await self._database.read(lambda c: _known(c, look, now))
            if not known.open and not known.ended:
                return Outcome()

        def change(connection: Connection) -> Outcome:
            outcome = advance(_known(connection, look, now), look, self._policy, now)
            _store(connection, outcome, now)
            return outcome

        return await self.write(change)

    async def tell(
        self, alert_id: str, told: Callable[[Record], Told], now: datetime
    ) -> Alert | None:
        """Store what somebody did with an alert; None: there is no such alert."""

        def change(connection: Connection) -> Alert | None:
            row = connection.execute(select(alerts).where(alerts.c.id == alert_id)).one_or_none()
            if row is None:
                return None
            before = record_of(row)
            done = told(before)
            outcome = Outcome(notices=list(done.notices))
            if done.record != before:
                outcome.changed = [done.record]
                outcome.events = [done.record.alert]
            _store(connection, outcome, now)
            return done.record.alert

        return await self.write(change) if is_storable(alert_id) else None

    async def write(self, change: Callable[[Connection], T]) -> T:
        """Run a change that no pass runs beside, and tell the listeners."""

        def alone(connection: Connection) -> T:
            take_turn(connection)
            return change(connection)

        result = await self._database.write(alone)
        for listener in list(self._listeners):
            listener()
        return result

    async def find(self, alert_id: str) -> Alert | None:
        """One alert; None: there is none of this id."""
        if not is_storable(alert_id):
            return None
        query = select(alerts).where(alerts.c.id == alert_id)
        row = await self._database.read(lambda c: c.execute(query).one_or_none())
        return alert_of(row) if row is not None else None

    async def list_since(self, since: datetime, severity: Severity | None) -> list[Alert]:
        """Alerts that were firing at some time since, newest first."""
        query = (
            select(alerts)
            .where(
                alerts.c.state != AlertState.PENDING.value,
                or_(_IS_OPEN, alerts.c.resolved_at >= since),
            )
            .order_by(alerts.c.fired_at.desc(), alerts.c.id.desc())
        )
        if severity is not None:
            query = query.where(alerts.c.severity == severity.value)
        rows = await self._database.read(lambda c: c.execute(query).all())
        return [alert_of(row) for row in rows]

    async def count_open(self) -> dict[AlertState, int]:
        """How many are pending, and how many fire."""
        query = select(alerts.c.state, func.count()).where(_IS_OPEN).group_by(alerts.c.state)
        rows = await self._database.read(lambda c: c.execute(query).all())
        return {AlertState(state): number for state, number in rows}


def _known(connection: Connection, look: Look, now: datetime) -> Known:
    opened = [record_of(row) for row in connection.execute(select(alerts).where(_IS_OPEN))]
    flapping = select(alerts).where(alerts.c.is_flapping, alerts.c.resolved_at.is_not(None))
    ended = {row.id: record_of(row) for row in connection.execute(flapping)}
    firing = {each.alert.fingerprint for each in opened if each.is_firing}
    holding = [each for each in look.observations if each.holds and each.fingerprint not in firing]
    longest_s = max((f.for_s for each in holding for f in each.findings), default=0.0)
    # One that is pending may have begun so long ago; what it began after is decided elsewhere.
    since = now - REOPEN_WITHIN - timedelta(seconds=min(2 * longest_s, 86_400.0))
    wanted = [each.fingerprint for each in holding]
    for start in range(0, len(wanted), AT_ONCE):
        recent = select(alerts).where(
            alerts.c.resolved_at >= since, alerts.c.fingerprint.in_(wanted[start : start + AT_ONCE])
        )
        ended |= {row.id: record_of(row) for row in connection.execute(recent)}
    current = (
        select(alert_silences)
        .where(alert_silences.c.ends_at > now)
        .order_by(alert_silences.c.created_at, alert_silences.c.id)
    )
    silences = [silence_of(row) for row in connection.execute(current)]
    return Known(opened, list(ended.values()), silences)


_UPDATE = (
    update(alerts)
    .where(alerts.c.id == bindparam("of_id"))
    .values({each.name: bindparam(f"new_{each.name}") for each in alerts.c if each.name != "id"})
)


def _store(connection: Connection, outcome: Outcome, now: datetime) -> None:
    if outcome.gone:
        connection.execute(delete(alerts).where(alerts.c.id == bindparam("of_id")), _ids(outcome))
    if outcome.changed:
        connection.execute(_UPDATE, [_update_values(each) for each in outcome.changed])
    if outcome.added:
        connection.execute(insert(alerts), [record_values(each) for each in outcome.added])
    notices = [row for notice in outcome.notices for row in notice_values(notice)]
    if notices:
        connection.execute(insert(alert_notices), notices)
    if outcome.events:
        events: Sequence[dict[str, object]] = [
            {"at": now, "alert": snapshot(alert)} for alert in outcome.events
        ]
        connection.execute(insert(alert_events), events)


def _ids(outcome: Outcome) -> list[dict[str, str]]:
    return [{"of_id": alert_id} for alert_id in outcome.gone]


def _update_values(record: Record) -> dict[str, object]:
    values = record_values(record)
    return {"of_id": values.pop("id")} | {f"new_{name}": each for name, each in values.items()}
