"""The ASGI application: routes, their middleware, and the layers around everything."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from litestar import Litestar, Router
from litestar.di import Provide

from quarterdeck.access.audit import AuditTrail
from quarterdeck.access.idempotency import IdempotencyKeys
from quarterdeck.access.service import Authenticator
from quarterdeck.access.sessions import SessionStore
from quarterdeck.access.single_sign_on import SingleSignOn
from quarterdeck.access.tokens import TokenStore
from quarterdeck.alerts.service import AlertService
from quarterdeck.api import (
    alert_stream,
    alerts,
    audit,
    docs,
    health,
    ingest,
    log_exports,
    log_searches,
    log_tail,
    logs,
    mail_events,
    metrics,
    queue_stream,
    queues,
    reputation,
    session,
    sign_in,
    silences,
    system,
    tokens,
)
from quarterdeck.api.asgi import App
from quarterdeck.api.errors import handle
from quarterdeck.api.guards import require_right
from quarterdeck.api.layers import ContextLayer, IdentityLayer, Observe
from quarterdeck.api.limits import RateLimiter
from quarterdeck.api.metrics import Metrics
from quarterdeck.api.middleware.auditing import AuditLayer
from quarterdeck.api.middleware.bodies import BodyLayer
from quarterdeck.api.middleware.caching import ETagLayer
from quarterdeck.api.middleware.idempotency import IdempotencyLayer
from quarterdeck.api.openapi import document
from quarterdeck.api.system import Check
from quarterdeck.health.otlp_metrics import MetricsIntake
from quarterdeck.health.service import HealthService
from quarterdeck.logs.exports import LogExports
from quarterdeck.logs.searches import SavedSearches
from quarterdeck.logs.service import LogService
from quarterdeck.queues.operations import BulkOperations
from quarterdeck.queues.service import QueueService
from quarterdeck.queues.stream import QueueStream
from quarterdeck.queues.watching import QueueWatch
from quarterdeck.reputation.mail_intake import MailIntake
from quarterdeck.reputation.service import ReputationService

PREFIX = "/api/v1/platform/system"

GIVEN = (
    "queues", "operations", "trail", "server_metrics", "logs", "exports", "searches", "health",
    "metrics_intake", "alerts", "queue_watch", "queue_stream", "reputation", "mail_intake",
    "sessions", "tokens", "single_sign_on",
)  # fmt: skip
"""What handlers may ask for by name."""


@dataclass(frozen=True, slots=True)
class Services:
    """What the doors lead to."""

    queues: QueueService
    queue_watch: QueueWatch
    queue_stream: QueueStream
    operations: BulkOperations
    authenticator: Authenticator
    sessions: SessionStore
    tokens: TokenStore
    single_sign_on: SingleSignOn | None
    trail: AuditTrail
    idempotency: IdempotencyKeys
    checks: Mapping[str, Check]
    logs: LogService
    exports: LogExports
    searches: SavedSearches
    health: HealthService
    metrics_intake: MetricsIntake
    alerts: AlertService
    reputation: ReputationService
    mail_intake: MailIntake
    observe: Observe
    """Told of each answer, so that the server knows its own response times."""


def build(
    services: Services,
    limiter: RateLimiter,
    proxies: Sequence[str],
    console: Callable[[App], App] = lambda app: app,
) -> App:
    """Everything from the outermost layer in: context, identity and limits, then the routes.

    `console` is a layer that answers for its own pages and passes everything else on.
    """
    counted = Metrics()
    given = (
        services.queues, services.operations, services.trail, counted, services.logs,
        services.exports, services.searches, services.health, services.metrics_intake,
        services.alerts, services.queue_watch, services.queue_stream, services.reputation,
        services.mail_intake, services.sessions, services.tokens, services.single_sign_on,
    )  # fmt: skip
    routes = Litestar(
        route_handlers=[*_public(services), _closed(services)],
        dependencies={name: _provide(each) for name, each in zip(GIVEN, given, strict=True)},
        exception_handlers={Exception: handle},
        openapi_config=None,
        logging_config=None,
        request_max_body_size=None,
    )
    inner = cast(App, routes)  # Litestar types its scopes more narrowly than ASGI does
    identity = IdentityLayer(inner, services.authenticator, services.sessions, limiter)
    return ContextLayer(
        console(identity), proxies, counted.requests, counted.seconds, services.observe
    )


def openapi_document() -> bytes:
    """The OpenAPI document of the API; it depends on nothing but the code."""
    return document(Router(path=PREFIX, route_handlers=_rooms()), GIVEN)


def _public(services: Services) -> list[Router]:
    return [
        system.public_router(services.checks),
        docs.router(openapi_document()),
    ]


def _closed(services: Services) -> Router:
    """Everything else: one guard, the same middleware, for all of it."""
    return Router(
        path="/",
        guards=[require_right],
        middleware=[
            _layer(BodyLayer),
            _layer(IdempotencyLayer, keys=services.idempotency),
            _layer(AuditLayer, trail=services.trail),
            _layer(ETagLayer),
        ],
        route_handlers=[
            Router(path=PREFIX, route_handlers=_rooms()),
            ingest.protocols(services.logs.dialects),
            health.take_metrics,
            metrics.get_metrics,
        ],
    )


def _layer(kind: Callable[..., App], **given: object) -> Any:
    """A middleware as a plain function: Litestar copies handlers deeply, functions stay whole."""

    def wrap(app: App) -> App:
        return kind(app, **given)

    return wrap


def _rooms() -> list[Router]:
    return [
        queues.router(), queue_stream.router(), logs.router(), log_tail.router(),
        log_exports.router(), log_searches.router(), health.router(), alerts.router(),
        alert_stream.router(), silences.router(), reputation.router(), mail_events.router(),
        audit.router(), session.router(), sign_in.router(), tokens.router(),
    ]  # fmt: skip


def _provide(value: object) -> Provide:
    return Provide(lambda: value, sync_to_thread=False)
