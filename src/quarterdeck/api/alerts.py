"""Routes of alerts: the feed, who looks after what, tests, other people's alerts."""

import asyncio
from typing import Annotated, Any

from litestar import Request, Router, get, post
from litestar.params import Parameter

from quarterdeck.access.model import Right
from quarterdeck.alerts.alertmanager_intake import read_alertmanager
from quarterdeck.alerts.model import Severity
from quarterdeck.alerts.service import AlertService
from quarterdeck.api.alert_schemas import (
    Acknowledgement,
    AlertItem,
    AlertList,
    AlertmanagerReceipt,
    AlertTest,
    AlertTestResult,
    ChannelTest,
    DeadLetter,
    DeadLetterList,
    alert_item,
)
from quarterdeck.api.context import author_of
from quarterdeck.api.envelope import Envelope, ok
from quarterdeck.api.guards import require_json_if_any
from quarterdeck.api.ingest import read_body
from quarterdeck.core.clock import utc_now

MAX_HOURS = 168
MAX_DOCUMENT = 4 * 1024 * 1024
"""Bytes of what an Alertmanager sends, unpacked."""

Asked = Request[Any, Any, Any]
AlertId = Annotated[str, Parameter(description="The alert's `id`.")]
Hours = Annotated[int, Parameter(ge=1, le=MAX_HOURS, description="How far back.")]
OneSeverity = Annotated[Severity | None, Parameter(description="Exactly this severity.")]


@get("/infrastructure/alerts", operation_id="ListAlerts", summary="Recent alerts")
async def list_alerts(
    alerts: AlertService, hours: Hours = 24, severity: OneSeverity = None
) -> Envelope[AlertList]:
    """Alerts of the last hours, newest first; one that still fires is there however old it is."""
    found = await alerts.list_alerts(hours, severity, utc_now())
    return ok(AlertList([alert_item(each) for each in found]))


@get("/infrastructure/alerts/{alert_id:str}", operation_id="GetAlert", summary="Get an alert")
async def get_alert(alerts: AlertService, alert_id: AlertId) -> Envelope[AlertItem]:
    """One alert."""
    return ok(alert_item(await alerts.get(alert_id)))


@post(
    "/infrastructure/alerts/{alert_id:str}/acknowledge",
    status_code=200,
    guards=[require_json_if_any],
    opt={"body": True, "action": "alert.acknowledge"},
    operation_id="AcknowledgeAlert",
    summary="Acknowledge an alert",
)
async def acknowledge(
    request: Asked, alerts: AlertService, alert_id: AlertId, data: Acknowledgement | None = None
) -> Envelope[AlertItem]:
    """Say that you look after it: it is not escalated any more. It resolves by itself."""
    by = author_of(request.scope)
    return ok(
        alert_item(await alerts.acknowledge(alert_id, by, data.note if data else "", utc_now()))
    )


@post(
    "/infrastructure/alerts/{alert_id:str}/unacknowledge",
    status_code=200,
    opt={"action": "alert.unacknowledge"},
    operation_id="UnacknowledgeAlert",
    summary="Give an alert back",
)
async def unacknowledge(
    request: Asked, alerts: AlertService, alert_id: AlertId
) -> Envelope[AlertItem]:
    """Nobody looks after it any more: it is escalated again."""
    by = author_of(request.scope)
    return ok(alert_item(await alerts.unacknowledge(alert_id, by, utc_now())))


@post(
    "/infrastructure/alerts/test",
    status_code=200,
    guards=[require_json_if_any],
    opt={"body": True, "action": "alert.test"},
    operation_id="TestAlertChannels",
    summary="Send a test notice",
)
async def test_channels(
    request: Asked, alerts: AlertService, data: AlertTest | None = None
) -> Envelope[AlertTestResult]:
    """Send a notice through one channel, or all, on the way that real ones take."""
    outcomes = await alerts.send_test(data.channel if data else None, author_of(request.scope))
    return ok(AlertTestResult([ChannelTest(o.channel, o.delivered, o.error) for o in outcomes]))


@get(
    "/infrastructure/alerts/dead-letters",
    operation_id="ListDeadLetters",
    summary="Notices that were given up",
)
async def list_dead_letters(alerts: AlertService) -> Envelope[DeadLetterList]:
    """Notices that no channel took in the end: the channel's settings are wrong, or it is gone."""
    letters = await alerts.dead_letters()
    return ok(
        DeadLetterList(
            [
                DeadLetter(
                    id=each.id,
                    alert_id=each.alert_id,
                    channel=each.channel,
                    transition=each.transition,
                    attempts=each.attempts,
                    error=each.error,
                    created_at=each.created_at,
                )
                for each in letters
            ]
        )
    )


@post(
    "/infrastructure/alerts/alertmanager",
    status_code=200,
    opt={"right": Right.INGEST, "stream": True},
    operation_id="TakeAlertmanagerAlerts",
    summary="Take alerts of an Alertmanager",
)
async def take_alertmanager(request: Asked, alerts: AlertService) -> Envelope[AlertmanagerReceipt]:
    """An Alertmanager's webhook, version 4: its alerts live here like our own."""
    body, _ = await read_body(request, ("application/json",), MAX_DOCUMENT)
    # Ten thousand alerts take a fifth of a second to read.
    found = await asyncio.to_thread(read_alertmanager, body)
    await alerts.take_external(found)
    return ok(AlertmanagerReceipt(len(found)))


def router() -> Router:
    """All routes of the feed."""
    return Router(
        path="/",
        tags=["Infrastructure"],
        route_handlers=[
            list_alerts, get_alert, acknowledge, unacknowledge, test_channels,
            list_dead_letters, take_alertmanager,
        ],
    )  # fmt: skip
