"""Building: from settings to engines, services and the application."""

import asyncio
import contextlib
import logging
import os
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from sqlalchemy import select
from sqlalchemy.engine import make_url

from quarterdeck import access, alerts, health, logs, reputation, work
from quarterdeck.access.audit import AuditTrail
from quarterdeck.access.idempotency import IdempotencyKeys
from quarterdeck.access.jwt import JwtVerifier
from quarterdeck.access.service import Authenticator
from quarterdeck.access.sessions import SessionStore
from quarterdeck.access.single_sign_on import SingleSignOn
from quarterdeck.access.tokens import TokenStore
from quarterdeck.alerts.service import AlertService
from quarterdeck.api.application import Services, build
from quarterdeck.api.asgi import App
from quarterdeck.api.limits import RateLimiter
from quarterdeck.app.alert_room import Watched, compose_alerts
from quarterdeck.app.engines import build_engines
from quarterdeck.app.health_room import HealthRoom, compose_health
from quarterdeck.app.log_room import LogRoom, compose_logs
from quarterdeck.app.reputation_room import ReputationRoom, compose_reputation
from quarterdeck.config import Jwt, Oidc, Settings
from quarterdeck.console.mount import Console
from quarterdeck.core.errors import ConfigError
from quarterdeck.facts import Facts, UnopenedFacts
from quarterdeck.net.http import HttpClient
from quarterdeck.queues.operations import OPERATIONS_QUEUE, BulkOperations
from quarterdeck.queues.rules import Redactor
from quarterdeck.queues.samples import QueueSamples
from quarterdeck.queues.service import QueueService
from quarterdeck.queues.stream import QueueStream
from quarterdeck.queues.watching import QueueWatch
from quarterdeck.reputation.settling import QUEUE as REPUTATION_QUEUE
from quarterdeck.state import Database, migrate, open_database
from quarterdeck.work.store import WorkStore
from quarterdeck.work.worker import Worker, WorkerOptions

log = logging.getLogger("quarterdeck.server")

MIGRATIONS = tuple(
    Path(room.__path__[0]) / "migrations"
    for room in (work, access, logs, health, alerts, reputation)
)
"""Schema versions of every room that keeps state."""


class Companion(Protocol):
    """Something that runs beside the server, such as the demo platform."""

    def attach(self, settings: Settings) -> Settings:
        """The settings that also watch it."""
        ...

    async def start(self) -> None:
        """Start it."""
        ...

    async def stop(self) -> None:
        """Stop it and wait until it is gone."""
        ...


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is put together; `application` answers, `worker` does the background work."""

    application: App
    services: Services
    worker: Worker
    logs: LogRoom
    health: HealthRoom
    alerts: AlertService
    reputation: ReputationRoom
    closing: AsyncExitStack

    async def open(self) -> None:
        """Make what is not there yet, and open what others connect to.

        Raises:
            ConfigError: it cannot be had.
        """
        await self.logs.open()
        await self.services.queue_watch.open()
        await self.health.service.open()
        await self.reputation.service.open()
        await self.reputation.mail.open()

    def end_streams(self) -> None:
        """End the answers that have no end of their own."""
        self.services.queue_stream.end()
        self.logs.service.end_following()
        self.alerts.end_following()

    async def run(self, stop: asyncio.Event) -> None:
        """Do everything that goes on beside the answering, until `stop` is set and it is done."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.worker.run(stop))
            group.create_task(self.services.queue_watch.run(stop))
            group.create_task(self.logs.run(stop))
            group.create_task(self.health.service.run(stop))
            group.create_task(self.reputation.service.run(stop))
            group.create_task(self.reputation.mail.run(stop))
            group.create_task(self.alerts.run(stop))

    async def close(self) -> None:
        """Give everything back."""
        await self.closing.aclose()


def state_url(settings: Settings) -> str:
    """The state database: as configured, or a SQLite file in the data directory."""
    return settings.state.url or f"sqlite:///{data_dir(settings) / 'quarterdeck.sqlite3'}"


def migrate_state(settings: Settings) -> str:
    """Bring the state database to the newest schema; gives its URL without the password."""
    url = state_url(settings)
    migrate(url, MIGRATIONS)
    return make_url(url).render_as_string(hide_password=True)


@asynccontextmanager
async def open_tokens(settings: Settings) -> AsyncIterator[TokenStore]:
    """The token store of these settings; works while a server runs."""
    await asyncio.to_thread(migrate_state, settings)
    database = open_database(state_url(settings), "state")
    tokens = TokenStore(database, _token_key(settings))
    try:
        yield tokens
    finally:
        await tokens.close()
        await database.close()


def check_settings(settings: Settings) -> None:
    """Everything that a start would refuse, without starting.

    Raises:
        ConfigError: naming the key and what was expected.
    """
    _require_shared_secret(settings)
    asyncio.run(_compose_and_close(settings))


