"""Redis as teams run it: TLS and accounts; and Redis when it will not do as it is told."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import servers
from contract.health_probes.certificates import Authority
from quarterdeck.core.clock import utc_now
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.queues.model import BulkAction, JobRef, JobState
from quarterdeck.queues.ports import Engine
from rq_world import MAIL, SOURCE, RqWorld, open_world, ref

GUIDE = Path(__file__).parents[2] / "docs" / "engines.md"


@pytest.fixture
async def world(redis_server: servers.RedisServer, tmp_path: Path) -> AsyncIterator[RqWorld]:
    async with open_world(redis_server, tmp_path) as opened:
        yield opened


async def test_the_account_of_the_guide_can_do_everything(world: RqWorld) -> None:
    (rules,) = (
        line.split()[5:] for line in GUIDE.read_text().splitlines() if "ACL SETUSER" in line
    )
    command = ["ACL", "SETUSER", "quarterdeck", "on", ">secret", *rules]
    world.redis.execute_command(*command)  # type: ignore[no-untyped-call]
    engine = world.open_engine(url=world.url.replace("//", "//quarterdeck:secret@"))
    jobs = [world.failed() for _ in range(4)]
    await use_all(engine, world, [ref(job) for job in jobs])
    await engine.close()
    world.redis.acl_deluser("quarterdeck")


async def use_all(engine: Engine, world: RqWorld, jobs: list[JobRef]) -> None:
    """Call every verb, and look whether it did something."""
    one, two, *rest = jobs
    assert [stats.failed for stats in (await engine.snapshot()).values()] == [len(jobs)]
    assert (await engine.list_jobs(MAIL, None, 10, 0)).total == len(jobs)
    assert await engine.find_job(one)
    assert (await engine.sample_failures(MAIL, 10)).failures
    await engine.retry(one)
    await engine.delete(two)
    batches = [size async for size in engine.bulk(BulkAction.RETRY_FAILED, MAIL, utc_now())]
    assert sum(batches) == len(rest)
    assert (await engine.pause(MAIL)).changed
    assert (await engine.resume(MAIL)).changed
    assert world.redis.llen("rq:queue:mail") == 1 + len(rest)


@pytest.mark.parametrize(
    ("password", "reason"),
    [("wrong", "refuses the user name or password"), ("right", "lets this account do too little")],
)
async def test_an_account_that_is_refused_is_told_what_to_change(
    world: RqWorld, password: str, reason: str
) -> None:
    world.redis.acl_setuser("rq", enabled=True, passwords="+right", commands=["+get"], keys=["*"])
    engine = world.open_engine(url=world.url.replace("//", f"//rq:{password}@"))
    with pytest.raises(SourceUnavailable, match=reason) as counting:
        await engine.snapshot()
    with pytest.raises(SourceUnavailable, match=reason) as reading:
        await engine.list_jobs(MAIL, None, 10, 0)
    assert counting.value.source == reading.value.source == SOURCE
    assert password not in counting.value.message
    await engine.close()
    world.redis.acl_deluser("rq")


async def test_tls_is_checked_against_the_authority_of_the_settings(tmp_path: Path) -> None:
    pem = str(Authority(tmp_path).pem(tmp_path))
    port = servers.free_port()
    options = [
        "--tls-port", str(port), "--tls-cert-file", pem, "--tls-key-file", pem,
        "--tls-ca-cert-file", str(tmp_path / "ca.pem"), "--tls-auth-clients", "no",
    ]  # fmt: skip
    with servers.redis(*options) as server:
        async with open_world(server, tmp_path) as world:
            jobs = [ref(world.failed()) for _ in range(3)]
            url = f"rediss://127.0.0.1:{port}/0"
            trusting = world.open_engine(url=f"{url}?ssl_ca_certs={tmp_path / 'ca.pem'}")
            await use_all(trusting, world, jobs)
            stranger = world.open_engine(url=url)
            with pytest.raises(SourceUnavailable, match="certificate verify failed"):
                await stranger.snapshot()
            for engine in (trusting, stranger):
                await engine.close()


async def test_a_replica_is_read_and_not_written(world: RqWorld) -> None:
    job = world.failed()
    world.redis.replicaof("127.0.0.1", "1")
    try:
        assert (await world.stats()).failed == 1
        assert len((await world.engine.list_jobs(MAIL, None, 10, 0)).items) == 1
        for change in (world.engine.retry(ref(job)), world.engine.delete(ref(job))):
            with pytest.raises(SourceUnavailable, match="read-only replica"):
                await change
        with pytest.raises(SourceUnavailable, match="read-only replica"):
            await world.engine.pause(MAIL)
    finally:
        world.redis.replicaof("NO", "ONE")


async def test_a_full_server_is_read_and_not_written(world: RqWorld) -> None:
    job = world.failed()
    world.redis.config_set("maxmemory", "1")
    try:
        assert (await world.stats()).failed == 1
        with pytest.raises(SourceUnavailable, match="out of memory"):
            await world.engine.retry(ref(job))
    finally:
        world.redis.config_set("maxmemory", "0")
    assert (await world.get(job)).state is JobState.FAILED
