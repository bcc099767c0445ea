"""Prometheus Alertmanager's API v2, for teams whose routing, grouping and on-call live there."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

from msgspec import Struct, field

from quarterdeck.alerts.channel_options import ChannelOptions
from quarterdeck.alerts.model import Alert, AlertState, Notification, Transition
from quarterdeck.alerts.posting import Poster, encoded
from quarterdeck.alerts.wording import message_of, one_line, service_of, shown, web_link
from quarterdeck.core.clock import Clock, iso_z, utc_now
from quarterdeck.net.outgoing import PostClient

RESEND_S = 60.0
ENDS_AFTER = timedelta(seconds=5 * RESEND_S)
"""An alert that is not told again for so long is over, as with Prometheus itself."""

MAX_ANNOTATION = 16_000

LEFT_OUT = frozenset({
    Transition.ACKNOWLEDGED, Transition.UNACKNOWLEDGED, Transition.ESCALATED,
})  # fmt: skip
"""It has no word for these: they are its own business."""


class AlertmanagerOptions(ChannelOptions, frozen=True):
    """Of a cluster, each member is a channel: members do not pass alerts on to each other."""

    url: str
    """Its address, without `/api/v2/alerts`."""
    labels: dict[str, str] = field(default_factory=dict)
    """Added to all alerts, such as `cluster`."""


class AlertmanagerChannel:
    """Posts the alert as it is now."""

    Options: ClassVar[type[Struct]] = AlertmanagerOptions

    resend_s: ClassVar[float | None] = RESEND_S
    """An Alertmanager forgets what it is not told: send FIRING again so often while it fires."""

    def __init__(self, options: AlertmanagerOptions, clock: Clock = utc_now) -> None:
        url = f"{options.url.rstrip('/')}/api/v2/alerts"
        self._poster = Poster(PostClient(url, options.at("url"), options.timeout_s))
        self._labels = options.labels
        self._clock = clock

    async def send(self, notification: Notification) -> None:
        """See `Channel`."""
        if notification.transition in LEFT_OUT:
            return
        await self._poster.post(encoded([self._alert(notification)]))

    async def close(self) -> None:
        """See `Channel`."""
        await self._poster.close()

    def _alert(self, notification: Notification) -> Mapping[str, Any]:
        alert = notification.alert
        starts_at = alert.fired_at or alert.started_at
        given = {
            "labels": _labels(alert, self._labels, notification.transition is Transition.TEST),
            "annotations": _annotations(alert),
            "startsAt": iso_z(starts_at),
            "endsAt": iso_z(max(starts_at, self._ends_at(notification))),
        }
        link = web_link(notification.link)
        return given | {"generatorURL": link} if link else given

    def _ends_at(self, notification: Notification) -> datetime:
        alert = notification.alert
        is_over = (
            notification.transition is Transition.RESOLVED or alert.state is AlertState.RESOLVED
        )
        if is_over and notification.transition is not Transition.TEST:
            return alert.resolved_at or notification.at
        # A test goes on as long: what ends before its group is flushed is told to nobody.
        return self._clock() + ENDS_AFTER


def _labels(alert: Alert, added: Mapping[str, str], is_test: bool) -> Mapping[str, str]:
    """Ours win; a label of the alert that has one of our names becomes `exported_<name>`."""
    ours = {
        "alertname": one_line(alert.rule, 200) or "unnamed",
        "service": service_of(alert),
        "severity": str(alert.severity),
        "source": one_line(alert.source, 200),
    }
    ours |= {_label_name(name): value for name, value in added.items()}
    if is_test:
        ours["quarterdeck_test"] = "true"
    theirs = {_label_name(name): one_line(value, 1000) for name, value in alert.labels.items()}
    moved = {f"exported_{name}" if name in ours else name: v for name, v in theirs.items()}
    return {name: value for name, value in (moved | ours).items() if value}


def _label_name(name: str) -> str:
    """A name that all versions take: letters, digits and underscores."""
    plain = re.sub("[^a-zA-Z0-9_]", "_", name[:200])
    return plain if plain[:1].isalpha() or plain.startswith("_") else f"_{plain}"


def _annotations(alert: Alert) -> Mapping[str, str]:
    found = {
        "summary": message_of(alert, MAX_ANNOTATION),
        "value": "" if alert.value is None else shown(alert.value),
        "runbook_url": web_link(alert.runbook_url) or "",
        "note": one_line(alert.note or "", 1000),
    }
    return {name: value for name, value in found.items() if value}
