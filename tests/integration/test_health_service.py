"""The service in simulated time on real state databases: restarts, outages, what others see."""

import asyncio
from datetime import datetime
from pathlib import Path

import pytest

from health_world import (
    FAIL,
    MIGRATIONS,
    OK,
    Answer,
    Given,
    Running,
    StandingFacts,
    always,
    crashing,
    started,
)
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.facts import Facts
from quarterdeck.health.model import Outcome, Reading, ServiceStatus
from quarterdeck.state import migrate
from unit.health_core.simulated import SimulatedLoop, simulate

pytest_plugins = ("facts_fixtures", "health_fixtures")

HEALTHY, DEGRADED, DOWN = ("healthy", False), ("degraded", False), ("down", False)


def told(running: Running) -> list[tuple[str, str, datetime]]:
    return [(each.name, each.status, each.since) for each in running.health.snapshot().services]


def failing_from(second: float, until: float = 1e9) -> Answer:
    return lambda now: FAIL if second <= now < until else OK


def test_failing_service_goes_down_and_recovers(health_sqlite_url: str) -> None:
    async def main(loop: SimulatedLoop) -> None:
        given = Given({"API": [failing_from(100, 200)]})
        async with started(loop, health_sqlite_url, given) as running:
            assert running.seen() == ("degraded", True)
            await running.until(20)
            assert running.seen() == HEALTHY
            await running.until(130)
            assert running.seen() == HEALTHY
            await running.until(160)
            assert running.seen() == DOWN
            await running.until(300)
            assert running.seen() == HEALTHY
        assert [change.status for change in running.changes] == ["healthy", "down", "healthy"]
        assert running.changes[1].reason == "connection refused"
        assert all(probe.is_closed for probe in running.probes)

    simulate(main)


def test_restart_keeps_status_and_since_and_raises_nothing_anew(health_url: str) -> None:
    async def main(loop: SimulatedLoop) -> None:
        given = Given({"API": [always(OK)], "SMTP": [failing_from(50)]})
        async with started(loop, health_url, given) as first:
            await first.until(200)
            before = told(first)
        assert [status for _, status, _ in before] == ["healthy", "down"]
        async with started(loop, health_url, given) as second:
            await second.until(400)
            assert told(second) == before
        assert second.changes == []

    simulate(main)


def test_restart_after_a_pause_is_no_data_until_the_first_known_reading(health_url: str) -> None:
    async def main(loop: SimulatedLoop) -> None:
        async with started(loop, health_url, Given({"API": [always(OK)]})) as first:
            await first.until(60)
            since = first.shown().since
        loop.stand_still(7200)
        given = Given({"API": [lambda now: OK if now > 7290 else Reading(Outcome.UNKNOWN)]})
        async with started(loop, health_url, given) as second:
            await second.until(7280)
            assert second.probes[0].checks
            assert second.seen() == ("degraded", True)
            assert second.shown().reason == "no data for 2 h"
            (signal,) = await second.health.signals()
            assert (signal.values["status"], signal.values["stale"]) == (None, True)
            await second.until(7310)
            assert (second.seen(), second.shown().since) == (HEALTHY, since)

    simulate(main)


def test_crash_loses_no_change_of_status(health_url: str) -> None:
    async def main(loop: SimulatedLoop) -> None:
        given = Given({"API": [failing_from(50)]})
        async with crashing(loop, health_url, given) as first:
            await first.until(120)
            since = first.shown().since
            assert first.seen() == DOWN
        async with started(loop, health_url, given) as second:
            await second.until(loop.time() + 20)
            assert (second.seen(), second.shown().since) == (DOWN, since)

    simulate(main)


def test_state_that_is_gone_at_the_start_is_waited_for(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'late.sqlite3'}"

    async def main(loop: SimulatedLoop) -> None:
        async with started(loop, url, Given({"API": [always(OK)]})) as running:
            await running.until(10)
            assert running.probes[0].checks == 0
            migrate(url, MIGRATIONS)
            await running.until(40)
            assert running.seen() == HEALTHY

    simulate(main)


def test_facts_that_are_down_never_stop_the_probing(health_sqlite_url: str) -> None:
    async def main(loop: SimulatedLoop) -> None:
        async with started(loop, health_sqlite_url, Given({"API": [always(OK)]})) as running:
            await running.health.open()
            await running.until(150)
            assert running.probes[0].checks == 10
            assert running.samples.rows.waiting == 10
            with pytest.raises(SourceUnavailable):
                await running.health.history("API", 1, loop.clock())

    simulate(main)


