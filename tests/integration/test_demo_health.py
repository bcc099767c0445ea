"""The sample platform's API, what is added to a user's settings, and what the guide says."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.config import Health, Settings
from quarterdeck.demo import web_api
from quarterdeck.demo.attachment import API, DATABASE, SMTP, attached
from quarterdeck.demo.plan import Plan, Ports
from quarterdeck.demo.weather import (
    API_SLOW,
    LISTED,
    POOL_FULL,
    SLOW_S,
    SMTP_AWAY,
    weather_at,
)

GUIDE = Path(__file__).parents[2] / "docs" / "demo.md"
FINE, SLOW = weather_at(0), weather_at(API_SLOW[0])


@dataclass
class Waits:
    """Stands in for the event loop's sleep, so that a slow answer costs the test nothing."""

    taken: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.taken.append(seconds)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    noted = Waits()
    monkeypatch.setattr(web_api, "asyncio", noted)
    return noted


async def called(app: web_api.WebApi, path: str, times: int = 1) -> list[int]:
    """The statuses of so many answers."""
    statuses = []

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    for _ in range(times):
        await app({"type": "http", "path": path}, None, send)
    return statuses


def p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * len(values))]


async def test_slow_api_is_past_its_limit_and_a_usual_one_far_below(waits: Waits) -> None:
    await called(web_api.WebApi(lambda: FINE, 7), "/v1/messages", 1000)
    usual, waits.taken = p95(waits.taken), []
    await called(web_api.WebApi(lambda: SLOW, 7), "/v1/messages", 1000)
    assert usual < 0.3
    assert 1.0 < p95(waits.taken) < SLOW_S + 0.3


async def test_probe_is_answered_at_once_while_customers_wait(waits: Waits) -> None:
    assert await called(web_api.WebApi(lambda: SLOW, 7), "/health", 20) == [200] * 20
    assert waits.taken == []


@pytest.mark.usefixtures("waits")
async def test_few_calls_fail_and_the_same_seed_fails_the_same() -> None:
    first = await called(web_api.WebApi(lambda: FINE, 7), "/v1/messages", 2000)
    again = await called(web_api.WebApi(lambda: FINE, 7), "/v1/messages", 2000)
    assert first == again
    assert set(first) == {202, 500}
    assert first.count(500) < 2000 * 0.02


async def test_customers_stop_when_they_are_told() -> None:
    stop = asyncio.Event()
    calling = asyncio.create_task(web_api.call_again(1, stop))  # nobody listens there
    await asyncio.sleep(0)
    stop.set()
    await asyncio.wait_for(calling, 30)


def test_services_of_the_user_stay_and_keep_their_names() -> None:
    mine = [
        {"name": "Our Cache", "probes": [{"kind": "tcp", "host": "cache", "port": 6379}]},
        {"name": API, "probes": [{"kind": "http", "url": "https://api.example/health"}]},
    ]
    settings = Settings(health=Health(services=mine, deny=["198.51.100.0/24"]))
    health = attached(settings, Plan("sqlite:///x", 7, Ports(1, 2, 3, 4))).health
    assert health.services[:2] == mine
    assert [each["name"] for each in health.services[2:]] == [SMTP, DATABASE, "Nightly Backup"]
    assert health.deny == ["198.51.100.0/24"]


def test_platform_without_servers_adds_no_services() -> None:
    settings = attached(Settings(), Plan("sqlite:///x", 7))
    assert settings.health.services == []


def test_ports_of_a_platform_differ() -> None:
    free = Ports.free()
    assert len({free.api, free.smtp, free.database, free.dns}) == 4


def test_guide_says_when_each_trouble_comes() -> None:
    text = GUIDE.read_text()
    for begin, end in (SMTP_AWAY, LISTED, POOL_FULL, API_SLOW):
        assert f"| {clock(begin)} to {clock(end)} |" in text


def clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}"
