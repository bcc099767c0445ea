"""Notices to send, quiet ones and hostile ones."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from quarterdeck.alerts.model import Alert, AlertState, Notification, Severity, Transition

NOON = datetime(2025, 12, 4, 12, 0, 0, tzinfo=UTC)
LINK = "https://ops.example.org/console/alerts/alert_1?a=1&b=2"
RUNBOOK = "https://docs.example.org/smtp|queue>"

ALERT = Alert(
    id="alert_1",
    fingerprint="f" * 64,
    rule="queue_backlog",
    source="queue",
    service="SMTP Service",
    labels={"queue": "email:high"},
    state=AlertState.FIRING,
    severity=Severity.ERROR,
    message="5400 jobs wait in email:high",
    value=5400.0,
    started_at=NOON - timedelta(minutes=5),
    fired_at=NOON - timedelta(minutes=4),
    updated_at=NOON,
    resolved_at=None,
    acknowledged_at=None,
    acknowledged_by=None,
    note=None,
    runbook_url=RUNBOOK,
    count=1,
    is_flapping=False,
    silenced_by=None,
    inhibited_by=None,
)

CHANGES: dict[Transition, dict[str, Any]] = {
    Transition.RESOLVED: {
        "state": AlertState.RESOLVED, "resolved_at": NOON + timedelta(minutes=8, seconds=3),
    },
    Transition.ACKNOWLEDGED: {
        "acknowledged_at": NOON, "acknowledged_by": "alice", "note": "On it.\nReally.",
    },
    Transition.FLAPPING: {"is_flapping": True, "count": 7},
}  # fmt: skip

HOSTILE = {
    "quotes": '"\'`\\" }],{"event_action":"resolve"',
    "html": "<script>alert(1)</script> &amp; <img src=x onerror=y>",
    "mentions": "<!channel> @here <@U123> <https://evil.example|click> *bold* _it_ <!date^1^x|y>",
    "line-breaks": "one\r\nBcc: evil@example.com\r\n\r\n.\r\nQUIT\r\ntwo\n.\nthree",
    "encoded-words": "=?utf-8?q?a=0D=0ABcc:_evil@example.com?= =?utf-8?b?DQpYLUE6IDE=?=",
    "emoji": "🔥👩‍👩‍👧 Schlüssel 漢字 עברית",
    "disguises": "a\u202eb\u2028c\x00d\x1b[31me\ud800f\x85g",
    "long": "x<& 🔥\n" * 15_000,
    "spaces": " \r\n\t ",
    "nothing": "",
}
"""Texts that mean something to somebody on the way; about 100 KB the longest."""


def notice(transition: Transition = Transition.FIRING, **changes: Any) -> Notification:
    """A notice; changes are the alert's."""
    alert = replace(ALERT, **(CHANGES.get(transition, {}) | changes))
    return Notification(
        f"alert_1:{transition}:1", transition, alert, alert.resolved_at or NOON, LINK
    )


def hostile(text: str, transition: Transition = Transition.FIRING) -> Notification:
    """A notice that says this everywhere."""
    texts: dict[str, Any] = dict.fromkeys(
        ("rule", "source", "service", "message", "acknowledged_by", "note", "value"), text
    )
    changed = notice(transition, **texts, labels={text: text}, runbook_url=f"https://x.org/{text}")
    return replace(changed, link=f"https://x.org/?{text}", id=f"{changed.id}:{text[:50]}")
