"""The one guard of all routes: reading wants the right to read, anything else the right to change.

A route may ask for another right by `opt={"right": Right.ADMINISTER}`; it cannot ask for none. Only
the doors of `layers.SIGNED` and `layers.SIGN_IN` take no token: who posts to the first signs, who
comes to the second is about to sign in. Their handlers verify that.
"""

from typing import Any, cast

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from quarterdeck.access.model import Right, Role, has_right
from quarterdeck.api.asgi import Scope
from quarterdeck.api.context import context_of
from quarterdeck.api.errors import decoded
from quarterdeck.api.middleware.bodies import KEY as BODY
from quarterdeck.core.errors import Forbidden, Unauthenticated

READING = frozenset({"GET", "HEAD", "OPTIONS"})


Connection = ASGIConnection[Any, Any, Any, Any]


def require_right(connection: Connection, handler: BaseRouteHandler) -> None:
    """Refuse a principal whose role does not hold the route's right; before any 404."""
    principal = context_of(connection.scope).principal
    if principal is None and handler.opt.get("tokenless"):
        return
    if principal is None:
        raise Unauthenticated("Send a token: Authorization: Bearer <token>.")
    method = connection.scope.get("method")
    default = Right.READ if method in READING else Right.CHANGE
    right: Right = handler.opt.get("right", default)
    if not has_right(principal.role, right):
        able = " or ".join(role.value for role in Role if has_right(role, right))
        raise Forbidden(f"Your role '{principal.role}' may not do this; it takes the role {able}.")


def require_json(connection: Connection, _: BaseRouteHandler) -> None:
    """Refuse what is no JSON: the framework takes some of it, such as deep nesting, for a crash."""
    decoded(cast(Scope, connection.scope)[BODY], "The body")


def require_json_if_any(connection: Connection, handler: BaseRouteHandler) -> None:
    """As `require_json`, where the body may be left out."""
    if cast(Scope, connection.scope)[BODY]:
        require_json(connection, handler)
