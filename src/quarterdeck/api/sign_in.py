"""Routes of single sign-on: the way to the identity provider, and back. They take no token."""

from typing import Any, cast

from litestar import Request, Response, Router, get, post
from msgspec import Struct

from quarterdeck.access.audit import AuditTrail, NewAuditEntry
from quarterdeck.access.model import Principal
from quarterdeck.access.sessions import SessionStore
from quarterdeck.access.single_sign_on import Arrival, ProviderAnswer, SingleSignOn
from quarterdeck.api.asgi import Scope
from quarterdeck.api.context import context_of, header
from quarterdeck.api.cookies import PENDING, SESSION, cookie_value, require_own_page, set_cookie
from quarterdeck.api.envelope import Envelope, ok
from quarterdeck.api.guards import require_json
from quarterdeck.api.session import SessionItem, lasts_s, session_item
from quarterdeck.core.errors import NotFound

AWAY_S = 600


class SignInWays(Struct, frozen=True):
    """How one may sign in to the console."""

    token: bool
    """With a token: always."""
    single_sign_on: str | None
    """What the identity provider is called; null: none is configured."""


class SignInStart(Struct, frozen=True, forbid_unknown_fields=True):
    """Which page to come back to."""

    return_to: str = "/"
    """A path of the console, with its query."""


class SignInDeparture(Struct, frozen=True):
    """Where the browser goes next."""

    url: str
    """The identity provider's page."""


class SignInAnswer(Struct, frozen=True, forbid_unknown_fields=True):
    """The query that the identity provider sent the browser back with."""

    state: str
    code: str | None = None
    error: str | None = None
    iss: str | None = None


class SignedIn(Struct, frozen=True):
    """The session that is open now."""

    session: SessionItem
    return_to: str


@get(
    "/session/ways",
    opt={"tokenless": True},
    security=[],
    operation_id="ListSignInWays",
    summary="Ways in",
)
async def list_ways(single_sign_on: SingleSignOn | None) -> Envelope[SignInWays]:
    """How one may sign in here. Takes no token."""
    return ok(SignInWays(True, single_sign_on.name if single_sign_on else None))


@post(
    "/session/single-sign-on",
    status_code=200,
    guards=[require_json],
    opt={"tokenless": True, "body": True},
    security=[],
    operation_id="BeginSingleSignOn",
    summary="Go to the identity provider",
)
async def begin(
    request: Request[Any, Any, Any], data: SignInStart, single_sign_on: SingleSignOn | None
) -> Response[Envelope[SignInDeparture]]:
    """Begin a sign-in at the identity provider (OpenID Connect, code flow with PKCE).

    Send the browser to `url`. It must be back within ten minutes, with the cookie set here.
    """
    scope = cast(Scope, request.scope)
    require_own_page(scope)
    departure = await _configured(single_sign_on).begin(data.return_to)
    return Response(
        ok(SignInDeparture(departure.url)),
        headers=_headers(set_cookie(scope, PENDING, departure.pending, AWAY_S)),
    )


@post(
    "/session/single-sign-on/answer",
    status_code=200,
    guards=[require_json],
    opt={"tokenless": True, "body": True},
    security=[],
    operation_id="FinishSingleSignOn",
    summary="Come back from the identity provider",
)
async def finish(
    request: Request[Any, Any, Any],
    data: SignInAnswer,
    single_sign_on: SingleSignOn | None,
    sessions: SessionStore,
    trail: AuditTrail,
) -> Response[Envelope[SignedIn]]:
    """Open a session for who comes back from the identity provider, and set its cookie.

    `SameSite=Strict` and `HttpOnly`; it lasts 12 hours, whatever becomes of the provider's account
    meanwhile.
    """
    scope = cast(Scope, request.scope)
    require_own_page(scope)
    answer = ProviderAnswer(data.state, data.code, data.error, data.iss)
    arrival = await _configured(single_sign_on).finish(cookie_value(scope, PENDING), answer)
    audit_id = await trail.begin(_entry(scope, arrival.principal))
    session = await sessions.open(arrival.principal)
    await trail.finish(audit_id, "ok", 200)
    return Response(
        ok(_signed_in(arrival, session_item(arrival.principal, session.expires_at))),
        headers=_headers(set_cookie(scope, SESSION, session.value, lasts_s(session))),
    )


def router() -> Router:
    """The routes."""
    return Router(path="/", tags=["Access"], route_handlers=[list_ways, begin, finish])


def _configured(single_sign_on: SingleSignOn | None) -> SingleSignOn:
    if single_sign_on is None:
        raise NotFound("Single sign-on is not configured here. Sign in with a token.")
    return single_sign_on


def _headers(cookie: str) -> dict[str, str]:
    return {"set-cookie": cookie, "cache-control": "no-store"}


def _signed_in(arrival: Arrival, item: SessionItem) -> SignedIn:
    return SignedIn(item, arrival.return_to)


def _entry(scope: Scope, principal: Principal) -> NewAuditEntry:
    context = context_of(scope)
    return NewAuditEntry(
        principal=principal.id,
        role=principal.role.value,
        action="session.open",
        resource="single sign-on",
        request_id=context.request_id,
        ip_address=context.client_ip,
        user_agent=(header(scope, b"user-agent") or "")[:300] or None,
    )