def test_offline_monitor_blames_no_service(health_sqlite_url: str) -> None:
    def network(now: float) -> bool:
        return not 100 <= now < 700

    answers = [failing_from(100, 700) for _ in range(10)]

    async def main(loop: SimulatedLoop) -> None:
        given = Given(
            {f"service {n}": [answer] for n, answer in enumerate(answers)},
            network=network,
            connectivity=["10.0.0.1:1"],
        )
        async with started(loop, health_sqlite_url, given) as running:
            await running.until(99)
            before = told(running)
            await running.until(600)
            snapshot = running.health.snapshot()
            assert not snapshot.monitor_online
            assert snapshot.monitor_reason
            assert "10.0.0.1:1 cannot be reached" in snapshot.monitor_reason
            assert told(running) == before
            assert all(each.stale for each in snapshot.services)
            assert {s.values["status"] for s in await running.health.signals()} == {None}
            await running.until(750)
            snapshot = running.health.snapshot()
            assert snapshot.monitor_online
            assert told(running) == before
            assert not any(each.stale for each in snapshot.services)
        assert {change.status for change in running.changes} == {ServiceStatus.HEALTHY}

    simulate(main)


def test_platform_that_is_down_while_the_network_works_is_down(health_sqlite_url: str) -> None:
    async def main(loop: SimulatedLoop) -> None:
        given = Given({"API": [failing_from(50)]}, connectivity=["10.0.0.1:1"])
        async with started(loop, health_sqlite_url, given) as running:
            await running.until(120)
            assert running.seen() == DOWN
            assert running.health.snapshot().monitor_online

    simulate(main)


def fail(_: object) -> None:
    raise ZeroDivisionError


def test_listener_that_fails_stops_nothing_and_one_that_left_hears_nothing(
    health_sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(loop: SimulatedLoop) -> None:
        heard: list[object] = []
        async with started(loop, health_sqlite_url, Given({"API": [failing_from(50)]})) as running:
            running.health.subscribe(fail)
            leave = running.health.subscribe(heard.append)
            await running.until(20)
            leave()
            await running.until(120)
            assert running.seen() == DOWN
        assert len(heard) == 1
        assert len(running.changes) == 2

    simulate(main)
    assert "a listener of health changes failed" in caplog.text


def test_snapshot_of_100_services_is_built_once_and_in_order(health_sqlite_url: str) -> None:
    async def main(loop: SimulatedLoop) -> None:
        names = [f"service {number}" for number in range(100)]
        async with started(
            loop, health_sqlite_url, Given({name: [always(OK)] for name in names})
        ) as running:
            await running.until(30.5)
            snapshot = running.health.snapshot()
            assert [each.name for each in snapshot.services] == names
            assert {each.status for each in snapshot.services} == {"healthy"}
            assert running.health.snapshot() is snapshot
            await running.until(32.5)
            later = running.health.snapshot()
            same = [a is b for a, b in zip(snapshot.services, later.services, strict=True)]
            assert 80 <= sum(same) < 100

    simulate(main)


def test_history_is_what_was_watched(health_sqlite_url: str, embedded_facts: Facts) -> None:
    async def main(loop: SimulatedLoop) -> None:
        given = Given(
            {"API": [failing_from(300, 600)]}, facts=StandingFacts(embedded_facts, loop)
        )  # fmt: skip
        async with started(loop, health_sqlite_url, given) as running:
            await running.until(1200)
            await running.samples.rows.flush()
            history = await running.health.history("API", 0.5, loop.clock())
            shown = running.shown()
        assert [change.status for change in history.changes] == [
            None, ServiceStatus.HEALTHY, ServiceStatus.DOWN, ServiceStatus.HEALTHY,
        ]  # fmt: skip
        assert abs((history.changes[-1].at - shown.since).total_seconds()) < 0.001
        assert 280 <= history.down_s <= 320
        assert 600 <= history.unknown_s <= 615
        assert history.uptime_percent == pytest.approx(100 * (1 - history.down_s / 1190), abs=0.5)
        known = [point for point in history.series if point.check_ms is not None]
        assert {point.check_ms for point in known} == {12}
        assert 50 <= len(known) <= 70

    simulate(main)


def test_close_goes_on_where_a_probe_cannot_be_closed(health_sqlite_url: str) -> None:
    async def main(loop: SimulatedLoop) -> None:
        async with started(
            loop, health_sqlite_url, Given({"A": [always(OK)], "B": [always(OK)]})
        ) as running:

            async def refuse() -> None:
                raise ConnectionResetError

            running.probes[0].close = refuse  # type: ignore[method-assign]
            await asyncio.sleep(0)
        assert running.probes[1].is_closed

    simulate(main)