async def _compose_and_close(settings: Settings) -> None:
    await compose(settings, UnopenedFacts(settings.facts)).close()


def compose(settings: Settings, facts: Facts) -> Server:
    """Put a server together, which closes `facts` with itself.

    Nothing else is connected yet; to be used, its state must be migrated.
    """
    _require_shared_secret(settings)
    closing = AsyncExitStack()
    state = open_database(state_url(settings), "state")
    closing.push_async_callback(state.close)
    engines = build_engines(settings, state_url(settings))
    queues = QueueService(engines, Redactor(settings.queues.redact_keys))
    closing.push_async_callback(queues.close)
    samples = QueueSamples(facts, settings.queues.history_days, settings.facts.cluster)
    watch, stream = QueueWatch(queues, samples), QueueStream(queues)
    store = WorkStore(state)
    operations = BulkOperations(queues, store)
    idempotency = IdempotencyKeys(state)
    closing.push_async_callback(facts.close)
    log_room = compose_logs(settings, facts, state, store, data_dir(settings))
    health_room = compose_health(settings, facts, state, queues)
    closing.push_async_callback(health_room.service.close)
    reputation_room = compose_reputation(settings, facts, state, _token_key(settings))
    closing.push_async_callback(reputation_room.http.close)
    alert_service = compose_alerts(
        settings,
        state,
        Watched(
            queues,
            health_room.service,
            reputation_room.service,
            log_room.service,
            log_room.searches,
        ),
    )
    closing.push_async_callback(alert_service.close)
    tokens = TokenStore(state, _token_key(settings))
    closing.push_async_callback(tokens.close)
    services = Services(
        queues=queues,
        queue_watch=watch,
        queue_stream=stream,
        operations=operations,
        authenticator=_authenticator(settings, tokens, closing),
        sessions=SessionStore(state, _token_key(settings)),
        tokens=tokens,
        single_sign_on=_single_sign_on(settings, closing),
        trail=AuditTrail(state),
        idempotency=idempotency,
        checks={"state": lambda: _ping(state), "facts": log_room.service.check},
        logs=log_room.service,
        exports=log_room.exports,
        searches=log_room.searches,
        health=health_room.service,
        metrics_intake=health_room.metrics,
        alerts=alert_service,
        reputation=reputation_room.service,
        mail_intake=reputation_room.intake,
        observe=health_room.own.observe,
    )
    worker = Worker(
        store,
        {
            OPERATIONS_QUEUE: operations.run,
            REPUTATION_QUEUE: reputation_room.service.run_job,
            **log_room.handlers,
        },
        WorkerOptions(
            concurrency=settings.work.concurrency,
            lease_s=settings.work.lease_s,
            keep_finished=timedelta(days=settings.work.keep_finished_days),
        ),
    )
    limiter = RateLimiter(settings.rate_limit)
    closing.push_async_callback(limiter.close)
    application = build(services, limiter, settings.server.trusted_proxies, Console)
    return Server(
        application, services, worker, log_room, health_room, alert_service, reputation_room,
        closing,
    )  # fmt: skip


def _authenticator(
    settings: Settings, tokens: TokenStore, closing: AsyncExitStack
) -> Authenticator:
    jwt = None
    if settings.access.jwt != Jwt():
        client = HttpClient()
        closing.push_async_callback(client.close)
        jwt = JwtVerifier(settings.access.jwt, client.get_bytes)
    return Authenticator(tokens, jwt)


def _single_sign_on(settings: Settings, closing: AsyncExitStack) -> SingleSignOn | None:
    if settings.access.oidc == Oidc():
        return None
    client = HttpClient()
    closing.push_async_callback(client.close)
    return SingleSignOn(
        settings.access.oidc, client.get_bytes, client.post_form, _token_key(settings)
    )


async def _ping(database: Database) -> None:
    await database.read(lambda connection: connection.execute(select(1)).scalar(), timeout_s=2.0)


def data_dir(settings: Settings) -> Path:
    """Where this server keeps what is its own."""
    return Path(settings.server.data_dir).resolve()


def _require_shared_secret(settings: Settings) -> None:
    if settings.state.url and not settings.access.secret:
        raise ConfigError(
            "access.secret: a shared state database needs a shared secret, or each server would "
            "refuse the others' tokens. Set QUARTERDECK_ACCESS_SECRET_FILE."
        )


def _token_key(settings: Settings) -> bytes:
    """The configured secret, or one that is made once and kept beside the data."""
    if settings.access.secret:
        return settings.access.secret.encode()
    path = data_dir(settings) / "secret.key"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        # Written whole before it has its name: nobody may ever read half a key.
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(file.name, path)
        Path(file.name).unlink()
    return bytes.fromhex(path.read_text())
