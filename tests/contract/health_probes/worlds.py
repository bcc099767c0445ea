"""For each probe: how it is told where to look, a healthy service, and what it finds there."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
from aiohttp import web

from contract.health_probes import answering
from contract.health_probes.faults import serving
from rabbit_server import PASSWORD, USER

TOKEN = "tok-0815-s3cret"
SECRETS = (PASSWORD, TOKEN, USER)
LOGIN = f"{USER}:{PASSWORD}"

Options = Callable[[str, int], dict[str, Any]]
"""From host and port to the probe's entry in the settings."""


@dataclass(frozen=True)
class World:
    """A probe and its service."""

    kind: str
    options: Options
    serve: Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[int]]
    """A healthy service on loopback; gives its port."""
    metrics: frozenset[str]
    """Known after the second check."""
    flood: bytes
    """The beginning of an answer that never ends."""
    keeps: bool = False
    """Whether its connection is left open between checks."""
    facets: frozenset[str] = frozenset()


def _url(scheme: str, rest: str = "", login: str = LOGIN) -> Options:
    def options(host: str, port: int) -> dict[str, Any]:
        return {"url": f"{scheme}://{login}@{_bracketed(host)}:{port}{rest}"}

    return options


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _http(host: str, port: int) -> dict[str, Any]:
    return {
        "url": f"http://{LOGIN}@{_bracketed(host)}:{port}/health?token={TOKEN}",
        "headers": {"Authorization": f"Bearer {TOKEN}"},
        "body_contains": "fine",
    }


def _tcp(host: str, port: int) -> dict[str, Any]:
    return {"host": host, "port": port, "body": f"hello {TOKEN}\n", "expect": "pleased"}


def _rabbitmq_management(host: str, port: int) -> dict[str, Any]:
    return {"management_url": f"http://{LOGIN}@{_bracketed(host)}:{port}"}


def _prometheus(host: str, port: int) -> dict[str, Any]:
    url = f"http://{_bracketed(host)}:{port}"
    return {"url": url, "token": TOKEN, "p95": "p95", "error_rate": "errors"}


def _dns(host: str, port: int) -> dict[str, Any]:
    return {"server": host, "port": port, "name": "mail.example", "transport": "tcp"}


def _daemon(fixture: str, attribute: str = "port") -> Callable[..., Any]:
    @asynccontextmanager
    async def serve(request: pytest.FixtureRequest) -> AsyncIterator[int]:
        yield getattr(request.getfixturevalue(fixture), attribute)

    return serve


@asynccontextmanager
async def _serve_pgbouncer(request: pytest.FixtureRequest) -> AsyncIterator[int]:
    """With a client: without one there is no pool."""
    port = request.getfixturevalue("pgbouncer_server").port
    client = await asyncpg.connect(f"postgresql://{LOGIN}@127.0.0.1:{port}/postgres")
    try:
        yield port
    finally:
        await client.close()


@asynccontextmanager
async def _serve_http(_: pytest.FixtureRequest) -> AsyncIterator[int]:
    async def health(request: web.Request) -> web.Response:
        return web.Response(text="all is fine")

    async with answering.web_server({"/health": health}) as port:
        yield port


@asynccontextmanager
async def _serve_tcp(_: pytest.FixtureRequest) -> AsyncIterator[int]:
    async def greet(_: Any, reader: Any, writer: Any) -> None:
        assert await reader.readline() == f"hello {TOKEN}\n".encode()
        writer.write(b"pleased to meet you\n")
        await reader.read()

    async with serving(greet) as server:
        yield server.port


@asynccontextmanager
async def _serve_smtp(_: pytest.FixtureRequest) -> AsyncIterator[int]:
    async with answering.mail_server(answering.Mailbox()) as port:
        yield port


@asynccontextmanager
async def _serve_dns(_: pytest.FixtureRequest) -> AsyncIterator[int]:
    async with answering.name_server() as port:
        yield port


