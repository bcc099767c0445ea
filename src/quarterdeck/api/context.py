"""What we know of a request while it is being answered."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from litestar.types import Scope as LitestarScope

from quarterdeck.access.model import Principal
from quarterdeck.api.asgi import Scope

KEY = "quarterdeck"


@dataclass(slots=True)
class RequestContext:
    """One request. `principal` is set once the token has been checked."""

    request_id: str
    client_ip: str
    principal: Principal | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Headers that the answer gets, whoever writes it."""
    identify: Callable[[], Awaitable[object]] | None = None
    """Asks again who it is: answers that go on for long must end when a token does."""
    is_secure: bool = False
    """Whether it came over https, as far as we or a trusted proxy can tell."""


def context_of(scope: Scope | LitestarScope) -> RequestContext:
    """The context that the outermost layer put into the ASGI scope."""
    context: RequestContext = scope[KEY]  # type: ignore[literal-required]  # our own key
    return context


def author_of(scope: Scope | LitestarScope) -> str:
    """Who asks, as others are told: `token:<id> (<name>)` or `jwt:<sub>`."""
    principal = context_of(scope).principal
    if principal is None:
        return "unknown"
    is_named = principal.kind == "token" and principal.name
    return f"{principal.id} ({principal.name})" if is_named else principal.id


def header(scope: Scope | LitestarScope, name: bytes) -> str | None:
    """A request header's value; of repeated ones the first."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return None
