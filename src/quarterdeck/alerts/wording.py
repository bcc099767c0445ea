"""Texts and short formats that channels share. All names and messages are foreign text."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from quarterdeck.alerts.model import Alert, Notification, Transition
from quarterdeck.core.clock import iso_z
from quarterdeck.core.signals import Value
from quarterdeck.core.text import storable

TITLES: Mapping[Transition, str] = {
    Transition.FIRING: "Firing",
    Transition.RAISED: "Raised",
    Transition.REOPENED: "Firing again",
    Transition.FLAPPING: "Flapping",
    Transition.ESCALATED: "Escalated",
    Transition.ACKNOWLEDGED: "Acknowledged",
    Transition.UNACKNOWLEDGED: "No longer acknowledged",
    Transition.RESOLVED: "Resolved",
    Transition.TEST: "Test",
}

MAX_URL = 2000
_MAX_LABELS = 30

# Control characters, and those that turn the direction of writing: both disguise a text.
_DISGUISE = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_UNSAFE = re.compile(f"[{_DISGUISE}]")
_UNSAFE_OR_SPACE = re.compile(rf"[{_DISGUISE}\s]+")


def one_line(text: str, limit: int) -> str:
    """The text in one line without control characters, at most `limit` characters long."""
    return shortened(_UNSAFE_OR_SPACE.sub(" ", text[: limit * 4]).strip(), limit)


def lines(text: str, limit: int) -> str:
    """The text without control characters other than line breaks and tabs, cut at `limit`."""
    unbroken = text.replace("\r\n", "\n").replace("\r", "\n")
    return shortened(_UNSAFE.sub(" ", unbroken).strip(), limit)


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters; a cut is seen."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def sound(value: Any) -> Any:
    """Plain data with no character in it that JSON or a database cannot take."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {storable(str(key)): sound(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [sound(each) for each in value]
    return value


def web_link(url: str | None) -> str | None:
    """An http(s) address with nothing in it that ends a link in any markup; else None."""
    if not url or len(url) > MAX_URL:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    return quote(storable(url), safe="%/:=&?~#+!$,;'@()*[]-._")


def span(duration: timedelta) -> str:
    """Two units of a duration: `45 s`, `12 min 3 s`, `2 h 5 min`, `3 d 4 h`."""
    seconds = max(int(duration.total_seconds()), 0)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    for large, small, large_unit, small_unit in (
        (days, hours % 24, "d", "h"),
        (hours, minutes % 60, "h", "min"),
        (minutes, seconds % 60, "min", "s"),
    ):
        if large:
            return (
                f"{large} {large_unit} {small} {small_unit}" if small else f"{large} {large_unit}"
            )
    return f"{seconds} s"


def shown(value: Value) -> str:
    """A measured value in a sentence."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float | int):
        return f"{value:.10g}"
    return "unknown" if value is None else one_line(value, 200)


def message_of(alert: Alert, limit: int) -> str:
    """Its message; never empty."""
    return lines(alert.message, limit) or "(no message)"


def service_of(alert: Alert, limit: int = 200) -> str:
    """Its service; never empty."""
    return one_line(alert.service, limit) or "(no service)"


def headline(notification: Notification, limit: int) -> str:
    """`Firing: error: SMTP Service: 5400 jobs wait`: all that matters, in one line."""
    alert = notification.alert
    title, service = TITLES[notification.transition], service_of(alert, 100)
    return one_line(f"{title}: {alert.severity}: {service}: {message_of(alert, limit)}", limit)


def lasted(notification: Notification) -> str:
    """How long a resolved alert fired, as a span."""
    alert = notification.alert
    return span((alert.resolved_at or notification.at) - (alert.fired_at or alert.started_at))


def standing(notification: Notification) -> str:
    """A sentence on where the alert stands now."""
    alert = notification.alert
    since = iso_z(alert.fired_at or alert.started_at)
    by = one_line(alert.acknowledged_by or "somebody", 100)
    return {
        Transition.FIRING: f"Firing since {since}.",
        Transition.RAISED: f"It is more severe now: {alert.severity}. Firing since {since}.",
        Transition.REOPENED: f"It came back. Firing since {since}, {alert.count} times so far.",
        Transition.FLAPPING: "It changes too often; you hear no more until it has been quiet.",
        Transition.ESCALATED: f"Nobody has acknowledged it. Firing since {since}.",
        Transition.ACKNOWLEDGED: f"{by} looks after it. Firing since {since}.",
        Transition.UNACKNOWLEDGED: f"Nobody looks after it any more. Firing since {since}.",
        Transition.RESOLVED: f"Resolved after {lasted(notification)}. It fired at {since}.",
        Transition.TEST: "This is a test of the channel; nothing is wrong.",
    }[notification.transition]


def facts(notification: Notification) -> Sequence[tuple[str, str]]:
    """Names and values, for channels that show a list; links are whole addresses."""
    alert = notification.alert
    found = [
        ("Service", service_of(alert)),
        ("Severity", str(alert.severity)),
        ("Rule", one_line(alert.rule, 200)),
        ("Since", iso_z(alert.fired_at or alert.started_at)),
    ]
    if notification.transition is Transition.RESOLVED:
        found.append(("Lasted", lasted(notification)))
    if alert.value is not None:
        found.append(("Value", shown(alert.value)))
    for name, value in list(alert.labels.items())[:_MAX_LABELS]:
        found.append((one_line(name, 100), one_line(value, 200)))
    found += [
        (name, value)
        for name, value in (
            ("Note", one_line(alert.note or "", 1000)),
            ("Runbook", web_link(alert.runbook_url)),
            ("Link", web_link(notification.link)),
        )
        if value
    ]
    return found


def plain(notification: Notification, limit: int) -> str:
    """The whole notice as plain text; only its message is cut, at `limit`."""
    listed = "\n".join(f"{name}: {value}" for name, value in facts(notification))
    message = message_of(notification.alert, limit)
    return f"{message}\n\n{standing(notification)}\n\n{listed}\n"
