"""Redis as teams run it: TLS, users, a cluster; and Redis when it will not do as it is told."""

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from redis.asyncio import Redis

import servers
from bullmq_world import Bullmq, BullmqWorld, Programs, bullmq_programs, world
from contract.harness import DirectToolbox, eventually
from contract.questions import runs_of
from contract.sql_harness import SOURCE
from quarterdeck.core.clock import utc_now
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.queues.adapters.bullmq import access
from quarterdeck.queues.model import BulkAction, JobRef, JobState, QueueRef
from quarterdeck.queues.ports import Engine

__all__ = ["bullmq_programs", "world"]


@contextmanager
def redis_node(directory: Path, *options: str, port: int | None = None) -> Iterator[int]:
    """A Redis server with these options; gives its port."""
    listening = port or servers.free_port()
    directory.mkdir(parents=True, exist_ok=True)
    plain = [] if "--tls-port" in options else ["--port", str(listening)]
    command = [
        servers.program("redis-server"), *plain, "--bind", "127.0.0.1", "--save", "",
        "--dir", str(directory), "--logfile", str(directory / "log"), *options,
    ]  # fmt: skip
    with servers.running(command) as process:
        servers.wait_for_port(listening, process)
        yield listening


@asynccontextmanager
async def engine_on(url: str, **options: object) -> AsyncIterator[Engine]:
    given = {"url": url, "discover_every_s": 0, **options}
    engine = DirectToolbox().build("bullmq", SOURCE, given)
    yield engine
    await engine.close()


