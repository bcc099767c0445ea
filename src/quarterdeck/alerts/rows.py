"""Rows of our tables as records, and back."""

from dataclasses import fields
from typing import Any

import msgspec
from sqlalchemy import Row

from quarterdeck.alerts.model import (
    Alert,
    AlertState,
    Matcher,
    Notification,
    Severity,
    Silence,
    Transition,
)
from quarterdeck.alerts.record import Memory, Record
from quarterdeck.alerts.telling import Notice

AnyRow = Row[*tuple[Any, ...]]

_FIELDS = tuple(each.name for each in fields(Alert))


def alert_of(row: AnyRow) -> Alert:
    """The alert of a row of `alerts`."""
    values = {name: getattr(row, name) for name in _FIELDS}
    # `count` is a method of every row.
    values["count"] = row._mapping["count"]
    values["state"] = AlertState(row.state)
    values["severity"] = Severity(row.severity)
    return Alert(**values)


def record_of(row: AnyRow) -> Record:
    """A row of `alerts`."""
    return Record(alert_of(row), msgspec.convert(row.memory, Memory))


def record_values(record: Record) -> dict[str, Any]:
    """What a row of `alerts` holds."""
    alert = record.alert
    return {
        **{name: getattr(alert, name) for name in _FIELDS},
        "labels": dict(alert.labels),
        "state": alert.state.value,
        "severity": alert.severity.value,
        "memory": msgspec.to_builtins(record.memory),
    }


def snapshot(alert: Alert) -> dict[str, Any]:
    """An alert as it is kept with notices and events."""
    kept: dict[str, Any] = msgspec.to_builtins(alert)
    return kept


def notice_values(notice: Notice) -> list[dict[str, Any]]:
    """Rows of `alert_notices`, one for each channel."""
    return [
        {
            "id": f"{notice.alert.id}:{notice.sequence}:{channel}",
            "alert_id": notice.alert.id,
            "sequence": notice.sequence,
            "channel": channel,
            "transition": notice.transition.value,
            "alert": snapshot(notice.alert),
            "at": notice.at,
            "state": "waiting",
            "attempts": 0,
            "due_at": notice.at,
            "is_uncertain": False,
        }
        for channel in notice.channels
    ]


def notification_of(row: AnyRow, link: str | None) -> Notification:
    """What a row of `alert_notices` tells."""
    return Notification(
        id=row.id,
        transition=Transition(row.transition),
        alert=msgspec.convert(row.alert, Alert),
        at=row.at,
        link=link,
    )


def silence_of(row: AnyRow) -> Silence:
    """A row of `alert_silences`."""
    return Silence(
        id=row.id,
        matchers=msgspec.convert(row.matchers, tuple[Matcher, ...]),
        author=row.author,
        comment=row.comment,
        created_at=row.created_at,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
    )
