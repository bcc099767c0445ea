"""What every probe that connects must do, whatever it speaks."""

import asyncio
from typing import Any

import pytest

import servers
from contract.health_probes.conftest import SHORT_S, Build, no_socket_is_left
from contract.health_probes.faults import (
    flood,
    garbage,
    hang,
    hang_up,
    passage,
    reset,
    serving,
)
from contract.health_probes.worlds import SECRETS, WORLDS, World
from quarterdeck.health.adapters import PROBES
from quarterdeck.health.model import Outcome, Reading
from quarterdeck.health.ports import Probe
from quarterdeck.net.guard import Guard

LOCAL = Guard.of(["127.0.0.0/8", "::1"])
"""Under it this machine may not be reached, in any spelling."""
SPELLINGS = {
    "literal": "127.0.0.1",
    "name": "localhost",
    "mapped": "::ffff:127.0.0.1",
    "number": "2130706433",
    "octal": "0177.0.0.1",
}
METADATA = ["169.254.169.254", "::ffff:169.254.169.254", "2852039166", "64:ff9b::a9fe:a9fe"]


def worst(world: World) -> Outcome:
    """What a probe says of a service that is not there."""
    return Outcome.UNKNOWN if world.kind == "prometheus" else Outcome.FAIL


def clean(reading: Reading, *probes: Probe) -> None:
    texts = [repr(reading), *(text for probe in probes for text in (repr(probe), probe.target))]
    assert not [secret for secret in SECRETS for text in texts if secret in text]


async def test_healthy_service_is_ok_with_its_metrics(
    world: World, build: Build, request: pytest.FixtureRequest
) -> None:
    async with world.serve(request) as port:
        probe = build(world.kind, world.options("127.0.0.1", port))
        first, second = await probe.check(), await probe.check()
        assert (first.outcome, first.reason) == (Outcome.OK, None)
        assert (second.outcome, second.reason) == (Outcome.OK, None)
        assert world.metrics <= {
            name for name, value in second.metrics.items() if value is not None
        }
        assert world.facets <= set(second.facets)
        clean(second, probe)
        await probe.close()


async def test_service_that_nobody_runs_fails(world: World, build: Build) -> None:
    probe = build(world.kind, world.options("127.0.0.1", servers.free_port()))
    reading = await probe.check()
    assert reading.outcome is worst(world)
    assert "nothing listens there (connection refused)" in str(reading.reason)
    clean(reading, probe)


async def test_service_that_hangs_fails_in_its_time(world: World, build: Build) -> None:
    async with serving(hang) as fault:
        probe = build(world.kind, world.options("127.0.0.1", fault.port), SHORT_S)
        reading = await probe.check()
        assert reading.outcome is worst(world)
        assert str(reading.reason).endswith(f"within {SHORT_S} s")
        clean(reading, probe)
        await probe.close()
        async with asyncio.timeout(10):
            while fault.open:
                await asyncio.sleep(0)


async def test_service_that_floods_fails_before_it_has_sent_much(
    world: World, build: Build
) -> None:
    async with serving(flood(world.flood)) as fault:
        probe = build(world.kind, world.options("127.0.0.1", fault.port))
        reading = await probe.check()
        assert reading.outcome is worst(world)
        assert "within" not in str(reading.reason)
        # 64 KiB for the probe; the rest is in the buffers of the system and of the event loops.
        assert fault.sent < 16 * 2**20
        clean(reading, probe)


@pytest.mark.parametrize("behave", [garbage, hang_up, reset], ids=lambda one: one.__name__)
async def test_service_that_misbehaves_fails(world: World, build: Build, behave: Any) -> None:
    async with serving(behave) as fault:
        probe = build(world.kind, world.options("127.0.0.1", fault.port))
        reading = await probe.check()
        assert reading.outcome is worst(world)
        assert reading.reason
        assert "within" not in reading.reason
        clean(reading, probe)


async def test_connection_that_was_cut_is_made_again(
    world: World, build: Build, request: pytest.FixtureRequest
) -> None:
    async with world.serve(request) as port, passage(port) as way:
        probe = build(world.kind, world.options("127.0.0.1", way.port))
        assert (await probe.check()).outcome is Outcome.OK
        way.cuts()
        # The next check may come before the news of it.
        readings = [await probe.check() for _ in range(2)]
        assert (readings[1].outcome, readings[1].reason) == (Outcome.OK, None)
        await probe.close()


async def test_closing_gives_every_socket_back(
    world: World, build: Build, request: pytest.FixtureRequest
) -> None:
    async with world.serve(request) as port, no_socket_is_left():
        probe = build(world.kind, world.options("127.0.0.1", port))
        await probe.check()
        await probe.close()


async def test_cancelled_check_gives_every_socket_back(world: World, build: Build) -> None:
    async with no_socket_is_left(), serving(hang) as fault:
        probe = build(world.kind, world.options("127.0.0.1", fault.port))
        check = asyncio.create_task(probe.check())
        async with asyncio.timeout(10):
            while not fault.connections:
                await asyncio.sleep(0)
        check.cancel()
        with pytest.raises(asyncio.CancelledError):
            await check
        await probe.close()


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_refused_address_is_not_connected_to(
    world: World, build: Build, spelling: str
) -> None:
    async with serving(hang) as fault:
        probe = build(world.kind, world.options(SPELLINGS[spelling], fault.port), guard=LOCAL)
        reading = await probe.check()
        assert reading.outcome is worst(world)
        assert "are not allowed" in str(reading.reason)
        assert fault.connections == 0


@pytest.mark.parametrize("address", METADATA)
async def test_metadata_address_is_refused_without_any_setting(
    world: World, build: Build, address: str
) -> None:
    reading = await build(world.kind, world.options(address, 80)).check()
    assert reading.outcome is worst(world)
    assert "are not allowed" in str(reading.reason)


async def test_name_that_leads_to_link_local_is_refused(
    world: World, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(*_: object, **__: object) -> list[Any]:
        return [(2, 1, 6, "", ("169.254.10.20", 80))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve, raising=False)
    reading = await build(world.kind, world.options("rebound.example", 80)).check()
    assert "connections to 169.254.10.20 are not allowed" in str(reading.reason)


def test_every_kind_has_a_world_or_a_suite_of_its_own() -> None:
    assert {world.kind for world in WORLDS.values()} | {"heartbeat", "queue"} == set(PROBES)