async def test_tls_is_checked_against_the_authority_of_the_settings(
    world: BullmqWorld, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    port = servers.free_port()
    options = [
        "--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no",
        "--tls-cert-file", str(tmp_path / "server.pem"),
        "--tls-key-file", str(tmp_path / "server.pem"),
        "--tls-ca-cert-file", str(tmp_path / "ca.pem"),
    ]  # fmt: skip
    url = f"rediss://127.0.0.1:{port}/0"
    with redis_node(tmp_path / "node", *options, port=port):
        async with engine_on(f"{url}?ssl_ca_certs={tmp_path / 'ca.pem'}") as engine:
            assert await engine.snapshot() == {}
        async with engine_on(url) as engine:
            with pytest.raises(SourceUnavailable, match="certificate verify failed"):
                await engine.snapshot()


async def test_wrong_credentials_are_named_as_such(world: BullmqWorld) -> None:
    await world.redis.acl_setuser(
        "team", reset=True, enabled=True, passwords=["+right"], keys=["bull:*"]
    )
    for user in ("team:wrong", "nobody:right"):
        async with engine_on(world.server.url.replace("://", f"://{user}@")) as engine:
            with pytest.raises(
                SourceUnavailable, match="refuses the user name or password"
            ) as told:
                await engine.snapshot()
            assert told.value.source == SOURCE
    await world.redis.acl_deluser("team")


@pytest.mark.parametrize(
    ("rights", "missing"),
    [
        ({"commands": []}, "evalsha"),
        ({"commands": ["+evalsha", "+eval"]}, "call HMGET: The user executing the script"),
        ({"commands": ["+evalsha", "+eval", "+exists", "+hmget", "+get"]}, "call LLEN"),
        ({"commands": ["+evalsha", "+eval"], "categories": ["+@read"]}, None),
        ({"commands": ["+evalsha", "+eval"], "keys": ["bull:*:meta"]}, "access at least one of"),
        ({"commands": ["+evalsha", "+eval"], "keys": ["other:*"]}, "access one of the keys"),
    ],
)
async def test_missing_right_to_read_is_named(
    world: BullmqWorld, rights: dict[str, Any], missing: str | None
) -> None:
    await world.v6.add("mail", {})
    given = {"categories": ["+@read", "+@connection"] if "keys" in rights else [], **rights}
    given["categories"] += ["+@connection"]
    await world.redis.acl_setuser(
        "team", reset=True, enabled=True, passwords=["+right"], **{"keys": ["bull:*"], **given}
    )
    url = world.server.url.replace("://", "://team:right@")
    async with engine_on(url, queues=["mail"]) as engine:
        if missing is None:
            assert len(await engine.snapshot()) == 1
        else:
            with pytest.raises(SourceUnavailable, match=missing) as told:
                await engine.snapshot()
            assert "Grant it `~bull:* +@read +@write +@connection +evalsha" in str(told.value)
    await world.redis.acl_deluser("team")


async def test_missing_right_to_change_is_named_and_nothing_is_changed(
    world: BullmqWorld,
) -> None:
    (failed,) = await world.fail(6)
    await world.redis.acl_setuser(
        "team", reset=True, enabled=True, passwords=["+right"], keys=["bull:*"],
        categories=["+@read", "+@connection"], commands=["+evalsha", "+eval"],
    )  # fmt: skip
    async with engine_on(world.server.url.replace("://", "://team:right@")) as engine:
        (queue,) = await engine.snapshot()
        calls = {
            "ZREM": engine.retry(world.ref(failed)),
            "DEL": engine.pause(queue),
            "ZREM.*": engine.delete(world.ref(failed)),
        }
        for command, call in calls.items():
            with pytest.raises(SourceUnavailable, match=f"does not let this user call {command}:"):
                await call
    assert (await world.job(failed)).state is JobState.FAILED
    assert not (await world.stats()).paused
    await world.redis.acl_deluser("team")


async def test_documented_rights_are_enough(world: BullmqWorld) -> None:
    failed = await world.fail(6, 3)
    waiting = await world.v6.add("mail", {})
    await world.redis.acl_setuser(
        "team", reset=True, enabled=True, passwords=["+right"], keys=["bull:*"],
        categories=["+@read", "+@write", "+@connection"], commands=["+evalsha", "+eval"],
    )  # fmt: skip
    async with engine_on(world.server.url.replace("://", "://team:right@")) as engine:
        (queue,) = await engine.snapshot()
        await engine.pause(queue)
        await engine.resume(queue)
        await engine.retry(world.ref(failed[0]))
        await engine.delete(world.ref(waiting))
        async for _ in engine.bulk(BulkAction.RETRY_FAILED, queue, utc_now()):
            pass
    assert (await world.stats()).waiting == 3
    await world.redis.acl_deluser("team")


async def test_server_that_forgot_the_scripts_is_told_them_again(world: BullmqWorld) -> None:
    await world.v6.add_many("mail", [{}, {}])
    await world.v6.add("other", {})
    for _ in range(2):
        await world.redis.script_flush()
        assert len(await world.engine.snapshot()) == 2
        await world.redis.script_flush()
        assert await world.engine.delete(
            world.ref((await world.redis.lrange("bull:mail:wait", 0, 0))[0])
        )
    assert (await world.stats()).waiting == 0


async def test_read_only_server_is_read_and_says_why_it_changes_nothing(
    world: BullmqWorld,
) -> None:
    (failed,) = await world.fail(6)
    queue = await world.queue()
    await world.redis.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        assert (await world.stats()).failed == 1
        for change in (world.engine.retry, world.engine.delete):
            with pytest.raises(SourceUnavailable, match="read only replica"):
                await change(world.ref(failed))
        with pytest.raises(SourceUnavailable, match="read only replica"):
            await world.engine.pause(queue)
    finally:
        await world.redis.execute_command("REPLICAOF", "NO", "ONE")
    assert (await world.job(failed)).state is JobState.FAILED


async def test_full_server_can_be_paused_and_tidied(world: BullmqWorld) -> None:
    failed = await world.fail(6, 3)
    queue = await world.queue()
    await world.redis.config_set("maxmemory", 1)
    try:
        assert (await world.stats()).failed == 3
        assert len((await world.engine.list_jobs(queue, None, 10, 0)).items) == 3
        await world.engine.retry(world.ref(failed[0]))
        await world.engine.pause(queue)
        assert (await world.stats()).paused
        await world.engine.retry(world.ref(failed[1]))
        await world.engine.delete(world.ref(failed[2]))
        await world.engine.resume(queue)
    finally:
        await world.redis.config_set("maxmemory", 0)
    stats = await world.stats()
    assert (stats.waiting, stats.failed, stats.paused) == (2, 0, False)
    world.heal()
    async with world.v6.workers(world.directory, "mail"):
        await world.until_state(JobState.COMPLETED, failed[:2])


async def test_jobs_set_aside_are_brought_back_on_a_full_server(world: BullmqWorld) -> None:
    await world.v5.add_many("mail", [{}, {}, {}])
    await world.redis.lmove("bull:mail:wait", "bull:mail:paused", "RIGHT", "LEFT")
    await world.redis.config_set("maxmemory", 1)
    try:
        await world.engine.resume(await world.queue())
    finally:
        await world.redis.config_set("maxmemory", 0)
    assert await world.redis.lrange("bull:mail:wait", 0, -1) == ["3", "2", "1"]


async def test_silent_server_is_unavailable_and_answers_again(
    world: BullmqWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "ANSWER_TIMEOUT_S", 0.3)
    await world.v6.add("mail", {})
    async with engine_on(world.server.url) as engine:
        before = await engine.snapshot()
        assert world.server.process is not None
        world.server.process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(SourceUnavailable, match="does not answer"):
                await engine.snapshot()
        finally:
            world.server.process.send_signal(signal.SIGCONT)
        assert await engine.snapshot() == before


@asynccontextmanager
async def two_nodes(directory: Path) -> AsyncIterator[tuple[int, int]]:
    """A cluster of two nodes; gives their ports."""
    with ExitStack() as stack:
        ports = [
            stack.enter_context(
                redis_node(
                    directory / str(number), "--cluster-enabled", "yes",
                    "--cluster-port", str(servers.free_port()),
                )
            )
            for number in range(2)
        ]  # fmt: skip
        nodes: list[Any] = [Redis(port=port, decode_responses=True) for port in ports]
        await nodes[0].execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 8191)
        await nodes[1].execute_command("CLUSTER", "ADDSLOTSRANGE", 8192, 16383)
        bus = (await nodes[1].config_get("cluster-port"))["cluster-port"]
        await nodes[0].execute_command("CLUSTER", "MEET", "127.0.0.1", ports[1], bus)

        async def agree() -> bool:
            for node in nodes:
                about = await node.execute_command("CLUSTER", "INFO")
                slots = await node.execute_command("CLUSTER", "SLOTS")
                if "cluster_state:ok" not in str(about) or len(slots) != 2:
                    return False
            return True

        await eventually(agree, what="the nodes agree")
        for node in nodes:
            await node.aclose()
        yield ports[0], ports[1]


