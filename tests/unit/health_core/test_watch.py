"""One service: what its checks make of it, what is shown without data, what a restart keeps."""

from collections.abc import Mapping
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.health.kept import Note
from quarterdeck.health.model import Outcome, Reading, ServiceSpec, ServiceStatus, Threshold
from quarterdeck.health.shown import health_of, signal_of
from quarterdeck.health.watch import ServiceWatch
from unit.health_core.simulated import START

OK = Reading(Outcome.OK, latency_ms=3)
FAIL = Reading(Outcome.FAIL, "connection refused")
UNKNOWN = Reading(Outcome.UNKNOWN, "no permission to look")
HEALTHY, DEGRADED, DOWN = ServiceStatus.HEALTHY, ServiceStatus.DEGRADED, ServiceStatus.DOWN

P95 = {"response_time_ms.p95": Threshold(1000, 800)}


class Watched:
    """A watch whose readings come every 15 s."""

    def __init__(self, thresholds: Mapping[str, Threshold] | None = None, probes: int = 1) -> None:
        self.spec = ServiceSpec("API", thresholds=thresholds or {})
        self.targets = [("http", f"http://api:{number}") for number in range(probes)]
        self.now = START
        self.watch = ServiceWatch(self.spec, self.targets, self.now)

    def see(self, *readings: Reading, check: int = 0) -> list[ServiceStatus]:
        found = []
        for reading in readings:
            self.pass_time(15)
            self.watch.take(self.watch.checks[check], reading, self.now)
            self.watch.judge(self.now)
            found.append(self.watch.verdict.status)
        return found

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.watch.judge(self.now)

    def restart(self, seconds: float = 0) -> None:
        kept = self.watch.keep()
        self.now += timedelta(seconds=seconds)
        self.watch = ServiceWatch(self.spec, self.targets, self.now)
        self.watch.restore(kept, self.now)

    @property
    def reason(self) -> str | None:
        return self.watch.verdict.reason


def slow(p95: float | None) -> Reading:
    return Reading(Outcome.OK, metrics={"response_time_ms.p95": p95})


def test_service_is_not_healthy_before_it_was_seen() -> None:
    service = Watched()
    shown = health_of(service.watch)
    assert (shown.status, shown.stale, shown.reason) == (DEGRADED, True, "no data yet")
    assert shown.checked_at is None
    assert signal_of(service.watch, shown).values == {"status": None, "stale": None}


def test_first_good_reading_makes_it_healthy() -> None:
    service = Watched()
    assert service.see(OK) == [HEALTHY]
    shown = health_of(service.watch)
    assert (shown.stale, shown.reason, shown.reason_source) == (False, None, None)
    assert shown.since == shown.checked_at == service.now


def test_first_bad_readings_are_neither_healthy_nor_down() -> None:
    service = Watched()
    assert service.see(FAIL, FAIL) == [DEGRADED, DEGRADED]
    assert service.reason == "connection refused"
    assert not service.watch.verdict.is_judged
    assert service.see(FAIL) == [DOWN]


def test_three_failures_in_a_row_are_down_and_two_good_ones_heal() -> None:
    service = Watched()
    assert service.see(OK, FAIL, FAIL, OK, FAIL, FAIL, FAIL) == [HEALTHY] * 6 + [DOWN]
    assert service.reason == "connection refused"
    assert service.watch.verdict.since == service.now
    assert service.see(OK, FAIL, OK, OK) == [DOWN, DOWN, DOWN, HEALTHY]
    assert service.reason is None


def test_unknown_readings_neither_heal_nor_harm() -> None:
    service = Watched()
    assert service.see(UNKNOWN) == [DEGRADED]
    assert service.see(OK, FAIL, UNKNOWN, FAIL, UNKNOWN, FAIL) == [HEALTHY] * 5 + [DOWN]
    assert service.see(OK, UNKNOWN, OK) == [DOWN, DOWN, HEALTHY]


def test_unknown_for_three_intervals_is_no_data() -> None:
    service = Watched()
    service.see(OK, UNKNOWN, UNKNOWN, UNKNOWN)
    shown = health_of(service.watch)
    assert (shown.status, shown.stale) == (DEGRADED, True)
    assert shown.reason == "no data for 45 s: no permission to look"


