"""Routes of silences: who wants no notices of what, until when."""

from typing import Annotated, Any

from litestar import Request, Router, delete, get, post
from litestar.params import Parameter

from quarterdeck.alerts.model import Matcher
from quarterdeck.alerts.service import AlertService
from quarterdeck.api.alert_schemas import (
    NewSilence,
    SilenceEnd,
    SilenceItem,
    SilenceList,
    silence_item,
)
from quarterdeck.api.context import author_of
from quarterdeck.api.envelope import Envelope, ok
from quarterdeck.api.guards import require_json
from quarterdeck.api.paging import pagination
from quarterdeck.api.queues import Limit, Offset
from quarterdeck.core.clock import utc_now
from quarterdeck.core.pagination import DEFAULT_LIMIT

SilenceId = Annotated[str, Parameter(description="The silence's `id`.")]


@post(
    "/infrastructure/silences",
    status_code=200,
    guards=[require_json],
    opt={"body": True, "action": "silence.create"},
    operation_id="CreateSilence",
    summary="Silence alerts",
)
async def create_silence(
    request: Request[Any, Any, Any], alerts: AlertService, data: NewSilence
) -> Envelope[SilenceItem]:
    """Withhold notices until an end that must be said. Alerts are shown all the same."""
    now = utc_now()
    silence = await alerts.create_silence(
        [Matcher(each.name, each.value) for each in data.matchers],
        author=author_of(request.scope),
        comment=data.comment,
        ends_at=data.ends_at,
        starts_at=data.starts_at,
        now=now,
    )
    return ok(silence_item(silence, now))


@get("/infrastructure/silences", operation_id="ListSilences", summary="List silences")
async def list_silences(
    alerts: AlertService,
    limit: Limit = DEFAULT_LIMIT,
    offset: Offset = 0,
    active: Annotated[bool | None, Parameter(description="Only those that hold now.")] = None,
) -> Envelope[SilenceList]:
    """Silences, those that end last first."""
    now = utc_now()
    page = await alerts.list_silences(limit, offset, is_active=active, now=now)
    items = [silence_item(each, now) for each in page.items]
    return ok(SilenceList(items, pagination(page, limit, offset)))


@delete(
    "/infrastructure/silences/{silence_id:str}",
    status_code=200,
    opt={"action": "silence.end"},
    operation_id="EndSilence",
    summary="End a silence",
)
async def end_silence(
    request: Request[Any, Any, Any], alerts: AlertService, silence_id: SilenceId
) -> Envelope[SilenceEnd]:
    """End it now: what still fires is told."""
    await alerts.end_silence(silence_id, author_of(request.scope), utc_now())
    return ok(SilenceEnd(silence_id, "ended"))


def router() -> Router:
    """All routes of silences."""
    return Router(
        path="/",
        tags=["Infrastructure"],
        route_handlers=[create_silence, list_silences, end_silence],
    )
