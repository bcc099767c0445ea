"""The ASGI application: routes, their middleware, and the layers around everything."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.middleware import DefineMiddleware
from litestar.types import ASGIApp

from quarterdeck.access.audit import AuditTrail
from quarterdeck.access.idempotency import IdempotencyKeys
from quarterdeck.access.service import Authenticator
from quarterdeck.api import audit, docs, queues, system
from quarterdeck.api.errors import handle
from quarterdeck.api.guards import require_right
from quarterdeck.api.layers import ContextLayer, IdentityLayer
from quarterdeck.api.limits import RateLimiter
from quarterdeck.api.middleware.auditing import AuditLayer
from quarterdeck.api.middleware.bodies import BodyLayer
from quarterdeck.api.middleware.caching import ETagLayer
from quarterdeck.api.middleware.idempotency import IdempotencyLayer
from quarterdeck.api.openapi import document
from quarterdeck.api.system import Check, Metrics
from quarterdeck.config import Settings
from quarterdeck.queues.operations import BulkOperations
from quarterdeck.queues.service import QueueService

PREFIX = "/api/v1/platform/system"


@dataclass(frozen=True, slots=True)
class Services:
    """What the doors lead to."""

    queues: QueueService
    operations: BulkOperations
    authenticator: Authenticator
    trail: AuditTrail
    idempotency: IdempotencyKeys
    checks: Mapping[str, Check]


def build(services: Services, settings: Settings) -> ASGIApp:
    """Everything from the outermost layer in: context, identity and limits, then the routes."""
    metrics = Metrics()
    routes = Litestar(
        route_handlers=[*_public(services), _closed(services)],
        dependencies=_dependencies(services, metrics),
        exception_handlers={Exception: handle},
        openapi_config=None,
        logging_config=None,
        request_max_body_size=None,
    )
    identity = IdentityLayer(routes, services.authenticator, RateLimiter(settings.rate_limit))
    proxies = settings.server.trusted_proxies
    return ContextLayer(identity, proxies, metrics.requests, metrics.seconds)


def _public(services: Services) -> list[Router]:
    return [
        system.public_router(services.checks),
        docs.router(document(Router(path=PREFIX, route_handlers=_rooms()))),
    ]


def _closed(services: Services) -> Router:
    """Everything else: one guard, the same middleware, for all of it."""
    return Router(
        path="/",
        guards=[require_right],
        middleware=[
            DefineMiddleware(BodyLayer),
            DefineMiddleware(IdempotencyLayer, keys=services.idempotency),
            DefineMiddleware(AuditLayer, trail=services.trail),
            DefineMiddleware(ETagLayer),
        ],
        route_handlers=[Router(path=PREFIX, route_handlers=_rooms()), system.metrics],
    )


def _rooms() -> list[Router]:
    return [queues.router(), audit.router()]


def _dependencies(services: Services, metrics: Metrics) -> dict[str, Any]:
    given = {
        "queues": services.queues,
        "operations": services.operations,
        "trail": services.trail,
        "server_metrics": metrics,
    }
    return {name: _provide(value) for name, value in given.items()}


def _provide(value: object) -> Provide:
    return Provide(lambda: value, sync_to_thread=False)
