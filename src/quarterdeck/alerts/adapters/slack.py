"""Slack's incoming webhooks, in Block Kit; what speaks their form (Mattermost) takes them too."""

from collections.abc import Mapping
from typing import Any, ClassVar

from msgspec import Struct

from quarterdeck.alerts.channel_options import ChannelOptions
from quarterdeck.alerts.model import Notification, Severity, Transition
from quarterdeck.alerts.posting import Poster, encoded
from quarterdeck.alerts.wording import (
    headline,
    lasted,
    lines,
    message_of,
    service_of,
    standing,
    web_link,
)
from quarterdeck.net.outgoing import PostClient

MAX_TEXT = 4000
MAX_SECTION = 3000
MAX_FIELD = 2000
"""Characters that Slack takes of a message, a section and a field, entities as they are written."""

COLOURS: Mapping[Severity, str] = {
    Severity.ERROR: "#c62828",
    Severity.WARNING: "#f9a825",
    Severity.INFO: "#1565c0",
}
GREEN = "#2e7d32"

KNOWN_WORDS = (
    "action_prohibited", "channel_is_archived", "channel_not_found", "invalid_payload",
    "invalid_blocks", "invalid_token", "no_active_hooks", "no_service", "no_service_id", "no_team",
    "no_text", "posting_to_general_channel_denied", "team_disabled", "too_many_attachments",
    "user_not_found",
)  # fmt: skip
"""Slack's own reasons for a refusal."""

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


class SlackOptions(ChannelOptions, frozen=True):
    """`url` is the secret: whoever knows it may post."""

    url: str


class SlackChannel:
    """One message for each notice; all transitions are told."""

    Options: ClassVar[type[Struct]] = SlackOptions

    def __init__(self, options: SlackOptions) -> None:
        client = PostClient(options.url, options.at("url"), options.timeout_s)
        self._poster = Poster(client, KNOWN_WORDS)

    async def send(self, notification: Notification) -> None:
        """See `Channel`."""
        await self._poster.post(encoded(_message(notification)))

    async def close(self) -> None:
        """See `Channel`."""
        await self._poster.close()


def escaped(text: str, limit: int) -> str:
    """Text that Slack takes for nothing else: no mention, no link. Cut at `limit` when escaped."""
    parts: list[str] = []
    size = 0
    for character in text:
        part = _ENTITIES.get(character, character)
        size += len(part.encode("utf-16-le", "replace")) // 2  # as Slack counts
        if size >= limit:
            return "".join(parts) + "…"
        parts.append(part)
    return "".join(parts)


def _message(notification: Notification) -> Mapping[str, Any]:
    is_resolved = notification.transition is Transition.RESOLVED
    colour = GREEN if is_resolved else COLOURS[notification.alert.severity]
    return {
        "text": escaped(headline(notification, 300), MAX_TEXT),
        "mrkdwn": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "attachments": [{"color": colour, "blocks": _blocks(notification)}],
    }


def _blocks(notification: Notification) -> list[Mapping[str, Any]]:
    alert = notification.alert
    message = escaped(message_of(alert, MAX_SECTION), MAX_SECTION)
    fields = [
        _field("Severity", str(alert.severity)),
        _field("Service", escaped(service_of(alert), MAX_FIELD - 100)),
        _field("Since", _date(notification)),
    ]
    if notification.transition is Transition.RESOLVED:
        fields.append(_field("Lasted", lasted(notification)))
    blocks: list[Mapping[str, Any]] = [
        # Plain: nothing in it is a mention, a link or bold, whatever it is.
        {"type": "section", "text": {"type": "plain_text", "text": message, "emoji": False}},
        {"type": "section", "fields": fields},
    ]
    if alert.note:
        blocks.append(_context(escaped(f"Note: {lines(alert.note, 1000)}", MAX_FIELD)))
    blocks.append(_context(escaped(standing(notification), MAX_FIELD)))
    links = [
        f"<{_ampersands(url)}|{title}>"
        for title, url in (
            ("Open the alert", web_link(notification.link)),
            ("Runbook", web_link(alert.runbook_url)),
        )
        if url
    ]
    return [*blocks, _context(" · ".join(links))] if links else blocks


def _field(title: str, text: str) -> Mapping[str, Any]:
    return _markup(f"*{title}*\n{text}")


def _context(text: str) -> Mapping[str, Any]:
    return {"type": "context", "elements": [_markup(text)]}


def _markup(text: str) -> Mapping[str, Any]:
    # Verbatim: Slack does not look for channel names and addresses in it.
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _date(notification: Notification) -> str:
    """Slack shows it in the reader's own time zone."""
    since = notification.alert.fired_at or notification.alert.started_at
    shown = since.strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"<!date^{int(since.timestamp())}^{{date_short_pretty}} {{time_secs}}|{shown}>"


def _ampersands(url: str) -> str:
    return url.replace("&", "&amp;")
