"""Routes of service health: what is, what was, what people have to say to it."""

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import unquote

from litestar import Request, Response, Router, delete, get, post, put, route
from litestar.params import Parameter

from quarterdeck.access.model import Right
from quarterdeck.api.context import author_of
from quarterdeck.api.envelope import Envelope, ok
from quarterdeck.api.guards import require_json
from quarterdeck.api.health_schemas import (
    HeartbeatReceipt,
    InfrastructureHealth,
    NewNote,
    NoteState,
    ServiceHistory,
    health_answer,
    history_answer,
)
from quarterdeck.api.ingest import read_body
from quarterdeck.core.clock import utc_now
from quarterdeck.core.errors import InvalidRequest
from quarterdeck.health.otlp_metrics import MetricsIntake
from quarterdeck.health.service import HealthService

METRICS_PATHS = ("/v1/metrics",)
METRICS_TYPES = ("application/x-protobuf", "application/protobuf", "application/json")
MAX_METRICS = 8 * 1024 * 1024
"""Bytes of a document of metrics, unpacked."""
MAX_HOURS = 90 * 24

ServiceName = Annotated[
    str, Parameter(description="Name of the service, percent-encoded as one path segment.")
]
Hours = Annotated[int, Parameter(ge=1, le=MAX_HOURS, description="How far back; at most 90 days.")]
HeartbeatName = Annotated[
    str, Parameter(description="Name of the heartbeat, as in the settings; percent-encoded.")
]
INGEST = {"right": Right.INGEST}


@get(
    "/infrastructure/health",
    opt={"etag": True},
    operation_id="GetInfrastructureHealth",
    summary="Service health",
)
async def get_health(health: HealthService) -> Envelope[InfrastructureHealth]:
    """Status of all services from the last readings; nothing is probed for this answer."""
    return ok(health_answer(health.snapshot()))


@get(
    "/infrastructure/health/{service:str}/history",
    operation_id="GetServiceHistory",
    summary="History of a service",
)
async def get_history(
    health: HealthService, service: ServiceName, hours: Hours = 24
) -> Envelope[ServiceHistory]:
    """Changes of status, uptime and response times for plots. What is unknown is null."""
    return ok(history_answer(await health.history(unquote(service), hours, utc_now())))


@put(
    "/infrastructure/health/{service:str}/note",
    guards=[require_json],
    opt={"body": True, "action": "health.note"},
    operation_id="SetServiceNote",
    summary="Explain a service's state",
)
async def set_note(
    request: Request[Any, Any, Any], health: HealthService, service: ServiceName, data: NewNote
) -> Envelope[NoteState]:
    """Say in a sentence why a service is as it is; shown as its `reason` until it expires."""
    if data.expires_at is not None:
        _require_future(data.expires_at)
    name = unquote(service)
    await health.set_note(name, data.note, author_of(request.scope), data.expires_at)
    return ok(NoteState(name, data.note, data.expires_at))


@delete(
    "/infrastructure/health/{service:str}/note",
    status_code=200,
    opt={"action": "health.note.clear"},
    operation_id="ClearServiceNote",
    summary="Remove the explanation",
)
async def clear_note(health: HealthService, service: ServiceName) -> Envelope[NoteState]:
    """The generated reason is shown again."""
    name = unquote(service)
    await health.clear_note(name)
    return ok(NoteState(name, None, None))


@post(
    "/infrastructure/heartbeats/{name:str}",
    status_code=200,
    opt=INGEST | {"action": "health.heartbeat"},
    operation_id="SendHeartbeat",
    summary="Send a heartbeat",
)
async def send_heartbeat(health: HealthService, name: HeartbeatName) -> Envelope[HeartbeatReceipt]:
    """Say that a job or a machine is alive; answered when it is noted durably."""
    wanted = unquote(name)
    return ok(HeartbeatReceipt(wanted, await health.heartbeat(wanted)))


@route(
    list(METRICS_PATHS),
    http_method=["POST"],
    opt={"right": Right.INGEST, "stream": True},
    status_code=200,
    include_in_schema=False,
    name="ingest otlp metrics",
)
async def take_metrics(
    request: Request[Any, Any, Any], metrics_intake: MetricsIntake
) -> Response[bytes]:
    """OTLP/HTTP metrics, protobuf or JSON: response times and errors of services."""
    body, media = await read_body(request, METRICS_TYPES, MAX_METRICS)
    answer = metrics_intake.take(body, media)
    return Response(answer.body, status_code=answer.status, media_type=answer.content_type)


def router() -> Router:
    """All routes of this room but the OTLP door."""
    return Router(
        path="/",
        tags=["Infrastructure"],
        route_handlers=[get_health, get_history, set_note, clear_note, send_heartbeat],
    )


def _require_future(moment: datetime) -> None:
    if moment.tzinfo is None or moment <= utc_now():
        raise InvalidRequest.of(
            "expires_at", "give a moment in the future, with its offset or Z", "body"
        )
