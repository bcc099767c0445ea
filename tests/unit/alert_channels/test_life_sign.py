"""The sign of life against a real server: given while rules are evaluated, and only then."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contract.alert_channels.receivers import Conduct, HttpReceiver, http_receiver
from quarterdeck.alerts.life_sign import LifeSign
from quarterdeck.alerts.service import AlertOptions, AlertService
from quarterdeck.core.errors import ConfigError
from quarterdeck.net.outgoing import PostClient
from quarterdeck.state import migrate, open_database
from servers import MIGRATIONS

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


class Watched:
    """When the rules were evaluated, and what the time is."""

    evaluated_at: datetime | None = NOON
    now = NOON


@pytest.fixture
async def receiver() -> AsyncIterator[HttpReceiver]:
    async with http_receiver() as opened:
        yield opened


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
async def sign(receiver: HttpReceiver, watched: Watched) -> AsyncIterator[LifeSign]:
    client = PostClient(f"http://127.0.0.1:{receiver.port}/s3cret", "here", 5)
    made = LifeSign(client, lambda: watched.evaluated_at, 45, lambda: watched.now)
    yield made
    await made.close()


async def test_sign_is_given_while_rules_are_evaluated(
    sign: LifeSign, receiver: HttpReceiver, watched: Watched
) -> None:
    assert await sign.give()
    watched.now = NOON + timedelta(seconds=45)
    assert await sign.give()
    assert len(receiver.received) == 2


@pytest.mark.parametrize("evaluated_at", [None, NOON - timedelta(seconds=46)])
async def test_no_sign_is_given_when_nobody_looks(
    sign: LifeSign, receiver: HttpReceiver, watched: Watched, evaluated_at: datetime | None
) -> None:
    watched.evaluated_at = evaluated_at
    assert not await sign.give()
    assert receiver.received == []


async def test_trouble_is_told_once_and_without_the_address(
    sign: LifeSign, receiver: HttpReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "quarterdeck.alerts"):
        receiver.conduct = Conduct.RESET
        assert not await sign.give()
        receiver.conduct, receiver.status = Conduct.GOOD, 500
        assert not await sign.give()
        receiver.status = 200
        assert await sign.give()
    ours = [record for record in caplog.records if record.name == "quarterdeck.alerts"]
    assert [record.levelname for record in ours] == ["WARNING", "INFO"]
    assert not any("s3cret" in record.getMessage() for record in ours)


async def test_room_gives_it_from_its_first_evaluation_on(
    receiver: HttpReceiver, tmp_path: Path
) -> None:
    database = open_database(_migrated(tmp_path), "state")
    url = f"http://127.0.0.1:{receiver.port}/s3cret"
    options = AlertOptions(rules=[], providers={}, heartbeat_url=url)
    room = AlertService(database, options)
    stop = asyncio.Event()
    await room.evaluate()
    running = asyncio.create_task(room.run(stop))
    async with asyncio.timeout(30):
        while not receiver.received:
            await asyncio.sleep(0.01)
    stop.set()
    await running
    await room.close()
    await database.close()


def test_address_that_is_none_names_the_setting(tmp_path: Path) -> None:
    database = open_database(_migrated(tmp_path), "state")
    options = AlertOptions(rules=[], providers={}, heartbeat_url="s3cret")
    with pytest.raises(ConfigError, match=r"alerts\.heartbeat_url: expected an http") as refused:
        AlertService(database, options)
    assert "s3cret" not in refused.value.message
    asyncio.run(database.close())


def _migrated(directory: Path) -> str:
    url = f"sqlite:///{directory / 'state.sqlite3'}"
    migrate(url, MIGRATIONS)
    return url
