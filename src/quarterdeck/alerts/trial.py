"""Test notices: through the outbox and the channels, as real ones, and reported back."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from quarterdeck.alerts.dispatcher import GRACE_S, POLL_S, Dispatcher
from quarterdeck.alerts.fingerprint import fingerprint
from quarterdeck.alerts.model import Alert, AlertState, Severity, Transition
from quarterdeck.alerts.outbox import Outbox
from quarterdeck.alerts.telling import Notice
from quarterdeck.core.ids import mint

LOOK_S = 0.5
"""How often to look whether another server has sent it."""


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """What became of a test notice in one channel."""

    channel: str
    delivered: bool
    error: str | None
    """None when it was delivered."""


async def try_channels(
    outbox: Outbox, dispatcher: Dispatcher, channels: Sequence[str], who: str, now: datetime
) -> list[TrialOutcome]:
    """Send one test notice to each, once, and wait for what becomes of them.

    Raises:
        SourceUnavailable: the database cannot be had.
    """
    if not channels:
        return []
    alert = _alert(who, now)
    ids = await outbox.add(Notice(alert, Transition.TEST, 1, channels, now))
    changed = asyncio.Event()
    forget = dispatcher.on_settled(changed.set)
    dispatcher.wake()
    longest = max(dispatcher.outlets[name].timeout_s for name in channels)
    try:
        async with asyncio.timeout(longest + GRACE_S + POLL_S):
            await _all_settled(outbox, ids, changed)
    except TimeoutError:
        await outbox.drop(ids, now)  # nobody wants it an hour later
    finally:
        forget()
    ended = await outbox.outcomes(ids)
    return [
        _outcome(name, *ended.get(each, ("", None)))
        for name, each in zip(channels, ids, strict=True)
    ]


async def _all_settled(outbox: Outbox, ids: Sequence[str], changed: asyncio.Event) -> None:
    while True:
        changed.clear()
        states = {state for state, _ in (await outbox.outcomes(ids)).values()}
        if not states & {"waiting", "sending"}:
            return
        try:
            async with asyncio.timeout(LOOK_S):
                await changed.wait()
        except TimeoutError:
            continue


def _outcome(channel: str, state: str, error: str | None) -> TrialOutcome:
    if state == "delivered":
        return TrialOutcome(channel, True, None)
    late = "It was not sent in time; other notices may be in its way. Try again."
    return TrialOutcome(channel, False, error or late)


def _alert(who: str, now: datetime) -> Alert:
    return Alert(
        id=mint("test"),
        fingerprint=fingerprint("test", "quarterdeck", "Quarterdeck", {}),
        rule="test",
        source="quarterdeck",
        service="Quarterdeck",
        labels={},
        state=AlertState.FIRING,
        severity=Severity.INFO,
        message=f"This is a test by {who}. Nothing is wrong.",
        value=None,
        started_at=now,
        fired_at=now,
        updated_at=now,
        resolved_at=None,
        acknowledged_at=None,
        acknowledged_by=None,
        note=None,
        runbook_url=None,
        count=1,
        is_flapping=False,
        silenced_by=None,
        inhibited_by=None,
    )
