"""Routes of tokens, for administrators: list, make, revoke."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from litestar import Response, Router, delete, get, post
from litestar.params import Parameter
from msgspec import Meta, Struct

from quarterdeck.access.model import Right, Role, Token
from quarterdeck.access.tokens import MAX_NAME, TokenStore
from quarterdeck.api.envelope import Envelope, ok
from quarterdeck.api.guards import require_json
from quarterdeck.api.paging import Pagination, pagination
from quarterdeck.api.queues import Limit, Offset
from quarterdeck.core.clock import utc_now
from quarterdeck.core.pagination import DEFAULT_LIMIT, Page

ADMINISTER: dict[str, Any] = {"right": Right.ADMINISTER}
MAX_DAYS = 36_500
TokenId = Annotated[str, Parameter(description="The token's `id`.")]


class NewToken(Struct, frozen=True, forbid_unknown_fields=True):
    """A token to be made. `expires_in_days` null: it is good until it is revoked."""

    name: Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
    role: Role
    expires_in_days: Annotated[int, Meta(ge=1, le=MAX_DAYS)] | None = 90


class TokenItem(Struct, frozen=True):
    """A token without its secret. `last_used_at` is to the minute; null: not used yet."""

    id: str
    name: str
    role: Role
    state: Literal["valid", "expired", "revoked"]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class MadeToken(Struct, frozen=True):
    """A token that was just made. `secret` is its text, which is never to be had again."""

    token: TokenItem
    secret: str


class TokenList(Struct, frozen=True):
    """One page of all tokens that were ever made, the newest first."""

    tokens: list[TokenItem]
    pagination: Pagination


@get("/tokens", opt=ADMINISTER, operation_id="ListTokens", summary="List tokens")
async def list_tokens(
    tokens: TokenStore, limit: Limit = DEFAULT_LIMIT, offset: Offset = 0
) -> Envelope[TokenList]:
    """Every token that was ever made, without its secret, the newest first."""
    found = (await tokens.list_tokens())[::-1]
    now = utc_now()
    items = [_item(token, now) for token in found[offset : offset + limit]]
    return ok(TokenList(items, pagination(Page(items, len(found)), limit, offset)))


@post(
    "/tokens",
    status_code=200,
    guards=[require_json],
    # An answer that is kept for a repetition would keep the secret: see IdempotencyLayer.
    opt={"body": True, "action": "token.create", "secret": True, **ADMINISTER},
    operation_id="CreateToken",
    summary="Make a token",
)
async def create_token(tokens: TokenStore, data: NewToken) -> Response[Envelope[MadeToken]]:
    """Make a token. Its text is in this answer only: an `Idempotency-Key` has no effect here."""
    days = data.expires_in_days
    span = None if days is None else timedelta(days=days)
    token, secret = await tokens.create(data.name, data.role, span)
    made = MadeToken(_item(token, utc_now()), secret)
    return Response(ok(made), headers={"cache-control": "no-store"})


@delete(
    "/tokens/{token_id:str}",
    status_code=200,
    opt={"action": "token.revoke", **ADMINISTER},
    operation_id="RevokeToken",
    summary="Revoke a token",
)
async def revoke_token(tokens: TokenStore, token_id: TokenId) -> Envelope[TokenItem]:
    """Refuse a token from now on, and the sessions that were opened with it. Safe to repeat."""
    return ok(_item(await tokens.revoke(token_id), utc_now()))


def router() -> Router:
    """All routes of tokens."""
    return Router(
        path="/", tags=["Access"], route_handlers=[list_tokens, create_token, revoke_token]
    )


def _item(token: Token, now: datetime) -> TokenItem:
    return TokenItem(
        id=token.id,
        name=token.name,
        role=token.role,
        state=_state(token, now),
        created_at=token.created_at,
        expires_at=token.expires_at,
        revoked_at=token.revoked_at,
        last_used_at=token.last_used_at,
    )


def _state(token: Token, now: datetime) -> Literal["valid", "expired", "revoked"]:
    if token.revoked_at is not None:
        return "revoked"
    if token.expires_at is not None and token.expires_at <= now:
        return "expired"
    return "valid"
