"""Whether the monitor itself has a network: asked only when much fails, on real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from quarterdeck.core.errors import ConfigError
from quarterdeck.health.connectivity import Connectivity, Network
from quarterdeck.health.model import Outcome
from servers import free_port


async def connect(host: str, port: int) -> socket.socket:
    """As the guard does it, on loopback."""
    opened = socket.socket()
    opened.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(opened, (host, port))
    except OSError:
        opened.close()
        raise
    return opened


@asynccontextmanager
async def listening(port: int = 0) -> AsyncIterator[int]:
    """A port that accepts; says how many came."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port)
    async with server:
        yield server.sockets[0].getsockname()[1]


def asking(*ports: int) -> Connectivity:
    return Connectivity([f"127.0.0.1:{port}" for port in ports], connect)


def noted(network: Network, failing: int, checks: int) -> Network:
    for number in range(checks):
        network.note(number, Outcome.FAIL if number < failing else Outcome.OK)
    return network


async def test_one_address_that_answers_is_enough() -> None:
    async with listening() as port:
        assert await asking(free_port(), port).is_reachable()


async def test_no_address_that_answers_is_no_network() -> None:
    assert not await asking(free_port(), free_port()).is_reachable()


async def test_half_of_the_checks_failing_and_nothing_reachable_is_offline() -> None:
    network = noted(Network(asking(free_port())), 2, 4)
    assert await network.look()
    assert network.is_offline
    assert network.offline_reason
    assert "cannot be reached, and 2 of 4 checks fail" in network.offline_reason


async def test_few_failing_checks_are_not_asked_about() -> None:
    asked: list[int] = []

    async def note(_host: str, port: int) -> socket.socket:
        asked.append(port)
        raise ConnectionRefusedError

    network = noted(Network(Connectivity(["127.0.0.1:9"], note)), 1, 4)
    assert not await network.look()
    assert asked == []
    noted(network, 3, 4)
    assert await network.look()
    assert asked == [9]


async def test_reachable_address_means_that_the_services_are_down() -> None:
    async with listening() as port:
        network = noted(Network(asking(port)), 4, 4)
        assert not await network.look()
        assert not network.is_offline


async def test_without_addresses_nothing_is_claimed() -> None:
    network = noted(Network(asking()), 4, 4)
    assert not await network.look()
    assert not network.is_offline


async def test_address_that_answers_again_ends_it() -> None:
    port = free_port()
    network = noted(Network(asking(port)), 4, 4)
    assert await network.look()
    assert not await network.look()
    async with listening(port):
        assert await network.look()
    assert not network.is_offline


async def test_checks_that_succeed_again_end_it() -> None:
    network = noted(Network(asking(free_port())), 4, 4)
    await network.look()
    noted(network, 0, 4)
    assert await network.look()
    assert network.offline_reason is None


@pytest.mark.parametrize(
    "address", ["", "host", "host:", ":1", "host:0", "host:65536", "http://a:1", "a b:1", "::1:80"],
    ids=lambda address: address or "empty",
)  # fmt: skip
def test_what_is_no_address_is_refused_by_its_key(address: str) -> None:
    with pytest.raises(ConfigError, match=r"health\.connectivity\[1\]: expected host:port"):
        Connectivity(["[::1]:80", address], connect)


def test_sentence_names_all_addresses() -> None:
    def said(*addresses: str) -> str:
        return Connectivity(addresses, connect).offline_reason(3, 4).partition(": ")[2]

    assert said("a:1").startswith("a:1 cannot be reached, and 3 of 4 checks fail.")
    assert said("a:1", "[::1]:2").startswith("neither a:1 nor [::1]:2 can be reached")
    assert said("a:1", "b:2", "c:3").startswith("none of a:1, b:2, c:3 can be reached")