@asynccontextmanager
async def _serve_elasticsearch(_: pytest.FixtureRequest) -> AsyncIterator[int]:
    async with answering.web_server(answering.elasticsearch("yellow", 2)) as port:
        yield port


@asynccontextmanager
async def _serve_prometheus(_: pytest.FixtureRequest) -> AsyncIterator[int]:
    values: dict[str, list[str] | str] = {"p95": ["0.25"], "errors": "0.02"}
    async with answering.web_server(answering.prometheus(values)) as port:
        yield port


_WEB_FLOOD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"

WORLDS: dict[str, World] = {
    "http": World("http", _http, _serve_http, frozenset(), _WEB_FLOOD),
    "tcp": World("tcp", _tcp, _serve_tcp, frozenset(), b"please"),
    "smtp": World(
        "smtp",
        lambda host, port: {"host": host, "port": port},
        _serve_smtp,
        frozenset(),
        b"220-mail.example says\r\n220-",
    ),
    "dns": World("dns", _dns, _serve_dns, frozenset(), b"\xff\xff"),
    "postgres": World(
        "postgres",
        _url("postgresql", "/postgres", f"tester:{PASSWORD}"),
        _daemon("postgres_server"),
        frozenset({"query_latency_ms", "connection_pool_usage_percent"}),
        b"R\x7f\xff\xff\xff\x00\x00\x00\x00",
        True,
        frozenset({"connection_pool_source", "version", "role"}),
    ),
    "pgbouncer": World(
        "postgres",
        lambda host, port: {**_url("postgresql", "/pgbouncer")(host, port), "pgbouncer": True},
        _serve_pgbouncer,
        frozenset({"query_latency_ms", "connection_pool_usage_percent", "clients_waiting"}),
        b"R\x7f\xff\xff\xff\x00\x00\x00\x00",
        True,
        frozenset({"connection_pool_source"}),
    ),
    "mysql": World(
        "mysql",
        _url("mysql"),
        _daemon("mariadb_server"),
        frozenset({"query_latency_ms", "connection_pool_usage_percent"}),
        b"\xff\xff\xff\x00\x0a",
        True,
        frozenset({"connection_pool_source", "version"}),
    ),
    "redis": World(
        "redis",
        _url("redis", "/0", f":{PASSWORD}"),
        _daemon("locked_redis"),
        frozenset({"query_latency_ms", "memory_used_bytes", "connection_pool_usage_percent"}),
        b"$2000000000\r\n",
        True,
        frozenset({"connection_pool_source", "version", "role"}),
    ),
    "rabbitmq": World(
        "rabbitmq",
        _url("amqp", "/"),
        _daemon("rabbitmq_server"),
        frozenset(),
        b"\x01\x00\x00\x7f\xff\xff\xff",
        False,
        frozenset({"version"}),
    ),
    "rabbitmq-management": World(
        "rabbitmq",
        _rabbitmq_management,
        _daemon("rabbitmq_server", "management_port"),
        frozenset({"memory_used_bytes", "memory_used_percent"}),
        _WEB_FLOOD,
        True,
        frozenset({"version"}),
    ),
    "clickhouse": World(
        "clickhouse",
        _url("http"),
        _daemon("clickhouse_server"),
        frozenset({"query_latency_ms"}),
        _WEB_FLOOD,
        True,
        frozenset({"version"}),
    ),
    "elasticsearch": World(
        "elasticsearch",
        _url("http"),
        _serve_elasticsearch,
        frozenset({"unassigned_shards", "nodes"}),
        _WEB_FLOOD,
        True,
        frozenset({"cluster_status", "version"}),
    ),
    "prometheus": World(
        "prometheus",
        _prometheus,
        _serve_prometheus,
        frozenset({"response_time_ms.p95", "error_rate_percent"}),
        _WEB_FLOOD,
        True,
    ),
}
"""All that connect anywhere; `heartbeat` and `queue` look at what this server knows."""