def test_silence_of_three_intervals_is_degraded_and_stale() -> None:
    service = Watched()
    service.see(OK)
    healthy_since = service.now
    service.pass_time(44)
    assert service.watch.verdict.status is HEALTHY
    service.pass_time(1)
    shown = health_of(service.watch)
    assert (shown.status, shown.stale, shown.reason) == (DEGRADED, True, "no data for 45 s")
    assert shown.since == service.now
    assert signal_of(service.watch, shown).values == {"status": None, "stale": True}
    assert service.see(OK) == [HEALTHY]
    assert service.watch.verdict.since == healthy_since


def test_silence_does_not_heal_what_is_down() -> None:
    service = Watched()
    service.see(OK, FAIL, FAIL, FAIL)
    service.pass_time(600)
    assert (service.watch.verdict.status, service.watch.verdict.stale) == (DOWN, True)
    assert service.reason == "no data for 10 min; before that: connection refused"


def test_clock_that_is_set_back_starts_the_silence_anew() -> None:
    service = Watched()
    service.see(OK)
    service.pass_time(-3600)
    service.pass_time(44)
    assert service.watch.verdict.status is HEALTHY
    service.pass_time(1)
    assert service.watch.verdict.stale


def test_metric_past_its_limit_degrades_with_a_sentence() -> None:
    service = Watched(P95)
    assert service.see(slow(100), slow(1240), slow(1240), slow(1240))[-2:] == [HEALTHY, DEGRADED]
    assert service.reason == "p95 response time 1,240 ms, above 1,000 ms"
    assert service.see(slow(900), slow(900), slow(900)) == [DEGRADED] * 3
    assert service.reason == "p95 response time 900 ms, not yet below 800 ms"
    assert service.see(slow(700), slow(700)) == [DEGRADED, HEALTHY]


def test_metric_that_becomes_unknown_keeps_the_status() -> None:
    service = Watched(P95)
    service.see(slow(100), slow(2000), slow(2000), slow(2000))
    assert service.see(slow(None), slow(None), OK) == [DEGRADED] * 3
    shown = health_of(service.watch)
    assert shown.metrics == {"response_time_ms.p95": None}
    assert shown.reason == "p95 response time 2,000 ms, above 1,000 ms when last known"


def test_what_is_no_number_is_unknown() -> None:
    service = Watched(P95)
    service.see(slow(2000), slow(2000), slow(2000), slow(float("nan")), slow(float("inf")))
    shown = health_of(service.watch)
    assert (shown.status, shown.metrics) == (DEGRADED, {"response_time_ms.p95": None})


def test_first_value_past_its_limit_is_not_called_healthy() -> None:
    service = Watched(P95)
    assert service.see(slow(2000), slow(2000), slow(2000)) == [DEGRADED] * 3
    assert service.watch.verdict.is_judged


def test_new_metric_past_its_limit_must_come_three_times_as_any_other() -> None:
    service = Watched(P95)
    assert service.see(OK, slow(2000), slow(2000), slow(2000)) == [HEALTHY] * 3 + [DEGRADED]


def test_worst_of_several_probes_decides_and_is_named() -> None:
    service = Watched(probes=2)
    service.see(OK, check=0)
    assert service.watch.verdict.status is DEGRADED
    for reading in (OK, FAIL, FAIL, FAIL):
        service.see(OK, check=0)
        service.watch.take(service.watch.checks[1], reading, service.now)
    service.pass_time(0)
    assert service.watch.verdict.status is DOWN
    assert service.reason == "http check of http://api:1: connection refused"


def test_one_silent_probe_of_two_is_named() -> None:
    service = Watched(probes=2)
    service.see(OK, check=1)
    service.see(OK, OK, OK, check=0)
    shown = health_of(service.watch)
    assert (shown.status, shown.stale) == (DEGRADED, True)
    assert shown.reason == "no data for 45 s from the http check of http://api:1"
    service.see(FAIL, FAIL, FAIL, check=0)
    assert (service.watch.verdict.status, service.watch.verdict.stale) == (DOWN, False)


