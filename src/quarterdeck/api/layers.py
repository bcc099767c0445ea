"""The plain ASGI layers around the routes; outermost first in `application.wrap`.

They hold for every answer, also for unknown routes and refused methods, which the framework's own
middleware never sees.
"""

import logging
import re
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_network
from urllib.parse import unquote_to_bytes

from prometheus_client import Counter, Histogram

from quarterdeck.access.model import Principal
from quarterdeck.access.service import Authenticator
from quarterdeck.access.sessions import SessionStore
from quarterdeck.api.asgi import App, Message, Receive, Scope, Send
from quarterdeck.api.context import KEY, RequestContext, context_of, header
from quarterdeck.api.cookies import SESSION, cookie_value, require_own_page
from quarterdeck.api.envelope import send_json
from quarterdeck.api.errors import render
from quarterdeck.api.limits import CONSOLE, Bucket, RateLimiter
from quarterdeck.core.errors import QuarterdeckError, Unauthenticated
from quarterdeck.core.ids import mint

log = logging.getLogger("quarterdeck.http")

Observe = Callable[[float, int], None]
"""Takes the seconds until an answer began, and its status."""

PUBLIC = ("/healthz", "/readyz", "/openapi.json", "/docs", "/favicon.ico")
"""What anyone may see: it holds no data. Everything else wants a token."""

SIGNED = re.compile(r"^/api/v1/platform/system/mail-events/hooks/[a-z]{1,20}$")
"""What providers POST to, who cannot send a token. Each request's signature is verified instead;
requests are counted by address."""

SIGN_IN = re.compile(r"^/api/v1/platform/system/session/(?:ways|single-sign-on(?:/answer)?)$")
"""Who is not signed in yet has no token to show. Only our own pages may change something here."""

REQUEST_ID = re.compile(r"^[A-Za-z0-9_-]{1,64}$")

FIXED_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
]

_UNRESERVED = re.compile(rb"%(?:2[dDeE]|3[0-9]|[46][1-9a-fA-F]|[57][0-9aA]|5[fF]|7[eE])")


def is_public(path: str) -> bool:
    """Whether a path is on the public list, itself or below it."""
    return any(path == public or path.startswith(f"{public}/") for public in PUBLIC)


class ContextLayer:
    """Request id, client address, access log, request metrics, headers; answers what escapes."""

    def __init__(
        self,
        app: App,
        proxies: Sequence[str],
        requests: Counter,
        seconds: Histogram,
        observe: Observe = lambda _seconds, _status: None,
    ) -> None:
        self._app = app
        self._proxies = [ip_network(proxy, strict=False) for proxy in proxies]
        self._requests = requests
        self._seconds = seconds
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        given = header(scope, b"x-request-id")
        request_id = given if given and REQUEST_ID.match(given) else mint("req")
        context = RequestContext(
            request_id, self._client_ip(scope), is_secure=self._is_secure(scope)
        )
        scope[KEY] = context
        # Names are one encoded segment each: routing must see %2F, not a slash (ruling 2).
        scope["path"] = _routable(scope["raw_path"])
        status = 500

        async def remember(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                # Not the end: a stream ends when its reader goes, which says nothing of us.
                self._observe(time.perf_counter() - started, status)
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode()),
                    *FIXED_HEADERS,
                    *context.headers,
                ]
            await send(message)

        try:
            await self._app(scope, receive, remember)
        except Exception as error:  # noqa: BLE001 - the last place where it can become an answer
            code, headers, body = render(error, request_id)
            await send_json(remember, code, body, headers)
        self._account(scope, context, status, time.perf_counter() - started)

    def _account(self, scope: Scope, context: RequestContext, status: int, seconds: float) -> None:
        route = str(scope.get("path_template") or "unmatched")
        method = str(scope["method"])
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)
        log.info(
            "%s %s %s",
            method,
            scope["path"],
            status,
            extra={
                "request_id": context.request_id,
                "client_ip": context.client_ip,
                "principal": context.principal.id if context.principal else None,
                "duration_ms": round(seconds * 1000, 2),
            },
        )

    def _client_ip(self, scope: Scope) -> str:
        """The peer, or behind trusted proxies the last hop that none of them vouches for."""
        client = scope.get("client")
        peer = client[0] if client else "unknown"
        forwarded = header(scope, b"x-forwarded-for")
        if not forwarded or not self._is_proxy(peer):
            return peer
        for hop in reversed([part.strip() for part in forwarded.split(",")]):
            if not self._is_proxy(hop):
                return hop[:64]
        return peer

    def _is_secure(self, scope: Scope) -> bool:
        """TLS mostly ends at a proxy, which says so; others could only fool themselves."""
        client = scope.get("client")
        if client and self._is_proxy(client[0]):
            forwarded = header(scope, b"x-forwarded-proto")
            if forwarded:
                return forwarded.strip().lower() == "https"
        return bool(scope.get("scheme") == "https")

    def _is_proxy(self, address: str) -> bool:
        try:
            return any(ip_address(address) in network for network in self._proxies)
        except ValueError:
            return False


def _routable(raw_path: bytes) -> str:
    """The path still percent-encoded, but for characters that never needed it (RFC 3986, 6.2.2)."""
    path = _UNRESERVED.sub(lambda match: unquote_to_bytes(match[0]), raw_path)
    return path.split(b"?", 1)[0].decode("latin-1")


class IdentityLayer:
    """Who asks, and how often: closed by default, 401 before anything else, then the limits."""

    def __init__(
        self,
        app: App,
        authenticator: Authenticator,
        sessions: SessionStore,
        limiter: RateLimiter,
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._sessions = sessions
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or is_public(scope["path"]):
            await self._app(scope, receive, send)
            return
        context = context_of(scope)
        try:
            bucket = await self._admit(scope, context)
        except QuarterdeckError as error:
            code, headers, body = render(error, context.request_id)
            await send_json(send, code, body, headers)
            return
        not_modified = False

        async def watch(message: Message) -> None:
            nonlocal not_modified
            if message["type"] == "http.response.start" and message["status"] == 304:
                not_modified = True
                context.headers = (await self._limiter.refund(bucket)).headers()
            await send(message)

        await self._app(scope, receive, watch)

    async def _admit(self, scope: Scope, context: RequestContext) -> Bucket:
        if scope["method"] == "POST" and SIGNED.match(scope["path"]):
            return await self._charged(self._limiter.signed(context.client_ip), context)
        if SIGN_IN.match(scope["path"]):
            return await self._charged(self._limiter.visitors(context.client_ip), context)
        try:
            principal, client = await self._identify(scope)
        except Unauthenticated:
            charge = await self._limiter.charge(self._limiter.bad_tokens(context.client_ip))
            context.headers = charge.headers()
            charge.require("Too many refused tokens came from your address.")
            raise
        context.principal = principal
        context.identify = lambda: self._identify(scope)
        return await self._charged(self._limiter.bucket(principal, client), context)

    async def _identify(self, scope: Scope) -> tuple[Principal, str | None]:
        """Who asks, by which client. A token that is sent counts before the browser's cookie."""
        authorization = header(scope, b"authorization")
        value = None if authorization else cookie_value(scope, SESSION)
        if value is None:
            client = header(scope, b"x-quarterdeck-client")
            return await self._authenticator.authenticate(authorization), client
        require_own_page(scope)
        return await self._sessions.authenticate(value), CONSOLE

    async def _charged(self, bucket: Bucket, context: RequestContext) -> Bucket:
        charge = await self._limiter.charge(bucket)
        context.headers = charge.headers()
        charge.require("You have used up your requests for now.")
        return bucket
