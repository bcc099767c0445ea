"""PagerDuty's Events API v2: an alert is one incident, opened, acknowledged and resolved there."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct

from quarterdeck.alerts.channel_options import ChannelOptions
from quarterdeck.alerts.model import Notification, Transition
from quarterdeck.alerts.posting import Poster, encoded
from quarterdeck.alerts.wording import facts, headline, message_of, service_of, standing, web_link
from quarterdeck.core.clock import iso_z
from quarterdeck.net.outgoing import PostClient

MAX_SUMMARY = 1024
MAX_DETAIL = 16_000
"""Characters; an event may have 512 KB in all."""

ACTIONS: Mapping[Transition, tuple[str, ...]] = {
    Transition.FIRING: ("trigger",),
    Transition.RAISED: ("trigger",),
    Transition.REOPENED: ("trigger",),
    Transition.FLAPPING: ("trigger",),
    Transition.ESCALATED: ("trigger",),
    Transition.ACKNOWLEDGED: ("acknowledge",),
    Transition.UNACKNOWLEDGED: (),
    Transition.RESOLVED: ("resolve",),
    Transition.TEST: ("trigger", "resolve"),
}
"""What each transition is there. Nobody can take an acknowledgement back over this API."""


class PagerdutyOptions(ChannelOptions, frozen=True):
    """A service with an "Events API v2" integration."""

    routing_key: Annotated[str, Meta(min_length=1)]
    """The integration's key: a secret."""
    url: str = "https://events.pagerduty.com/v2/enqueue"
    """Of the EU region: `https://events.eu.pagerduty.com/v2/enqueue`."""


class PagerdutyChannel:
    """Sends events that carry the alert's fingerprint: all of one alert meet in one incident."""

    Options: ClassVar[type[Struct]] = PagerdutyOptions

    def __init__(self, options: PagerdutyOptions) -> None:
        self._routing_key = options.routing_key
        self._poster = Poster(PostClient(options.url, options.at("url"), options.timeout_s))

    async def send(self, notification: Notification) -> None:
        """See `Channel`. Events that are sent again are the same incident there."""
        for action in ACTIONS[notification.transition]:
            event = {
                "routing_key": self._routing_key,
                "event_action": action,
                "dedup_key": _dedup_key(notification),
            }
            if action == "trigger":
                event |= _description(notification)
            await self._poster.post(encoded(event))

    async def close(self) -> None:
        """See `Channel`."""
        await self._poster.close()


def _dedup_key(notification: Notification) -> str:
    if notification.transition is not Transition.TEST:
        return notification.alert.fingerprint
    # Its own, so that a test never closes an incident that is real.
    return f"test-{hashlib.sha256(notification.id.encode()).hexdigest()}"


def _description(notification: Notification) -> Mapping[str, Any]:
    alert = notification.alert
    links = [
        {"href": url, "text": text}
        for text, url in (
            ("Open the alert", web_link(notification.link)),
            ("Runbook", web_link(alert.runbook_url)),
        )
        if url
    ]
    return {
        "payload": {
            "summary": headline(notification, MAX_SUMMARY),
            "source": service_of(alert),
            "severity": alert.severity,
            "timestamp": iso_z(notification.at),
            "component": service_of(alert),
            "class": alert.rule[:255],
            "custom_details": {
                # Labels come last in the facts; none of them hides one of ours.
                **dict(reversed(facts(notification))),
                "Message": message_of(alert, MAX_DETAIL),
                "Status": standing(notification),
            },
        },
        "client": "Quarterdeck",
        "links": links,
    }
