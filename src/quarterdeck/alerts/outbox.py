"""Notices on their way: claimed with a lease, sent at least once, in order for alert and channel.

A notice waits, is being sent, and ends as `delivered`, as `dead` (given up, and kept to be seen) or
as `dropped` (nobody needs it: the end of an alert that the channel was never told of).
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from quarterdeck.alerts.model import Notification, Transition
from quarterdeck.alerts.repeating import FOLLOW_UPS, repeat, repeatable
from quarterdeck.alerts.rows import AnyRow, notice_values, notification_of
from quarterdeck.alerts.tables import alert_notices
from quarterdeck.alerts.telling import Notice
from quarterdeck.state import Database

Link = Callable[[str], str | None]
"""The console's address of an alert, by id; None without a public address."""

ORPHANED_AFTER = timedelta(hours=1)
"""Servers with newer settings may have a channel that this one does not know."""

_n = alert_notices.c
# Written out, not bound: only then may a partial index serve.
_IS_WAITING = _n.state == literal_column("'waiting'")
_IS_SENDING = _n.state == literal_column("'sending'")
_IS_OPEN = _n.state.in_([literal_column("'waiting'"), literal_column("'sending'")])
_earlier = alert_notices.alias("earlier")
_IS_FIRST = ~exists().where(
    _earlier.c.alert_id == _n.alert_id,
    _earlier.c.channel == _n.channel,
    _earlier.c.sequence < _n.sequence,
    _earlier.c.state.in_(["waiting", "sending"]),
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A notice that is ours to send until the lease ends."""

    notification: Notification
    channel: str
    attempt: int
    """From 1 on."""
    token: str
    """Of this claim; who has another one has lost it."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A notice that was given up."""

    id: str
    alert_id: str
    channel: str
    transition: str
    attempts: int
    error: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Failure:
    """How an attempt ended that did not deliver."""

    error: str
    is_uncertain: bool
    """The receiver may have it all the same: it was cut off, or nobody knows."""
    retry_at: datetime | None
    """None: it is given up."""


class Outbox:
    """Any number of servers may send from it at once.

    Every method raises `SourceUnavailable` when the database cannot be had.
    """

    def __init__(self, database: Database, link: Link = lambda _: None) -> None:
        self._database = database
        self._link = link

    async def add(self, notice: Notice) -> list[str]:
        """Put a notice in that belongs to no stored alert; gives ids in the order of channels."""
        rows = notice_values(notice)
        await self._database.write(lambda c: c.execute(insert(alert_notices), rows).rowcount)
        return [str(row["id"]) for row in rows]

    async def claim(
        self, channel: str, now: datetime, lease_s: float, limit: int
    ) -> Sequence[Claim]:
        """Take up to `limit` notices that are due, at most one of an alert."""
        is_due = _due(channel, now).limit(1)
        # One writer at a time on SQLite: look before standing in line.
        if await self._database.read(lambda c: c.execute(is_due).first()) is None:
            return ()
        until = now + timedelta(seconds=lease_s)
        return await self._database.write(lambda c: self._claim(c, channel, now, until, limit))

    async def next_due(self, channel: str) -> datetime | None:
        """When there will be something to claim; None: not before something new comes."""
        query = select(
            func.min(case((_IS_WAITING, _n.due_at), else_=_n.lease_until), type_=_n.due_at.type)
        ).where(_n.channel == channel, _IS_OPEN, _IS_FIRST)
        return await self._database.read(lambda c: c.execute(query).scalar_one())

    async def deliver(self, claim: Claim, now: datetime) -> bool:
        """Note that it was taken. False: the lease was lost meanwhile, nothing changed."""
        return await self._settle(claim, {"state": "delivered", "error": None, "finished_at": now})

    async def fail(self, claim: Claim, failure: Failure, now: datetime) -> bool:
        """Note that it was not. False: the lease was lost meanwhile, nothing changed."""
        values: dict[str, Any] = {"error": failure.error}
        if failure.is_uncertain:
            values["is_uncertain"] = True
        if failure.retry_at is not None:
            values |= {"state": "waiting", "due_at": failure.retry_at}
        else:
            is_test = claim.notification.transition is Transition.TEST
            values |= {"state": "dropped" if is_test else "dead", "finished_at": now}
        return await self._settle(claim, values)

    async def outcomes(self, ids: Sequence[str]) -> dict[str, tuple[str, str | None]]:
        """State and last error, by id."""
        query = select(_n.id, _n.state, _n.error).where(_n.id.in_(ids))
        rows = await self._database.read(lambda c: c.execute(query).all())
        return {row.id: (row.state, row.error) for row in rows}

    async def drop(self, ids: Sequence[str], now: datetime) -> None:
        """Send none of these any more."""
        change = update(alert_notices).where(_n.id.in_(ids), _IS_OPEN)
        values = {"state": "dropped", "finished_at": now}
        await self._database.write(lambda c: c.execute(change.values(values)).rowcount)

    async def dead_letters(self) -> list[DeadLetter]:
        """Notices that were given up, newest first."""
        query = select(alert_notices).where(_n.state == literal_column("'dead'"))
        query = query.order_by(_n.at.desc(), _n.id.desc())
        rows = await self._database.read(lambda c: c.execute(query).all())
        return [
            DeadLetter(r.id, r.alert_id, r.channel, r.transition, r.attempts, r.error or "", r.at)
            for r in rows
        ]

    async def count_dead(self) -> int:
        """How many were given up."""
        query = select(func.count()).where(_n.state == literal_column("'dead'"))
        return await self._database.read(lambda c: c.execute(query).scalar_one())

    async def count_waiting(self) -> tuple[int, datetime | None]:
        """How many are not sent yet, and since when the oldest waits."""
        query = select(func.count(), func.min(_n.at, type_=_n.at.type)).where(_IS_OPEN)
        number, oldest = await self._database.read(lambda c: c.execute(query).one())
        return number, oldest

    async def repeat(self, channel: str, before: datetime, now: datetime) -> int:
        """Send the last notice of firing alerts again that was delivered before; gives how many.

        It is the same notice with the alert as it is now, and waits its turn as any other: the
        end of the alert cannot be overtaken by it.
        """
        is_due = repeatable(channel, before).limit(1)
        if await self._database.read(lambda c: c.execute(is_due).first()) is None:
            return 0
        return await self._database.write(lambda c: repeat(c, channel, before, now))

    async def give_up_orphans(self, channels: Sequence[str], now: datetime) -> int:
        """Notices for channels that are no more; gives how many."""
        change = (
            update(alert_notices)
            .where(_IS_OPEN, _n.channel.not_in(channels), _n.at < now - ORPHANED_AFTER)
            .values(
                state="dead",
                finished_at=now,
                error="No such channel is configured any more; name it again under "
                "alerts.channels if its notices are wanted.",
            )
        )
        return await self._database.write(lambda c: c.execute(change).rowcount)

    async def remove_old_tests(self, before: datetime) -> int:
        """Forget test notices; gives how many."""
        is_test = _n.transition == Transition.TEST.value
        change = delete(alert_notices).where(is_test, _n.at < before)
        return await self._database.write(lambda c: c.execute(change).rowcount)

    def _claim(
        self, connection: Connection, channel: str, now: datetime, until: datetime, limit: int
    ) -> list[Claim]:
        token = secrets.token_hex(8)
        query = _due(channel, now).limit(limit)
        if connection.dialect.name == "postgresql":
            query = query.with_for_update(skip_locked=True, of=alert_notices)
        claims: list[Claim] = []
        for row in connection.execute(query).all():
            if row.transition in FOLLOW_UPS and not _has_arrived(connection, row):
                values: dict[str, Any] = {"state": "dropped", "finished_at": now}
            else:
                values = {
                    "state": "sending",
                    "attempts": row.attempts + 1,
                    "lease_until": until,
                    "locked_by": token,
                    # A server that died while it was sending may have been done with it.
                    "is_uncertain": row.is_uncertain or row.state == "sending",
                }
                notification = notification_of(row, self._link(row.alert_id))
                claims.append(Claim(notification, row.channel, row.attempts + 1, token))
            connection.execute(update(alert_notices).where(_n.id == row.id).values(values))
        return claims

    async def _settle(self, claim: Claim, values: dict[str, Any]) -> bool:
        change = (
            update(alert_notices)
            .where(_n.id == claim.notification.id, _IS_SENDING, _n.locked_by == claim.token)
            .values(lease_until=None, locked_by=None, **values)
        )
        return await self._database.write(lambda c: c.execute(change).rowcount) > 0


def _due(channel: str, now: datetime) -> Select[Any]:
    is_due: ColumnElement[bool] = or_(
        and_(_IS_WAITING, _n.due_at <= now), and_(_IS_SENDING, _n.lease_until <= now)
    )
    return (
        select(alert_notices)
        .where(_n.channel == channel, _IS_OPEN, is_due, _IS_FIRST)
        .order_by(_n.at, _n.id)
    )


def _has_arrived(connection: Connection, row: AnyRow) -> bool:
    """Whether the channel was told of the alert, or may have been, since its last end."""
    query = (
        select(_n.transition, _n.state, _n.is_uncertain)
        .where(_n.alert_id == row.alert_id, _n.channel == row.channel, _n.sequence < row.sequence)
        .order_by(_n.sequence.desc())
    )
    for earlier in connection.execute(query):
        if earlier.transition == Transition.RESOLVED.value and earlier.state != "dead":
            return False
        has_arrived = earlier.state == "delivered" or earlier.is_uncertain
        if has_arrived and earlier.transition not in FOLLOW_UPS:
            return True
    return False
