"""Routes of the session: sign in with a token, see who you are, sign out."""

from datetime import datetime
from typing import Any, Literal, cast

from litestar import Request, Response, Router, delete, get, post
from msgspec import Struct

from quarterdeck import __version__
from quarterdeck.access.model import RIGHTS, Principal, Right, Role
from quarterdeck.access.sessions import NewSession, SessionStore
from quarterdeck.api.asgi import Scope
from quarterdeck.api.context import context_of
from quarterdeck.api.cookies import SESSION, cookie_value, set_cookie
from quarterdeck.api.envelope import Envelope, ok
from quarterdeck.core.clock import utc_now
from quarterdeck.core.errors import Unauthenticated


class SessionItem(Struct, frozen=True):
    """Who asks, and what they may do."""

    principal: str
    name: str
    role: Role
    rights: list[Right]
    kind: Literal["token", "jwt"]
    expires_at: datetime | None
    """When the session, or what was sent instead, ends; null: not by itself."""
    version: str
    """Of this server."""


class SessionEnd(Struct, frozen=True):
    """The session is over."""

    status: str


@post(
    "/session",
    status_code=200,
    opt={"right": Right.READ, "action": "session.open"},
    operation_id="OpenSession",
    summary="Sign in",
)
async def open_session(
    request: Request[Any, Any, Any], sessions: SessionStore
) -> Response[Envelope[SessionItem]]:
    """Open a session for a browser, with the token in `Authorization`, and set its cookie.

    The cookie is `HttpOnly` and `SameSite=Strict`, and holds no token. It lasts 12 hours, and ends
    with the token. A change that rests on it must carry `X-Quarterdeck-Client: console`.
    """
    principal = _principal(request)
    session = await sessions.open(principal)
    return Response(
        ok(session_item(principal, session.expires_at)),
        headers={
            "set-cookie": set_cookie(
                cast(Scope, request.scope), SESSION, session.value, lasts_s(session)
            ),
            "cache-control": "no-store",
        },
    )


@get("/session", opt={"right": Right.READ}, operation_id="GetSession", summary="Who am I?")
async def get_session(request: Request[Any, Any, Any]) -> Envelope[SessionItem]:
    """Who you are by your token or session, and what you may do."""
    principal = _principal(request)
    return ok(session_item(principal, principal.valid_until))


@delete(
    "/session",
    status_code=200,
    opt={"right": Right.READ, "action": "session.end"},
    operation_id="EndSession",
    summary="Sign out",
)
async def end_session(
    request: Request[Any, Any, Any], sessions: SessionStore
) -> Response[Envelope[SessionEnd]]:
    """End the session of this browser. The token it was opened with stays good."""
    scope = cast(Scope, request.scope)
    value = cookie_value(scope, SESSION)
    if value is not None:
        await sessions.end(value)
    headers = {"set-cookie": set_cookie(scope, SESSION, "", 0), "cache-control": "no-store"}
    return Response(ok(SessionEnd("ended")), headers=headers)


def router() -> Router:
    """All routes of the session."""
    return Router(
        path="/", tags=["Access"], route_handlers=[open_session, get_session, end_session]
    )


def _principal(request: Request[Any, Any, Any]) -> Principal:
    principal = context_of(request.scope).principal
    if principal is None:
        raise Unauthenticated("Send a token: Authorization: Bearer <token>.")
    return principal


def lasts_s(session: NewSession) -> int:
    """Seconds until it ends, for its cookie."""
    return max(0, int((session.expires_at - utc_now()).total_seconds()))


def session_item(principal: Principal, expires_at: datetime | None) -> SessionItem:
    """What is told of who is signed in."""
    rights = [right for right in Right if right in RIGHTS[principal.role]]
    return SessionItem(
        principal.id, principal.name, principal.role, rights, principal.kind, expires_at,
        __version__,
    )  # fmt: skip
