"""What PostgreSQL, PgBouncer, MariaDB and Redis tell of themselves, and how they refuse."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

import servers
from contract.health_probes import daemons
from contract.health_probes.certificates import Authority
from contract.health_probes.conftest import Build, no_socket_is_left
from quarterdeck.core.errors import ConfigError
from quarterdeck.health.model import Outcome, Reading
from rabbit_server import PASSWORD, USER

MYSQL = f"mysql://{USER}:{PASSWORD}"


async def look(build: Build, kind: str, **options: Any) -> Reading:
    return await build(kind, options).check()


@pytest.fixture(scope="module")
def postgres_with_tls(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[servers.PostgresServer]:
    """A PostgreSQL server that also speaks TLS."""
    pem = authority.pem(tmp_path_factory.mktemp("postgres"))
    with servers.postgres() as server:
        own = server.directory / "data" / "server.pem"
        own.write_bytes(pem.read_bytes())
        own.chmod(0o600)
        if server.user:
            subprocess.run(["chown", server.user, str(own)], check=True)
        for setting in ("ssl_cert_file = 'server.pem'", "ssl_key_file = 'server.pem'", "ssl = on"):
            _sql(server, f"ALTER SYSTEM SET {setting}")
        _sql(server, "CREATE ROLE nobody LOGIN", "CREATE ROLE closed LOGIN CONNECTION LIMIT 0")
        _sql(server, "SELECT pg_reload_conf()")
        yield server


@pytest.fixture(scope="module")
def mariadb_with_tls(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[daemons.Daemon]:
    """A MariaDB server that also speaks TLS."""
    with daemons.mariadb(authority.pem(tmp_path_factory.mktemp("mariadb"))) as server:
        yield server


def _sql(server: servers.PostgresServer, *statements: str) -> None:
    for sql in statements:
        subprocess.run(
            [servers.program("psql"), "-h", "127.0.0.1", "-p", str(server.port), "-U", "tester",
             "-d", "postgres", "-c", sql],
            check=True, capture_output=True,
        )  # fmt: skip


async def test_postgres_counts_the_connections_of_all(
    build: Build, postgres_with_tls: servers.PostgresServer
) -> None:
    url = f"127.0.0.1:{postgres_with_tls.port}/postgres"
    others = [await asyncpg.connect(f"postgresql://tester@{url}") for _ in range(9)]
    # One that has no right to see what the others do counts the same.
    for user in ("tester", "nobody"):
        probe = build("postgres", {"url": f"postgresql://{user}@{url}"})
        reading = await probe.check()
        await probe.close()
        assert reading.metrics["connection_pool_usage_percent"] == 5.0  # ten of two hundred
        assert reading.facets["role"] == "primary"
    for other in others:
        await other.close()


@pytest.mark.parametrize(
    ("query", "user", "reason"),
    [
        ("sslmode=verify-full&sslrootcert={ca}", "tester", None),
        ("sslmode=require", "tester", None),
        ("sslmode=verify-full&sslrootcert={own}", "tester", "its certificate comes from an"),
        ("sslmode=disable", "closed", "it has no connection left (SQLSTATE 53300)"),
        ("sslmode=disable", "unknown", "it does not accept our user or password"),
        ("sslmode=sometimes", "tester", "its URL has parameters that cannot be used"),
    ],
    ids=[
        "verified",
        "encrypted",
        "distrusted",
        "full",
        "stranger",
        "nonsense",
    ],
)
async def test_postgres_is_entered_or_says_why_not(
    build: Build,
    postgres_with_tls: servers.PostgresServer,
    authority: Authority,
    tmp_path: Path,
    query: str,
    user: str,
    reason: str | None,
) -> None:
    own = Authority(tmp_path).ca_file
    text = query.format(ca=authority.ca_file, own=own)
    async with no_socket_is_left():
        probe = build(
            "postgres",
            {"url": f"postgresql://{user}@localhost:{postgres_with_tls.port}/postgres?{text}"},
        )
        readings = [await probe.check() for _ in range(2)]
        await probe.close()
    assert {reading.outcome for reading in readings} == {Outcome.FAIL if reason else Outcome.OK}
    assert str(readings[1].reason).startswith(str(reason))


async def test_pgbouncer_shows_its_fullest_pool(
    build: Build, pgbouncer_server: daemons.Daemon
) -> None:
    url = f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{pgbouncer_server.port}"
    busy = [await asyncpg.connect(f"{url}/postgres", statement_cache_size=0) for _ in range(6)]
    transactions = [client.transaction() for client in busy[:3]]
    for transaction in transactions:
        await transaction.start()
    reading = await look(build, "postgres", url=f"{url}/pgbouncer", pgbouncer=True)
    assert reading.metrics["connection_pool_usage_percent"] == 75.0  # three of four
    assert reading.metrics["clients_waiting"] == 0
    assert reading.facets == {"connection_pool_source": "PgBouncer, its fullest pool"}

    transactions += [client.transaction() for client in busy[3:]]
    late = [asyncio.create_task(one.start()) for one in transactions[3:]]
    probe = build("postgres", {"url": f"{url}/pgbouncer", "pgbouncer": True})
    async with asyncio.timeout(20):
        while reading.metrics["clients_waiting"] != 2:
            reading = await probe.check()
    assert reading.metrics["connection_pool_usage_percent"] == 100.0
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    for client in busy:
        client.terminate()


async def test_pgbouncer_refuses_another_password(
    build: Build, pgbouncer_server: daemons.Daemon
) -> None:
    url = f"postgresql://{USER}:wrong@127.0.0.1:{pgbouncer_server.port}/pgbouncer"
    reading = await look(build, "postgres", url=url, pgbouncer=True)
    # It has no code of its own for this.
    assert reading.reason == "it refused a login (SQLSTATE 08P01)"


async def test_mysql_counts_the_connections(build: Build, mariadb_server: daemons.Daemon) -> None:
    url = f"{MYSQL}@127.0.0.1:{mariadb_server.port}"
    probes = [build("mysql", {"url": url}) for _ in range(4)]
    readings = [await probe.check() for probe in probes]
    for probe in probes:
        await probe.close()
    # Of forty. What an earlier test left may not be gone yet.
    shares = [reading.metrics["connection_pool_usage_percent"] or 0 for reading in readings]
    assert shares[3] - shares[0] <= 7.5
    assert shares[3] >= 10.0
    assert readings[0].facets["version"].startswith("1")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"tls": "required", "ca_file": "{ca}"}, None),
        ({"tls": "required", "verify_tls": False}, None),
        ({"tls": "required"}, "its certificate comes from an authority that is not trusted here"),
        ({"url": f"mysql://{USER}:wrong@localhost"}, "it does not accept our user or password"),
        ({"url": f"{MYSQL}@localhost", "path": "/other"}, "it does not accept our user or"),
    ],
    ids=["verified", "encrypted", "distrusted", "password", "database"],
)
async def test_mysql_is_entered_or_says_why_not(
    build: Build,
    mariadb_with_tls: daemons.Daemon,
    authority: Authority,
    options: dict[str, Any],
    reason: str | None,
) -> None:
    given = {"url": f"{MYSQL}@localhost", **options}
    given["url"] += f":{mariadb_with_tls.port}{given.pop('path', '')}"
    if given.get("ca_file"):
        given["ca_file"] = authority.ca_file
    async with no_socket_is_left():
        probe = build("mysql", given)
        readings = [await probe.check() for _ in range(2)]
        await probe.close()
    assert {reading.outcome for reading in readings} == {Outcome.FAIL if reason else Outcome.OK}
    assert str(readings[1].reason).startswith(str(reason))


async def test_redis_hit_rate_is_of_the_reads_between_two_checks(build: Build) -> None:
    with daemons.redis() as server:
        client = Redis(port=server.port, password=PASSWORD)
        probe = build("redis", {"url": f"redis://:{PASSWORD}@127.0.0.1:{server.port}"})

        async def rate() -> float | None:
            return (await probe.check()).metrics["hit_rate_percent"]

        await client.set("known", "1")
        await client.get("known")
        assert await rate() is None  # the first look
        assert await rate() is None  # nobody has read
        for key in ("known", "known", "known", "unknown"):
            await client.get(key)
        assert await rate() == 75.0
        await client.config_resetstat()
        assert await rate() is None
        await client.get("unknown")
        assert await rate() == 0.0
        await client.aclose()
        await probe.close()


async def test_redis_tells_its_share_of_memory_only_with_a_limit(build: Build) -> None:
    with daemons.redis() as server:
        client = Redis(port=server.port, password=PASSWORD)
        probe = build("redis", {"url": f"redis://:{PASSWORD}@127.0.0.1:{server.port}"})
        assert (await probe.check()).metrics["memory_used_percent"] is None
        await client.config_set("maxmemory", "100mb")
        reading = await probe.check()
        used = reading.metrics["memory_used_bytes"] or 0
        assert reading.metrics["memory_used_percent"] == round(used / 1048576, 2)
        await client.aclose()
        await probe.close()


@pytest.mark.parametrize("login", ["", ":wrong", "who:wrong"], ids=["none", "password", "user"])
async def test_redis_refuses_who_is_not_let_in(
    build: Build, locked_redis: servers.RedisServer, login: str
) -> None:
    reading = await look(build, "redis", url=f"redis://{login}@127.0.0.1:{locked_redis.port}")
    assert reading.reason == "it does not accept our user or password"


@pytest.mark.parametrize(
    ("kind", "url"),
    [("redis", "redis://host/first"), ("postgres", "postgresql:///db"), ("mysql", "http://host")],
)
def test_wrong_address_is_named(build: Build, kind: str, url: str) -> None:
    with pytest.raises(ConfigError, match=r"^url: expected"):
        build(kind, {"url": url})
