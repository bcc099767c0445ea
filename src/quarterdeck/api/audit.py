"""Routes of the audit trail."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from litestar import Router, get
from litestar.params import Parameter
from msgspec import Struct

from quarterdeck.access.audit import AuditTrail
from quarterdeck.access.model import Right
from quarterdeck.api.envelope import Envelope, ok
from quarterdeck.api.paging import Pagination, pagination
from quarterdeck.api.queues import Limit, Offset
from quarterdeck.core.pagination import DEFAULT_LIMIT


class AuditItem(Struct, frozen=True):
    """Who did what, on what, from where, with which outcome."""

    id: int
    at: datetime
    principal: str
    role: str
    action: str
    resource: str
    outcome: str
    status: int | None
    ip_address: str | None
    user_agent: str | None
    request_id: str
    detail: Mapping[str, Any] | None


class AuditList(Struct, frozen=True):
    """One page of the audit trail, newest first."""

    entries: list[AuditItem]
    pagination: Pagination


@get("/audit", opt={"right": Right.CHANGE}, operation_id="ListAudit", summary="Audit trail")
async def list_audit(
    trail: AuditTrail,
    limit: Limit = DEFAULT_LIMIT,
    offset: Offset = 0,
    principal: Annotated[str | None, Parameter(description="Only what this principal did.")] = None,
    action: Annotated[str | None, Parameter(description="Only this action.")] = None,
) -> Envelope[AuditList]:
    """Every change and every denied change, newest first: who, what, on what, from where."""
    page = await trail.list_entries(limit, offset, principal=principal, action=action)
    entries = [
        AuditItem(
            id=entry.id,
            at=entry.at,
            principal=entry.principal,
            role=entry.role,
            action=entry.action,
            resource=entry.resource,
            outcome=entry.outcome,
            status=entry.status,
            ip_address=entry.ip_address,
            user_agent=entry.user_agent,
            request_id=entry.request_id,
            detail=entry.detail,
        )
        for entry in page.items
    ]
    return ok(AuditList(entries, pagination(page, limit, offset)))


def router() -> Router:
    """All routes of this room."""
    return Router(path="/", tags=["Audit"], route_handlers=[list_audit])
