"""Any HTTP receiver: our own JSON document, signed. Its form is in docs/alert-channels.md."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

from msgspec import Struct, field

from quarterdeck.alerts.channel_options import MIN_SECRET, ChannelOptions
from quarterdeck.alerts.model import Alert, Notification
from quarterdeck.alerts.posting import Poster, encoded
from quarterdeck.alerts.wording import lines
from quarterdeck.core.clock import Clock, iso_z, utc_now
from quarterdeck.core.errors import ConfigError
from quarterdeck.net.outgoing import PostClient

MAX_MESSAGE = 64 * 1024

OURS = frozenset({
    "content-type", "content-length", "transfer-encoding", "connection", "host", "idempotency-key",
    "x-quarterdeck-signature", "x-penguinmails-signature",
})  # fmt: skip
"""Headers that settings may not set."""

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class WebhookOptions(ChannelOptions, frozen=True):
    """Without a `secret` nothing is signed."""

    url: str
    secret: str = ""
    """Shared with the receiver."""
    headers: dict[str, str] = field(default_factory=dict)
    """Sent along, such as `Authorization`."""


class WebhookChannel:
    """POSTs each notice once; all transitions are told."""

    Options: ClassVar[type[Struct]] = WebhookOptions

    def __init__(self, options: WebhookOptions, clock: Clock = utc_now) -> None:
        if options.secret and len(options.secret) < MIN_SECRET:
            raise ConfigError(f"{options.at('secret')}: expected {MIN_SECRET} characters or more.")
        _check_headers(options)
        self._secret = options.secret.encode()
        self._headers = options.headers
        self._clock = clock
        self._poster = Poster(PostClient(options.url, options.at("url"), options.timeout_s))

    async def send(self, notification: Notification) -> None:
        """See `Channel`."""
        body = encoded(_document(notification))
        headers = {
            **self._headers,
            # An id may hold anything; quoted it stays unique and fits into a header.
            "Idempotency-Key": quote(notification.id, safe=":", errors="replace"),
            **signatures(self._secret, int(self._clock().timestamp()), body),
        }
        await self._poster.post(body, headers)

    async def close(self) -> None:
        """See `Channel`."""
        await self._poster.close()


def signatures(secret: bytes, at: int, body: bytes) -> Mapping[str, str]:
    """Headers that prove who sent a body: ours names the time too, against replays."""
    if not secret:
        return {}
    timed = hmac.new(secret, b"%d." % at + body, hashlib.sha256).hexdigest()
    plain = hmac.new(secret, body, hashlib.sha256).hexdigest()
    return {
        "X-Quarterdeck-Signature": f"t={at},v1={timed}",
        "X-PenguinMails-Signature": f"sha256={plain}",
    }


def _check_headers(options: WebhookOptions) -> None:
    for name, value in options.headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ConfigError(f"{options.at('headers')}: expected names of HTTP headers.")
        if name.lower() in OURS:
            raise ConfigError(f"{options.at('headers')}: {name} is set by us; leave it out.")
        if not (value.isascii() and value.isprintable()):
            raise ConfigError(f"{options.at('headers')}: expected printable ASCII for {name}.")


def _document(notification: Notification) -> Mapping[str, Any]:
    return {
        "id": notification.id,
        "transition": notification.transition,
        "at": iso_z(notification.at),
        "link": notification.link,
        "alert": _alert(notification.alert),
    }


def _alert(alert: Alert) -> Mapping[str, Any]:
    """The fields of `GET /infrastructure/alerts/{id}`."""
    return {
        "id": alert.id,
        "timestamp": iso_z(alert.fired_at or alert.started_at),
        "severity": alert.severity,
        "service": alert.service,
        "message": lines(alert.message, MAX_MESSAGE),
        "acknowledged": alert.acknowledged_at is not None,
        "status": alert.state,
        "rule": alert.rule,
        "source": alert.source,
        "labels": alert.labels,
        "value": alert.value,
        "started_at": iso_z(alert.started_at),
        "updated_at": iso_z(alert.updated_at),
        "resolved_at": iso_z(alert.resolved_at) if alert.resolved_at else None,
        "acknowledged_at": iso_z(alert.acknowledged_at) if alert.acknowledged_at else None,
        "acknowledged_by": alert.acknowledged_by,
        "note": alert.note,
        "runbook_url": alert.runbook_url,
        "count": alert.count,
        "flapping": alert.is_flapping,
        "silenced_by": alert.silenced_by,
        "inhibited_by": alert.inhibited_by,
        "fingerprint": alert.fingerprint,
    }