def test_offline_monitor_shows_what_it_knew() -> None:
    service = Watched()
    service.see(OK, FAIL, FAIL)
    service.watch.forget_streaks()
    for _ in range(10):
        service.now += timedelta(minutes=1)
        service.watch.judge(service.now, is_offline=True)
    shown = health_of(service.watch)
    assert (shown.status, shown.stale) == (HEALTHY, True)
    assert shown.reason == "no data: this monitor has lost its network"
    assert signal_of(service.watch, shown).values == {"status": None, "stale": None}


def test_back_online_it_waits_for_the_first_reading() -> None:
    service = Watched()
    service.see(OK)
    service.now += timedelta(minutes=10)
    service.watch.judge(service.now, is_offline=True)
    service.pass_time(10)
    assert (service.watch.verdict.status, service.watch.verdict.stale) == (HEALTHY, True)
    assert service.see(FAIL, FAIL) == [HEALTHY, HEALTHY]
    assert service.see(FAIL) == [DOWN]
    service.now += timedelta(minutes=10)
    service.watch.judge(service.now, is_offline=True)
    service.pass_time(45)
    assert service.reason == "no data for 10 min; before that: connection refused"


def test_note_replaces_the_reason_until_it_expires() -> None:
    service = Watched()
    service.see(OK)
    end = service.now + timedelta(minutes=1)
    service.watch.annotate(Note("API", "campaign launch", "jo", service.now, end))
    shown = health_of(service.watch)
    assert (shown.reason, shown.reason_source) == ("campaign launch", "operator")
    service.see(OK, OK, OK, OK)
    assert health_of(service.watch).reason is None


def test_restart_keeps_status_since_and_counts() -> None:
    service = Watched(P95)
    service.see(slow(100), FAIL, FAIL)
    since = service.watch.verdict.since
    service.restart()
    assert (service.watch.verdict.status, service.watch.verdict.since) == (HEALTHY, since)
    assert service.see(FAIL) == [DOWN]
    since = service.now
    service.restart()
    assert (service.watch.verdict.status, service.watch.verdict.since) == (DOWN, since)
    assert service.reason == "connection refused"
    assert service.see(OK) == [DOWN]
    service.restart()
    assert service.see(OK) == [HEALTHY]


def test_long_downtime_of_the_monitor_is_no_data() -> None:
    service = Watched()
    service.see(OK)
    since = service.now
    service.restart(3600)
    shown = health_of(service.watch)
    assert (shown.status, shown.stale, shown.reason) == (DEGRADED, True, "no data for 60 min")
    assert service.see(OK) == [HEALTHY]
    assert service.watch.verdict.since == since


def test_limit_that_was_taken_away_no_longer_holds_after_a_restart() -> None:
    service = Watched(P95)
    service.see(slow(100), slow(2000), slow(2000), slow(2000))
    service.spec = ServiceSpec("API")
    service.restart()
    assert not service.watch.verdict.is_judged
    assert service.see(slow(2000)) == [HEALTHY]


READINGS = st.sampled_from([OK, FAIL, UNKNOWN, slow(2000), slow(900), slow(100)])


@given(st.lists(READINGS, max_size=40), st.integers(0, 40))
def test_restart_at_any_moment_changes_nothing(readings: list[Reading], place: int) -> None:
    through, restarted = Watched(P95), Watched(P95)
    for number, reading in enumerate(readings):
        if number == place:
            restarted.restart()
        assert through.see(reading) == restarted.see(reading)
        assert through.watch.verdict.since == restarted.watch.verdict.since


@given(st.lists(READINGS, max_size=40))
def test_nothing_is_healthy_without_a_known_reading_in_three_intervals(
    readings: list[Reading],
) -> None:
    service = Watched(P95)
    for number, status in enumerate(service.see(*readings)):
        recent = readings[max(0, number - 2) : number + 1]
        if all(reading.outcome is Outcome.UNKNOWN for reading in recent):
            assert status is not HEALTHY
