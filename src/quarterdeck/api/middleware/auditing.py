"""Every change leaves an audit row: opened before the change, closed with its outcome.

A crash in between leaves the row as `started`: somebody must look. A change that cannot be
recorded is not carried out. Routes name their action by `opt={"action": "queue.pause"}`.
"""

import logging
from urllib.parse import parse_qsl, unquote

from quarterdeck.access.audit import AuditTrail, NewAuditEntry
from quarterdeck.access.model import Right
from quarterdeck.api.asgi import App, Message, Receive, Scope, Send
from quarterdeck.api.context import context_of, header
from quarterdeck.api.guards import READING
from quarterdeck.core.errors import SourceUnavailable

log = logging.getLogger("quarterdeck.http")


class AuditLayer:
    """Around every route that changes something, or that names an action."""

    def __init__(self, app: App, trail: AuditTrail) -> None:
        self._app = app
        self._trail = trail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        context = context_of(scope)
        handler = scope["route_handler"]
        method: str = scope["method"]
        action = handler.opt.get("action")
        if context.principal is None or (method in READING and action is None):
            await self._app(scope, receive, send)
            return
        entry = NewAuditEntry(
            principal=context.principal.id,
            role=context.principal.role.value,
            action=action or f"{method} {scope.get('path_template')}",
            resource=_resource(scope),
            ip_address=context.client_ip,
            user_agent=(header(scope, b"user-agent") or "")[:300] or None,
            request_id=context.request_id,
        )
        if handler.opt.get("right") is Right.INGEST:
            await self._only_denied(entry, scope, receive, send)
            return
        audit_id = await self._trail.begin(entry)
        status = 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                await self._finish(audit_id, _outcome(status), status)
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception:  # whatever it is, the outer layer answers it; the row must not stay open
            await self._finish(audit_id, "failed", 500)
            raise

    async def _only_denied(
        self, entry: NewAuditEntry, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """What arrives (lines, events, signs of life) changes nothing: only a refusal is noted."""

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 403:
                await self._trail.record(entry, "denied", 403)
            await send(message)

        await self._app(scope, receive, watch)

    async def _finish(self, audit_id: int, outcome: str, status: int) -> None:
        try:
            await self._trail.finish(audit_id, outcome, status)
        except SourceUnavailable as error:
            # The change is done (or not): the caller must hear which. The row stays `started`,
            # which says that somebody must look.
            log.warning("audit row %s is left open: %s", audit_id, error.message)


def _resource(scope: Scope) -> str:
    """What it is done to: also of which source, how far it reaches, and which lines go out."""
    named = [(name, unquote(str(value))) for name, value in scope["path_params"].items()]
    asked = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return " ".join(f"{name}={value}" for name, value in [*named, *asked])[:2000]


def _outcome(status: int) -> str:
    if status in {401, 403}:
        return "denied"
    return "ok" if status < 400 else "failed"
