"""What the alert routes take and answer: the spec's fields first, our additions after them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from quarterdeck.alerts.model import Alert, AlertState, Severity, Silence
from quarterdeck.api.paging import Pagination
from quarterdeck.core.signals import Value


class AlertItem(Struct, frozen=True):
    """An alert. `timestamp` is when it fired; one that is still open has no `resolved_at`."""

    id: str
    timestamp: datetime
    severity: Severity
    service: str
    message: str
    acknowledged: bool
    status: AlertState
    rule: str
    source: str
    labels: Mapping[str, str]
    value: Value
    started_at: datetime
    updated_at: datetime
    resolved_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    note: str | None
    runbook_url: str | None
    count: int
    flapping: bool
    silenced_by: str | None
    inhibited_by: str | None
    fingerprint: str


class AlertList(Struct, frozen=True):
    """Alerts that were firing within the hours asked for, newest first."""

    alerts: list[AlertItem]


class Acknowledgement(Struct, frozen=True, forbid_unknown_fields=True):
    """A note for the others; it may be empty."""

    note: Annotated[str, Meta(max_length=1000)] = ""


class MatcherItem(Struct, frozen=True, forbid_unknown_fields=True):
    """A label, `rule`, `source`, `service` or `severity`, and its value; `*` is a wildcard."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    value: Annotated[str, Meta(min_length=1, max_length=500)]


class NewSilence(Struct, frozen=True, forbid_unknown_fields=True):
    """Withholds notices that match all of it. The end must be said."""

    matchers: Annotated[list[MatcherItem], Meta(min_length=1, max_length=20)]
    ends_at: datetime
    comment: Annotated[str, Meta(min_length=1, max_length=1000)]
    starts_at: datetime | None = None


class SilenceItem(Struct, frozen=True):
    """A silence; `active` by the clock of the server."""

    id: str
    matchers: list[MatcherItem]
    author: str
    comment: str
    created_at: datetime
    starts_at: datetime
    ends_at: datetime
    active: bool


class SilenceList(Struct, frozen=True):
    """One page of silences, those that end last first."""

    silences: list[SilenceItem]
    pagination: Pagination


class SilenceEnd(Struct, frozen=True):
    """The silence has ended."""

    id: str
    status: str


class AlertTest(Struct, frozen=True, forbid_unknown_fields=True):
    """Which channel to try; all of them when it is left out."""

    channel: str | None = None


class ChannelTest(Struct, frozen=True):
    """What became of the test notice in one channel."""

    channel: str
    delivered: bool
    error: str | None


class AlertTestResult(Struct, frozen=True):
    """One entry for each channel that was tried."""

    channels: list[ChannelTest]


class DeadLetter(Struct, frozen=True):
    """A notice that no channel took in the end."""

    id: str
    alert_id: str
    channel: str
    transition: str
    attempts: int
    error: str
    created_at: datetime


class DeadLetterList(Struct, frozen=True):
    """Notices that were given up, newest first."""

    dead_letters: Sequence[DeadLetter]


class AlertmanagerReceipt(Struct, frozen=True):
    """How many alerts of the document were taken."""

    accepted: int


def alert_item(alert: Alert) -> AlertItem:
    """An alert as the API shows it."""
    return AlertItem(
        id=alert.id,
        timestamp=alert.fired_at or alert.started_at,
        severity=alert.severity,
        service=alert.service,
        message=alert.message,
        acknowledged=alert.acknowledged_at is not None,
        status=alert.state,
        rule=alert.rule,
        source=alert.source,
        labels=alert.labels,
        value=alert.value,
        started_at=alert.started_at,
        updated_at=alert.updated_at,
        resolved_at=alert.resolved_at,
        acknowledged_at=alert.acknowledged_at,
        acknowledged_by=alert.acknowledged_by,
        note=alert.note,
        runbook_url=alert.runbook_url,
        count=alert.count,
        flapping=alert.is_flapping,
        silenced_by=alert.silenced_by,
        inhibited_by=alert.inhibited_by,
        fingerprint=alert.fingerprint,
    )


def silence_item(silence: Silence, now: datetime) -> SilenceItem:
    """A silence as the API shows it."""
    return SilenceItem(
        id=silence.id,
        matchers=[MatcherItem(each.name, each.value) for each in silence.matchers],
        author=silence.author,
        comment=silence.comment,
        created_at=silence.created_at,
        starts_at=silence.starts_at,
        ends_at=silence.ends_at,
        active=silence.starts_at <= now < silence.ends_at,
    )
