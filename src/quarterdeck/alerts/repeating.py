"""Which notices are sent again and again, for receivers that forget what they are not told."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, exists, literal_column, select, update

from quarterdeck.alerts.model import AlertState, Transition
from quarterdeck.alerts.rows import alert_of, snapshot
from quarterdeck.alerts.tables import alert_notices, alerts
from quarterdeck.alerts.turns import take_turn

FOLLOW_UPS = frozenset({
    Transition.RESOLVED.value, Transition.ACKNOWLEDGED.value, Transition.UNACKNOWLEDGED.value,
})  # fmt: skip
"""Mean nothing to a channel that the alert never reached."""

_n = alert_notices.c


def repeatable(channel: str, before: datetime) -> Select[Any]:
    """Notices that were the last of a firing alert, and were delivered before."""
    later = alert_notices.alias("later")
    is_last = ~exists().where(
        later.c.alert_id == _n.alert_id,
        later.c.channel == _n.channel,
        later.c.sequence > _n.sequence,
        later.c.transition.not_in([Transition.ACKNOWLEDGED.value, Transition.UNACKNOWLEDGED.value]),
    )
    return (
        select(_n.id.label("notice_id"), alerts)
        .join(alerts, alerts.c.id == _n.alert_id)
        .where(
            alerts.c.resolved_at.is_(None),
            alerts.c.state == AlertState.FIRING.value,
            _n.channel == channel,
            _n.state == literal_column("'delivered'"),
            _n.transition.not_in(FOLLOW_UPS),
            _n.finished_at <= before,
            is_last,
        )
    )


def repeat(connection: Connection, channel: str, before: datetime, now: datetime) -> int:
    """Have them sent again, with the alert as it is now; gives how many."""
    # Else the end of an alert could be claimed between our look and our change.
    take_turn(connection)
    number = 0
    for row in connection.execute(repeatable(channel, before)).all():
        is_still = (_n.id == row.notice_id) & (_n.state == literal_column("'delivered'"))
        alert = snapshot(alert_of(row))
        values = {"state": "waiting", "due_at": now, "attempts": 0, "alert": alert}
        change = update(alert_notices).where(is_still).values(values)
        number += connection.execute(change).rowcount
    return number
