"""The sample platform's servers: a mail server that goes away, a pooler's console, the weather."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address

import aiosmtplib
import pytest

import servers
from quarterdeck.app.reputation_room import compose_checker
from quarterdeck.config import OurAddress, Reputation, Settings
from quarterdeck.demo.attachment import ADDRESSES, attached
from quarterdeck.demo.dns_server import LISTED, DnsServer
from quarterdeck.demo.mail_events import past, recent
from quarterdeck.demo.plan import Plan, Ports
from quarterdeck.demo.pool_console import PoolConsole
from quarterdeck.demo.smtp_server import SmtpServer
from quarterdeck.demo.submission import submit
from quarterdeck.demo.weather import (
    API_SLOW,
    POOL_FULL,
    POOL_SIZE,
    ROUND_S,
    SMTP_AWAY,
    Weather,
    weather_at,
)
from quarterdeck.demo.weather import (
    LISTED as A_LIST,
)
from quarterdeck.health.adapters import probe_factory
from quarterdeck.health.model import Outcome, Reading
from quarterdeck.health.ports import Toolbox
from quarterdeck.net.guard import Guard
from quarterdeck.reputation.adapters import line_reader
from quarterdeck.reputation.model import SendingAddress

LETTER = {"from": "news@mail.acme.example", "subject": "Spring sale"}


@pytest.fixture
async def smtp() -> AsyncIterator[tuple[SmtpServer, int]]:
    port = servers.free_port()
    server = SmtpServer(port)
    await server.up()
    yield server, port
    await server.down()


async def reading_of(kind: str, **options: object) -> Reading:
    """What our own probe says of it."""

    async def nothing(*_: object) -> None:
        raise NotImplementedError

    factory = probe_factory(kind)
    toolbox = Toolbox(5.0, Guard(), lambda: datetime.now(UTC), nothing, lambda _: None)  # type: ignore[arg-type]
    probe = factory(factory.Options(**options), toolbox)
    try:
        return await probe.check()
    finally:
        await probe.close()


def test_each_trouble_comes_alone_and_goes() -> None:
    troubles = []
    for second in range(int(ROUND_S)):
        weather = weather_at(second)
        troubles.append(
            (
                not weather.smtp_is_up,
                weather.connections_used == POOL_SIZE,
                weather.answer_delay_s > 0,
            )
        )
        assert sum(troubles[-1]) <= 1
        assert weather.is_listed is (A_LIST[0] <= second < A_LIST[1])
        assert weather == weather_at(second + ROUND_S)
    lengths = [end - begin for begin, end in (SMTP_AWAY, POOL_FULL, API_SLOW)]
    assert [sum(kind) for kind in zip(*troubles, strict=True)] == lengths
    assert not any(troubles[0])


async def test_letter_is_taken_and_a_server_that_is_away_is_waited_for(
    smtp: tuple[SmtpServer, int],
) -> None:
    server, port = smtp
    await submit(port, LETTER, asyncio.Event())
    await server.down()
    waiting = asyncio.create_task(submit(port, LETTER, asyncio.Event()))
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    assert not waiting.done()
    await server.up()
    await asyncio.wait_for(waiting, 30)


async def test_platform_that_stops_waits_for_nobody(smtp: tuple[SmtpServer, int]) -> None:
    server, port = smtp
    await server.down()
    stop = asyncio.Event()
    stop.set()
    with pytest.raises((OSError, aiosmtplib.SMTPException)):
        await submit(port, LETTER, stop)


async def test_sample_list_lists_in_bad_weather_and_works_always() -> None:
    is_bad = False

    def weather() -> Weather:
        return replace(weather_at(0), is_listed=is_bad)

    port = servers.free_port()
    transport = await DnsServer(weather).open(port)
    plan = Plan("sqlite:///x", 7, Ports(1, 2, 3, port))
    checker = compose_checker(attached(Settings(reputation=Reputation()), plan).reputation)
    assert [each.id for each in checker.lists] == ["sample-blocklist"]
    ours = [SendingAddress(ip_address(each.address)) for each in ADDRESSES]
    for is_bad in (False, True, False):
        report = await checker.check(ours, datetime.now(UTC))
        assert [zone.problem for zone in report.zones] == [None]
        listed = [str(each.address) for each in report.lookups if each.state.value == "listed"]
        assert listed == ([LISTED] if is_bad else [])
        assert len(report.lookups) == 3
    names = {str(each.address): each for each in report.identities}
    assert names[LISTED].is_forward_confirmed is True
    assert names["2001:db8:25::12"].has_ptr is False
    transport.close()


async def test_user_with_addresses_keeps_them() -> None:
    mine = Reputation(addresses=[OurAddress("192.0.2.1")])
    plan = Plan("sqlite:///x", 7, Ports(1, 2, 3, 4))
    settings = attached(Settings(reputation=mine), plan)
    assert settings.reputation == mine
    assert len(settings.health.services) == 4
    again = attached(settings, plan)
    assert again.health == settings.health


def test_mail_events_are_the_same_again_and_of_sample_addresses() -> None:
    now = datetime(2026, 11, 26, 12, tzinfo=UTC)
    lines = past(7, now).splitlines()
    assert lines == past(7, now).splitlines()
    assert len(lines) > 30_000
    reader = line_reader("neutral")
    events = [event for line in lines[:2000] + recent(7, 1, 20, now).splitlines()
              for event in reader.read(line)]  # fmt: skip
    assert {str(each.ip) for each in events} <= {each.address for each in ADDRESSES}
    assert all(each.recipient_domain.endswith(".example") for each in events)


async def test_probe_finds_the_mail_server(smtp: tuple[SmtpServer, int]) -> None:
    server, port = smtp
    reading = await reading_of("smtp", host="127.0.0.1", port=port)
    assert (reading.outcome, reading.reason) == (Outcome.OK, None)
    await server.down()
    assert (await reading_of("smtp", host="127.0.0.1", port=port)).outcome is Outcome.FAIL


async def test_mail_server_answers_what_it_does_not_know(smtp: tuple[SmtpServer, int]) -> None:
    _, port = smtp
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert (await reader.readline()).startswith(b"220 ")
    writer.write(b"VRFY root\r\nNOOP\r\nQUIT\r\n")
    rest = await reader.read()
    assert [line[:3] for line in rest.splitlines()] == [b"502", b"250", b"221"]
    writer.close()


@pytest.mark.parametrize(("used", "waiting"), [(7, 0), (20, 12)])
async def test_probe_reads_the_pools(used: int, waiting: int) -> None:
    port = servers.free_port()
    console = await PoolConsole(port, lambda: Weather(True, used, waiting, 0)).open()
    url = f"postgresql://monitor@127.0.0.1:{port}/pgbouncer"
    reading = await reading_of("postgres", url=url, pgbouncer=True)
    assert (reading.outcome, reading.reason) == (Outcome.OK, None)
    assert reading.metrics["connection_pool_usage_percent"] == 100 * used / POOL_SIZE
    assert reading.metrics["clients_waiting"] == waiting
    # Anything else is refused in the protocol's own words.
    reading = await reading_of("postgres", url=url)
    assert reading.outcome is Outcome.FAIL
    console.close()


@pytest.mark.parametrize("said", [b"", b"\x00\x00\x00", b"\xff" * 50, b"\x00\x00\x00\x08abcdGET /"])
async def test_console_hangs_up_on_what_is_no_protocol(said: bytes) -> None:
    port = servers.free_port()
    console = await PoolConsole(port, lambda: weather_at(0)).open()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    writer.write_eof()
    assert b"SHOW" not in await asyncio.wait_for(reader.read(), 30)
    writer.close()
    console.close()


def test_plan_travels_as_one_argument() -> None:
    for plan in (
        Plan("sqlite:///x", 7),
        Plan("sqlite:///ü", 8, Ports(1, 2, 3, 4), 1.5, 2.0, "/tmp/logs.json"),
    ):
        assert Plan.from_argument(plan.to_argument()) == plan