async def test_cluster_with_tagged_names_works(bullmq_programs: Programs, tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as ports:
        url = f"redis://127.0.0.1:{ports[0]}"
        tagged = Bullmq(bullmq_programs, f"cluster:{url}", 6, prefix="{bull}")
        await tagged.add_many("mail", [{"outcome": "fail"}, {}])
        # Queues may carry the tag in their own names, too; then they lie on different nodes.
        by_name = Bullmq(bullmq_programs, f"cluster:{url}", 5)
        names = ["{a}", "{b}", "{c}", "{d}"]
        for name in names:
            await by_name.add(name, {})
        async with engine_on(url, cluster=True, prefix="{bull}") as engine:
            (queue,) = await engine.snapshot()
            await engine.pause(queue)
            await engine.resume(queue)
            fleet = tagged.fleet(tmp_path)

            async def is_done() -> bool:
                stats = (await engine.snapshot())[queue]
                return (stats.completed, stats.failed) == (1, 1)

            async with fleet.running("mail"):
                await eventually(is_done)
            await engine.retry(JobRef(SOURCE, "1", "mail"))
            page = await engine.list_jobs(queue, None, 10, 0)
            assert {job.state for job in page.items} == {JobState.WAITING, JobState.COMPLETED}
            assert runs_of(fleet.runs()) == {"1": 1, "2": 1}
        async with engine_on(url, cluster=True) as engine:
            snapshot = await engine.snapshot()
            assert {each.name for each in snapshot} == {f"queue:{name}" for name in names}
            for each in snapshot:
                await engine.pause(each)
            assert {stats.paused for stats in (await engine.snapshot()).values()} == {True}
        async with engine_on(url, queues=names) as engine:
            with pytest.raises(SourceUnavailable, match="Set `cluster = true`"):
                await engine.snapshot()
        await by_name.close()


async def test_cluster_setting_on_a_single_server_is_named(world: BullmqWorld) -> None:
    async with engine_on(world.server.url, cluster=True) as engine:
        with pytest.raises(SourceUnavailable, match="is no cluster"):
            await engine.snapshot()


async def test_nobody_there_is_unavailable(world: BullmqWorld) -> None:
    async with engine_on(f"redis://127.0.0.1:{servers.free_port()}/0") as engine:
        queue = QueueRef(SOURCE, "queue:mail")
        for call in (engine.snapshot(), engine.find_queue("queue:mail"), engine.pause(queue)):
            with pytest.raises(SourceUnavailable, match="does not answer"):
                await call
