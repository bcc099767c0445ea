"""What people and pushed telemetry have to say of services, and what alert rules are told."""

from datetime import timedelta

import pytest

from health_world import OK, Given, always, started
from quarterdeck.core.errors import InvalidRequest, NotFound
from quarterdeck.health.model import Outcome, Reading, Threshold
from quarterdeck.health.windows import TelemetrySummary
from unit.health_core.simulated import START, SimulatedLoop, simulate

pytest_plugins = ("health_fixtures",)

HEALTHY, DEGRADED = ("healthy", False), ("degraded", False)


def summary(now: float, p95: float, interval_s: float = 60) -> TelemetrySummary:
    """Of a sender that pushes once in `interval_s`."""
    pushed = START + timedelta(seconds=now // interval_s * interval_s)
    return TelemetrySummary(100, 80, p95, 2 * p95, 0.5, 12.5, False, pushed)


P95 = {"response_time_ms.p95": Threshold(1000, 800)}


def test_service_with_telemetry_only_is_judged_by_it(health_sqlite_url: str) -> None:
    def script(now: float) -> TelemetrySummary | None:
        return summary(now, 2000 if now >= 600 else 100) if now < 1200 else None

    async def main(loop: SimulatedLoop) -> None:
        given = Given({"API": []}, {"thresholds": P95}, telemetry=script)
        async with started(loop, health_sqlite_url, given) as running:
            await running.until(30)
            assert running.seen() == HEALTHY
            shown = running.shown()
            assert shown.response_time
            assert (shown.response_time.avg, shown.response_time.p95) == (80, 100)
            assert shown.metrics["request_rate"] == 12.5
            # Pushed once a minute: the same summary is looked at four times, and counts once.
            await running.until(710)
            assert running.seen() == HEALTHY
            await running.until(740)
            assert running.seen() == DEGRADED
            assert running.shown().reason == "p95 response time 2,000 ms, above 1,000 ms"
            await running.until(1260)
            assert running.seen() == ("degraded", True)
            assert running.shown().response_time is None

    simulate(main)


def test_service_without_requests_is_judged_by_its_probe(health_sqlite_url: str) -> None:
    async def main(loop: SimulatedLoop) -> None:
        given = Given(
            {"API": [always(OK)]},
            {"thresholds": P95, "telemetry_names": ("api-server",)},
            telemetry=lambda now: summary(now, 100) if now < 600 else None,
        )
        async with started(loop, health_sqlite_url, given) as running:
            await running.until(900)
            assert running.seen() == HEALTHY
            assert running.shown().metrics["response_time_ms.p95"] is None
            assert running.shown().response_time is None

    simulate(main)


def test_note_is_shown_to_all_servers_until_it_expires(health_url: str) -> None:
    async def main(loop: SimulatedLoop) -> None:
        given = Given({"API": [always(OK)]})
        async with (
            started(loop, health_url, given) as one,
            started(loop, health_url, given) as other,
        ):
            await one.until(20)
            end = loop.clock() + timedelta(seconds=60)
            await one.health.set_note("API", " campaign launch ", "jo", end)
            assert (one.shown().reason, one.shown().reason_source) == (
                "campaign launch", "operator",
            )  # fmt: skip
            await one.until(40)
            assert other.shown().reason == "campaign launch"
            await one.until(90)
            assert (one.shown().reason, other.shown().reason) == (None, None)
            await one.health.set_note("API", "again", "jo")
            await one.until(100)
            assert other.shown().reason == "again"
            await other.health.clear_note("API")
            await one.until(110)
            assert one.shown().reason is None

    simulate(main)


def test_note_outlives_a_restart(health_url: str) -> None:
    async def main(loop: SimulatedLoop) -> None:
        given = Given({"API": [always(OK)]})
        async with started(loop, health_url, given) as first:
            await first.until(20)
            await first.health.set_note("API", "new disk on its way", "jo")
        async with started(loop, health_url, given) as second:
            await second.until(loop.time() + 1)
            assert second.shown().reason == "new disk on its way"

    simulate(main)


def test_note_that_cannot_be_taken_is_refused(health_sqlite_url: str) -> None:
    async def main(loop: SimulatedLoop) -> None:
        async with started(loop, health_sqlite_url, Given({"API": []})) as running:
            for text in ("", "  ", "x" * 501, "a\x00b"):
                with pytest.raises(InvalidRequest):
                    await running.health.set_note("API", text, "jo")
            with pytest.raises(NotFound, match="no service 'SMTP'"):
                await running.health.set_note("SMTP", "x", "jo")
            with pytest.raises(NotFound):
                await running.health.clear_note("SMTP")
            with pytest.raises(NotFound):
                await running.health.history("SMTP", 1, loop.clock())
            with pytest.raises(InvalidRequest):
                await running.health.history("API", 0, loop.clock())
            await running.health.clear_note("API")

    simulate(main)


def test_signals_tell_status_metrics_and_reason(health_sqlite_url: str) -> None:
    backlog = Reading(Outcome.OK, metrics={"queue_backlog": 70, "hit_rate_percent": None})

    async def main(loop: SimulatedLoop) -> None:
        given = Given(
            {"SMTP": [always(backlog)]},
            {
                "thresholds": {"queue_backlog": Threshold(50, 10)},
                "depends_on": ("DNS",),
                "runbook_url": "https://wiki/smtp",
            },
        )
        async with started(loop, health_sqlite_url, given) as running:
            await running.until(60)
            (signal,) = await running.health.signals()
        assert (signal.source, signal.subject) == ("service", "SMTP")
        assert signal.values == {
            "status": "degraded", "stale": False, "queue_backlog": 70, "hit_rate_percent": None,
        }  # fmt: skip
        assert (signal.depends_on, signal.runbook_url) == (("DNS",), "https://wiki/smtp")
        assert signal.details == {"reason": "backlog 70, above 50"}

    simulate(main)
