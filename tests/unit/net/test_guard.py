"""Which addresses are refused, in which spelling; that the check is on what is connected to."""

import asyncio
import socket
from ipaddress import ip_address
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.core.errors import ConfigError
from quarterdeck.net.guard import AddressRefused, Guard, embedded

REFUSED = [
    "0.0.0.0",
    "0.1.2.3",
    "169.254.0.1",
    "169.254.169.254",
    "100.100.100.200",
    "192.0.0.192",
    "224.0.0.1",
    "239.255.255.250",
    "255.255.255.255",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "fd00:ec2::254",
    "fd20:ce::254",
]
ALLOWED = [
    "127.0.0.1",
    "::1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.100.100.201",
    "8.8.8.8",
    "fd00::1",
    "2001:4860:4860::8888",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::10.0.0.1",
    "::ffff:10.0.0.1",
    "2002:808:808::1",
]
WRAPPINGS = [
    "::ffff:{v4}",
    "::ffff:0:{v4}",
    "::{v4}",
    "64:ff9b::{v4}",
    "64:ff9b:1::{v4}",
    "64:ff9b:1:{first}:{upper}:{lower}00::",
    "2002:{first}:{second}::1",
    "2001:0:{first}:{second}::",
    "2001:db8::5efe:{v4}",
    "2001:db8::200:5efe:{v4}",
]


def wrapped(form: str, address: str) -> str:
    """An IPv6 spelling of an IPv4 address."""
    a, b, c, d = socket.inet_aton(address)
    return form.format(
        v4=address,
        first=f"{a:02x}{b:02x}",
        second=f"{c:02x}{d:02x}",
        upper=f"{c:02x}",
        lower=f"{d:02x}",
    )


@pytest.mark.parametrize("address", REFUSED)
def test_address_that_nobody_may_reach_is_refused(address: str) -> None:
    with pytest.raises(AddressRefused):
        Guard().require(address)


@pytest.mark.parametrize("address", ALLOWED)
def test_address_of_the_operators_own_is_admitted(address: str) -> None:
    Guard().require(address)


@pytest.mark.parametrize("form", WRAPPINGS)
def test_embedded_metadata_address_is_refused(form: str) -> None:
    with pytest.raises(AddressRefused):
        Guard().require(wrapped(form, "169.254.169.254"))


def test_client_in_a_teredo_tunnel_is_refused() -> None:
    with pytest.raises(AddressRefused):
        Guard().require("2001:0:808:808:0:0:5601:5601")  # the client's bits are turned over


@given(st.ip_addresses(v=4), st.sampled_from(WRAPPINGS))
def test_what_is_embedded_decides_like_itself(address: Any, form: str) -> None:
    def refuses(text: str) -> bool:
        try:
            Guard().require(text)
        except AddressRefused:
            return True
        return False

    spelled = wrapped(form, str(address))
    assert address in embedded(ip_address(spelled))
    assert refuses(spelled) >= refuses(str(address))


def test_denied_network_is_refused_but_for_its_exceptions() -> None:
    guard = Guard.of(["10.0.0.0/8", "fd00::/8"], allow=["10.1.2.0/24"])
    for refused in ("10.0.0.1", "::ffff:10.0.0.1", "fd00::1"):
        with pytest.raises(AddressRefused):
            guard.require(refused)
    for admitted in ("10.1.2.3", "::ffff:10.1.2.3", "192.168.0.1"):
        guard.require(admitted)


def test_exception_never_reaches_what_is_always_refused() -> None:
    with pytest.raises(AddressRefused):
        Guard.of([], allow=["0.0.0.0/0", "::/0"]).require("169.254.169.254")


def test_what_is_no_network_is_named() -> None:
    with pytest.raises(ConfigError, match=r"health\.deny: expected a network such as"):
        Guard.of(["intranet"], where="health.deny")


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(AddressRefused):
        Guard().require("localhost")


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.16689662"]
)
async def test_spellings_of_the_system_are_refused(host: str) -> None:
    with pytest.raises(AddressRefused):
        await Guard().connect(host, 80)
    with pytest.raises(AddressRefused):
        await Guard().resolve(host, 80)


async def test_connected_socket_is_of_an_admitted_address() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with await Guard().connect("localhost", port) as sock:
        assert sock.getpeername() == ("127.0.0.1", port)
        assert not sock.getblocking()
    assert (socket.AF_INET, ("127.0.0.1", port)) in await Guard().resolve("localhost", port)
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("host", ["no-such-name.invalid", "a" * 64 + ".example", "", "a..b"])
async def test_name_without_an_address_is_an_error(host: str) -> None:
    with pytest.raises(OSError):
        await Guard.of(["127.0.0.0/8", "::1"]).connect(host, 80)


async def test_refused_addresses_of_a_name_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(*_: object, **__: object) -> list[Any]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.1.1", 80)),
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 80, 0, 2)),
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 80, 0, 0)),
        ]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    found = await Guard().resolve("mixed.example", 80)
    assert found == [(socket.AF_INET6, ("2001:db8::1", 80))]


async def test_aiohttp_does_not_get_past_it_with_a_literal() -> None:
    connector = aiohttp.TCPConnector(socket_factory=Guard().open_socket)
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await session.get("http://169.254.169.254/latest/meta-data/")
    assert isinstance(caught.value.os_error, AddressRefused)
