"""The sample platform's servers: a mail server that goes away, a pooler's console, the weather."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import aiosmtplib
import pytest

import servers
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
from quarterdeck.health.adapters import probe_factory
from quarterdeck.health.model import Outcome, Reading
from quarterdeck.health.ports import Toolbox
from quarterdeck.net.guard import Guard

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
        Plan("sqlite:///ü", 8, Ports(1, 2, 3), 1.5, 2.0, "/tmp/logs.json"),
    ):
        assert Plan.from_argument(plan.to_argument()) == plan
