"""Readings in the store of facts, and the histories made of them, on the real engine."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from facts_world import Count, count
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.facts import Facts, Insert, Recorder
from quarterdeck.health.history import History, SeriesPoint, StatusChange
from quarterdeck.health.model import Outcome, Reading, ServiceStatus
from quarterdeck.health.samples import Sample, Samples
from quarterdeck.health.windows import TelemetrySummary

pytest_plugins = ("facts_fixtures",)

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
HEALTHY, DEGRADED, DOWN = ServiceStatus.HEALTHY, ServiceStatus.DEGRADED, ServiceStatus.DOWN
Statuses = Sequence[tuple[int, ServiceStatus | None]]
"""Seconds before `NOW`, and what was."""


def sample(seconds_ago: float, status: ServiceStatus | None, **more: object) -> Sample:
    reading = Reading(Outcome.OK, latency_ms=20, metrics={"queue_backlog": 3, "hit": None})
    values: dict[str, object] = {"reading": reading, "valid_s": 45, "probe": "http", **more}
    return Sample("API", NOW - timedelta(seconds=seconds_ago), status, **values)  # type: ignore[arg-type]


async def kept(facts: Facts, given: Sequence[Sample]) -> Samples:
    samples = Samples(facts, clock=lambda: NOW)
    await samples.rows.open()
    for each in given:
        samples.add(each)
    await samples.rows.flush()
    return samples


async def hour(samples: Samples) -> History:
    return await samples.history("API", NOW - timedelta(hours=1), NOW)


def every_15_s(since: int, until: int, status: ServiceStatus | None) -> list[Sample]:
    return [sample(ago, status) for ago in range(since, until, -15)]


def ago(history: History) -> list[tuple[int, ServiceStatus | None]]:
    return [(int((NOW - change.at).total_seconds()), change.status) for change in history.changes]


async def test_history_tells_changes_and_uptime_weighted_by_time(facts: Facts) -> None:
    given = [
        *every_15_s(3600, 1800, HEALTHY),
        *every_15_s(1800, 900, DEGRADED),
        *every_15_s(900, 600, DOWN),
        *every_15_s(600, 0, HEALTHY),
    ]
    history = await hour(await kept(facts, given))
    assert ago(history) == [(3600, HEALTHY), (1800, DEGRADED), (900, DOWN), (600, HEALTHY)]
    assert (history.healthy_s, history.degraded_s, history.down_s) == (2400, 900, 300)
    assert history.unknown_s == 0
    assert history.uptime_percent == pytest.approx(100 * 3300 / 3600)
    assert history.is_complete


async def test_one_reading_holds_until_the_next_but_not_forever(embedded_facts: Facts) -> None:
    given = [sample(600, HEALTHY), sample(570, DOWN), sample(560, DOWN)]
    history = await hour(await kept(embedded_facts, given))
    assert ago(history) == [(3600, None), (600, HEALTHY), (570, DOWN), (515, None)]
    assert (history.healthy_s, history.down_s) == (30, 55)
    assert history.unknown_s == 3600 - 85
    assert history.uptime_percent == pytest.approx(100 * 30 / 85)


async def test_pause_of_the_monitor_is_unknown_time(embedded_facts: Facts) -> None:
    given = [*every_15_s(3600, 3000, HEALTHY), *every_15_s(600, 0, HEALTHY)]
    history = await hour(await kept(embedded_facts, given))
    assert ago(history) == [(3600, HEALTHY), (3015 - 45, None), (600, HEALTHY)]
    assert history.uptime_percent == 100
    assert history.unknown_s == 2970 - 600


async def test_unknown_reading_ends_what_was_known(embedded_facts: Facts) -> None:
    history = await hour(await kept(embedded_facts, [sample(60, HEALTHY), sample(50, None)]))
    assert ago(history) == [(3600, None), (60, HEALTHY), (50, None)]
    assert history.healthy_s == 10


async def test_reading_from_before_the_window_reaches_into_it(embedded_facts: Facts) -> None:
    given = [sample(3620, DOWN), sample(3590, HEALTHY)]
    history = await hour(await kept(embedded_facts, given))
    assert ago(history) == [(3600, DOWN), (3590, HEALTHY), (3545, None)]
    assert history.down_s == 10


async def test_nothing_stored_is_unknown_and_no_uptime(embedded_facts: Facts) -> None:
    history = await hour(await kept(embedded_facts, []))
    assert history.changes == [StatusChange(NOW - timedelta(hours=1), None)]
    assert history.uptime_percent is None
    assert history.unknown_s == 3600
    assert len(history.series) == 240
    unknown = SeriesPoint(NOW)
    assert {replace(point, at=NOW) for point in history.series} == {unknown}


async def test_other_services_do_not_count(embedded_facts: Facts) -> None:
    samples = await kept(embedded_facts, every_15_s(60, 0, DOWN))
    other = await samples.history("api", NOW - timedelta(hours=1), NOW)
    assert other.uptime_percent is None


def summary(number: int, avg: float, p95: float) -> TelemetrySummary:
    return TelemetrySummary(number, avg, p95, 2 * p95, 0.5, 1.0, False, NOW)


async def test_series_weighs_by_requests_and_never_averages_percentiles(facts: Facts) -> None:
    ok = Reading(Outcome.OK)
    given = [
        sample(30, HEALTHY, reading=ok, probe="telemetry", requests=summary(900, 10, 50)),
        sample(29, HEALTHY, reading=ok, probe="telemetry", requests=summary(100, 110, 400)),
        sample(28, HEALTHY),
        sample(27, HEALTHY, reading=Reading(Outcome.OK, latency_ms=30)),
        sample(26, HEALTHY, reading=Reading(Outcome.FAIL, latency_ms=5000)),
    ]
    history = await hour(await kept(facts, given))
    points = {int((NOW - point.at).total_seconds()): point for point in history.series}
    point = points[30]
    assert (point.avg_ms, point.p95_ms, point.p99_ms, point.check_ms) == (20, 400, 800, 25)
    assert points[15].check_ms is None
    assert [point for point in history.series if point.avg_ms == 0] == []


async def test_series_counts_checks_that_came_to_a_result(facts: Facts) -> None:
    fail, unknown = Reading(Outcome.FAIL), Reading(Outcome.UNKNOWN)
    pushed = Reading(Outcome.OK, metrics={"error_rate_percent": 7.5})
    given = [
        *(sample(30 - n, HEALTHY) for n in range(5)),
        *(sample(25 - n, DOWN, reading=fail) for n in range(2)),
        sample(23, DOWN, reading=unknown),
        sample(22, DOWN, reading=pushed, probe="telemetry", requests=summary(9, 10, 50)),
        sample(15, None, reading=unknown),
        sample(15, None, reading=Reading(Outcome.OK), probe="telemetry"),
    ]
    history = await hour(await kept(facts, given))
    points = {int((NOW - point.at).total_seconds()): point for point in history.series}
    assert (points[30].checks, points[30].failed_checks) == (7, 2)
    assert points[30].error_rate_percent == 7.5
    # A step in which nobody found anything out is a gap, not a step without errors.
    assert points[15] == SeriesPoint(NOW - timedelta(seconds=15))
    assert points[45] == SeriesPoint(NOW - timedelta(seconds=45))


async def test_series_shows_the_worst_error_rate_of_a_step_and_zero_as_zero(
    embedded_facts: Facts,
) -> None:
    rates = [(30, 2.0), (26, 12.5), (22, 4.0), (15, 0.0)]
    given = [
        sample(ago, HEALTHY, reading=Reading(Outcome.OK, metrics={"error_rate_percent": rate}))
        for ago, rate in rates
    ]
    history = await hour(await kept(embedded_facts, given))
    points = {int((NOW - point.at).total_seconds()): point for point in history.series}
    assert (points[30].error_rate_percent, points[15].error_rate_percent) == (12.5, 0)
    assert points[15].failed_checks == 0


@pytest.mark.parametrize("hours", [1, 3, 24, 7 * 24, 90 * 24])
async def test_series_has_at_most_about_300_points(embedded_facts: Facts, hours: int) -> None:
    samples = await kept(embedded_facts, every_15_s(600, 0, HEALTHY))
    history = await samples.history("API", NOW - timedelta(hours=hours), NOW)
    assert 75 <= len(history.series) <= 301
    assert history.series[-1].check_ms == 20
    assert history.healthy_s == 600


async def test_flapping_beyond_counting_says_that_it_is_not_complete(
    embedded_facts: Facts,
) -> None:
    given = [sample(3500 - n, HEALTHY if n % 2 else DOWN, valid_s=3) for n in range(3000)]
    history = await hour(await kept(embedded_facts, given))
    assert not history.is_complete
    assert len(history.changes) <= 2001
    assert (history.healthy_s, history.down_s) == (1502, 1500)


async def test_metrics_are_stored_without_what_is_unknown(embedded_facts: Facts) -> None:
    reading = Reading(Outcome.OK, metrics={"a": 1.5, "b": None, "c": float("nan")})
    await kept(embedded_facts, [sample(10, HEALTHY, reading=reading)])
    sql = "SELECT count() AS n FROM health_samples WHERE metrics = map('a', 1.5)"
    assert await count(embedded_facts, sql) == 1


async def test_midnight_is_stored_on_both_its_days(embedded_facts: Facts) -> None:
    midnight = int((NOW - NOW.replace(hour=0)).total_seconds())
    await kept(embedded_facts, [sample(midnight + 1, HEALTHY), sample(midnight, HEALTHY)])
    sql = "SELECT uniqExact(toDate(at)) AS n FROM health_samples"
    assert await count(embedded_facts, sql) == 2


async def test_old_days_are_dropped(embedded_facts: Facts) -> None:
    day = 86_400
    samples = Samples(embedded_facts, retention_days=2, clock=lambda: NOW)
    for days in (0, 2, 3, 90):
        samples.add(sample(days * day, HEALTHY))
    await samples.rows.flush()
    await samples.rows.trim()
    sql = "SELECT count() AS n FROM health_samples"
    assert await count(embedded_facts, sql) == 2


class Unreliable:
    """A store of facts in front of the real one, which is down or loses its answers when told."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.is_down = False
        self.loses_answers = False

    async def fetch(self, *args: object) -> list[Count]:
        self._require_up()
        return await self.facts.fetch(*args)  # type: ignore[arg-type]

    async def execute(self, sql: str) -> None:
        self._require_up()
        await self.facts.execute(sql)

    async def insert(self, insert: Insert) -> None:
        self._require_up()
        await self.facts.insert(insert)
        if self.loses_answers:
            raise SourceUnavailable("facts", "no answer")

    def _require_up(self) -> None:
        if self.is_down:
            raise SourceUnavailable("facts", "it is down")


