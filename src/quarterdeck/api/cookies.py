"""The session's cookie: read, written, and never believed when another site's page sends it.

A browser sends a cookie along with every request, whoever made it send one. `SameSite=Strict`
keeps other sites out, but not other hosts of the same site. So a request that rests on the cookie
must come from our own page (`Sec-Fetch-Site`, which no page can set), and one that changes
something must carry a header that only a script of the same origin can add without our consent.
"""

from urllib.parse import urlsplit

from quarterdeck.api.asgi import Scope
from quarterdeck.api.context import context_of, header
from quarterdeck.core.errors import Forbidden

SESSION = "quarterdeck_session"
PENDING = "quarterdeck_sign_in"
"""Holds a sign-in while the browser is at the identity provider."""

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def cookie_value(scope: Scope, name: str) -> str | None:
    """The value of this cookie in the request; None: there is none."""
    for field, text in scope["headers"]:
        if field != b"cookie":
            continue
        pairs: list[str] = text.decode("latin-1").split(";")
        for pair in pairs:
            key, found, value = pair.strip().partition("=")
            if found and key == name:
                return value
    return None


def set_cookie(scope: Scope, name: str, value: str, lasts_s: int) -> str:
    """The `Set-Cookie` value that lets the browser keep it, or forget it with `lasts_s` of 0."""
    secure = "; Secure" if context_of(scope).is_secure else ""
    return f"{name}={value}; Path=/; Max-Age={lasts_s}; HttpOnly; SameSite=Strict{secure}"


def require_own_page(scope: Scope) -> None:
    """Refuse a request that rests on the cookie and was not made by a page of ours.

    Raises:
        Forbidden: another site's page made it, or it changes something without our header.
    """
    site = header(scope, b"sec-fetch-site")
    is_reading = scope["method"] in SAFE
    # A browser says `none` when its user typed the address: nobody else made it do so.
    if site is not None and site != "same-origin" and not (is_reading and site == "none"):
        raise Forbidden("Another site's page sent this with your session. Use the console itself.")
    if is_reading:
        return
    if header(scope, b"x-quarterdeck-client") is None or not _is_same_origin(scope, site):
        raise Forbidden(
            "A change by a session must come from the console. Scripts send a token: "
            "Authorization: Bearer <token>."
        )


def _is_same_origin(scope: Scope, site: str | None) -> bool:
    """Browsers leave Sec-Fetch-Site out on plain http; then Origin must name the host asked for."""
    if site is not None:
        return True
    origin = header(scope, b"origin")
    return origin is not None and urlsplit(origin).netloc == header(scope, b"host")