async def stored(facts: Facts) -> int:
    return await count(facts, "SELECT count() AS n FROM health_samples")


async def test_store_that_is_down_costs_nothing_while_there_is_room(embedded_facts: Facts) -> None:
    front = Unreliable(embedded_facts)
    front.is_down = True
    samples = await kept(front, every_15_s(600, 300, HEALTHY))  # type: ignore[arg-type]
    for each in every_15_s(300, 0, HEALTHY):
        samples.add(each)
    assert samples.rows.waiting == 40
    front.is_down = False
    await samples.rows.flush()
    assert (samples.rows.waiting, samples.rows.dropped, await stored(embedded_facts)) == (0, 0, 40)


async def test_answer_that_was_lost_stores_nothing_twice(embedded_facts: Facts) -> None:
    front = Unreliable(embedded_facts)
    front.loses_answers = True
    samples = await kept(front, every_15_s(600, 300, HEALTHY))  # type: ignore[arg-type]
    samples.add(sample(100, HEALTHY))
    front.loses_answers = False
    await samples.rows.flush()
    assert await stored(embedded_facts) == 21


async def test_oldest_readings_go_when_there_is_no_more_room(
    embedded_facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recorder, "MOST_WAITING", 100)
    front = Unreliable(embedded_facts)
    front.is_down = True
    samples = await kept(front, [])  # type: ignore[arg-type]
    for number in range(1000):
        samples.add(sample(1000 - number, HEALTHY))
        if number % 70 == 0:
            await samples.rows.flush()
        assert samples.rows.waiting <= 100
    front.is_down = False
    await samples.rows.flush()
    assert (samples.rows.waiting, samples.rows.dropped) == (0, 1000 - await stored(embedded_facts))
    newest = "SELECT countIf(at >= fromUnixTimestamp64Milli({ms:Int64})) AS n FROM health_samples"
    since_ms = int((NOW - timedelta(seconds=40)).timestamp() * 1000)
    assert await count(embedded_facts, newest, ms=since_ms) == 40
