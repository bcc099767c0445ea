"""Windows: what is in them, what leaves, what never gets in."""

import math
import random
from datetime import UTC, datetime, timedelta

import pytest

from quarterdeck.core.histogram import Histogram
from quarterdeck.health.telemetry import OWN_NAME, SelfTelemetry
from quarterdeck.health.windows import COARSE, Refusal, Windows

START = datetime(2026, 11, 24, 10, 0, 0, tzinfo=UTC)


class Watch:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = START
        self.monotonic_s = 1000.0

    def __call__(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return self.monotonic_s

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.monotonic_s += seconds


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def windows(watch: Watch) -> Windows:
    return Windows(watch)


def of(*numbers: float) -> Histogram:
    histogram = Histogram()
    for number in numbers:
        histogram.add(number)
    return histogram


def test_summary_is_that_of_all_values_of_all_slices(windows: Windows, watch: Watch) -> None:
    r = random.Random(3)
    numbers = []
    for _ in range(29):
        part = [r.lognormvariate(-3, 1) for _ in range(r.choice([5, 1000]))]
        numbers += part
        watch.pass_by(10)
        windows.add("api", watch.now, of(*part), errors=1)
    summary = windows.summary(["api"], watch.now)
    assert summary is not None
    numbers.sort()
    assert summary.count == len(numbers)
    assert summary.avg_ms == pytest.approx(1000 * sum(numbers) / len(numbers))
    for q, found in ((0.95, summary.p95_ms), (0.99, summary.p99_ms)):
        exact = 1000 * numbers[math.ceil(q * len(numbers)) - 1]
        assert abs(found - exact) / exact <= 0.011
    assert summary.error_rate_percent == pytest.approx(100 * 29 / len(numbers))
    assert summary.request_rate == pytest.approx(len(numbers) / 290)
    assert not summary.approximate
    assert summary.last_at == watch.now


def test_what_is_older_than_the_window_leaves_it(windows: Windows, watch: Watch) -> None:
    windows.add("api", watch.now, of(9.0), errors=1)
    watch.pass_by(290)
    windows.add("api", watch.now, of(0.1), errors=0)
    both = windows.summary(["api"], watch.now)
    watch.pass_by(10)
    later = windows.summary(["api"], watch.now)
    assert both is not None
    assert later is not None
    assert (both.count, later.count) == (2, 1)
    assert later.error_rate_percent == 0.0
    watch.pass_by(290)
    assert windows.summary(["api"], watch.now) is None
    assert windows.names() == []


def test_late_data_goes_into_its_own_slice(windows: Windows, watch: Watch) -> None:
    windows.add("api", watch.now, of(0.1), errors=0)
    late = watch.now - timedelta(seconds=280)
    assert windows.add("api", late, of(0.5), errors=0) is None
    watch.pass_by(20)
    summary = windows.summary(["api"], watch.now)
    assert summary is not None
    assert summary.count == 1


def test_data_older_than_the_window_is_dropped_and_counted(windows: Windows, watch: Watch) -> None:
    too_late = watch.now - timedelta(seconds=300)
    assert windows.add("api", too_late, of(0.1, 0.2), errors=0) is Refusal.LATE
    assert windows.late == 2
    assert windows.names() == []


def test_data_from_the_future_is_of_now(windows: Windows, watch: Watch) -> None:
    windows.add("api", watch.now + timedelta(days=900), of(0.1), errors=0)
    summary = windows.summary(["api"], watch.now)
    assert summary is not None
    assert summary.last_at == watch.now


def test_unknown_errors_do_not_count_as_successes(windows: Windows, watch: Watch) -> None:
    windows.add("api", watch.now, of(*[0.1] * 96), errors=None)
    unknown = windows.summary(["api"], watch.now)
    windows.add("api", watch.now, of(*[0.1] * 4), errors=1)
    known = windows.summary(["api"], watch.now)
    assert unknown is not None
    assert known is not None
    assert unknown.error_rate_percent is None
    assert known.error_rate_percent == 25.0


def test_names_are_summed_up_together(windows: Windows, watch: Watch) -> None:
    windows.add("a", watch.now, of(0.1), errors=0)
    windows.add("b", watch.now, of(0.3), errors=1, approximate=True)
    summary = windows.summary(["a", "b", "b", "c"], watch.now)
    assert summary is not None
    assert (summary.count, summary.error_rate_percent) == (2, 50.0)
    assert summary.avg_ms == pytest.approx(200)
    assert summary.approximate
    assert windows.names() == ["a", "b"]


def test_service_without_data_has_no_summary(windows: Windows, watch: Watch) -> None:
    windows.add("idle", watch.now, Histogram(), errors=0)
    assert windows.summary(["idle", "other"], watch.now) is None
    assert windows.summary([], watch.now) is None
    assert windows.names() == ["idle"]


def test_rate_counts_idle_time_of_a_known_service(windows: Windows, watch: Watch) -> None:
    watch.pass_by(10)
    windows.add("api", watch.now, of(*[0.1] * 100), errors=0)
    for _ in range(9):
        watch.pass_by(10)
        windows.add("api", watch.now, Histogram(), errors=0)
    summary = windows.summary(["api"], watch.now)
    assert summary is not None
    assert summary.request_rate == pytest.approx(1.0)


@pytest.mark.parametrize("after_s", [0, 30, 59])
def test_rate_is_right_between_reports_of_a_minute(
    windows: Windows, watch: Watch, after_s: int
) -> None:
    for _ in range(12):
        since = watch.now
        watch.pass_by(60)
        windows.add("api", watch.now, of(*[0.1] * 60), errors=0, since=since)
    watch.pass_by(after_s)
    summary = windows.summary(["api"], watch.now)
    assert summary is not None
    assert summary.request_rate == pytest.approx(1.0)


def test_rate_falls_when_reports_stop(windows: Windows, watch: Watch) -> None:
    watch.pass_by(10)
    windows.add("api", watch.now, of(*[0.1] * 100), errors=0)
    watch.pass_by(200)
    summary = windows.summary(["api"], watch.now)
    assert summary is not None
    assert summary.request_rate == pytest.approx(100 / 200)


def test_services_beyond_the_limit_are_rejected_and_told(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    windows = Windows(watch, max_services=2)
    assert windows.add("a", watch.now, of(0.1), errors=0) is None
    assert windows.add("b", watch.now, of(0.1), errors=0) is None
    for _ in range(3):
        assert windows.add("c", watch.now, of(0.1, 0.2), errors=0) is Refusal.CROWDED
    assert windows.crowded_out == 6
    assert [record.getMessage() for record in caplog.records] == [
        "telemetry of more than 2 services: that of further ones is not taken"
    ]
    assert windows.add("a", watch.now, of(0.1), errors=0) is None


def test_service_that_is_gone_gives_way_to_a_new_one(watch: Watch) -> None:
    windows = Windows(watch, max_services=2)
    windows.add("a", watch.now, of(0.1), errors=0)
    watch.pass_by(10)
    windows.add("b", watch.now, of(0.1), errors=0)
    windows.add("c", watch.now, of(0.1), errors=0)
    watch.pass_by(290)
    windows.add("b", watch.now, of(0.1), errors=0)
    assert windows.add("c", watch.now, of(0.1), errors=0) is None
    assert windows.names() == ["b", "c"]


def test_buckets_beyond_the_limit_are_coarsened_not_lost(watch: Watch) -> None:
    windows = Windows(watch, max_buckets=200)
    numbers = [10 ** (n / 50 - 5) for n in range(300)]
    for name in ("a", "b", "c", "d"):
        windows.add(name, watch.now, of(*numbers), errors=0)
    summary = windows.summary(["d"], watch.now)
    assert summary is not None
    assert summary.count == 300
    assert summary.approximate
    assert summary.avg_ms == pytest.approx(1000 * sum(numbers) / 300)
    assert len(of(*numbers).buckets) > COARSE


def test_memory_is_given_back_when_slices_leave(watch: Watch) -> None:
    windows = Windows(watch, max_buckets=400)
    numbers = [10 ** (n / 50 - 5) for n in range(300)]
    for _ in range(5):
        windows.add("a", watch.now, of(*numbers), errors=0)
        summary = windows.summary(["a"], watch.now)
        assert summary is not None
        assert not summary.approximate
        watch.pass_by(300)


def test_histogram_stays_the_callers(windows: Windows, watch: Watch) -> None:
    mine = of(0.1)
    windows.add("a", watch.now, mine, errors=0)
    windows.add("a", watch.now, of(5.0), errors=0)
    assert mine.count == 1


@pytest.mark.parametrize(
    "given", [{"slice_s": 0}, {"window_s": 9}, {"max_services": 0}], ids=lambda g: next(iter(g))
)
def test_impossible_windows_are_refused(given: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        Windows(**given)  # type: ignore[arg-type] # whichever it is


def test_own_requests_are_counted_once_a_slice(windows: Windows, watch: Watch) -> None:
    own = SelfTelemetry(windows, watch, watch.monotonic)
    for status in (200, 404, 499, 500, 503):
        own.observe(0.1, status)
    assert windows.summary([OWN_NAME], watch.now) is None
    watch.pass_by(10)
    own.observe(0.2, 200)
    summary = windows.summary([OWN_NAME], watch.now)
    assert summary is not None
    assert summary.count == 6
    assert summary.error_rate_percent == pytest.approx(100 * 2 / 6)
    assert summary.request_rate == pytest.approx(0.6)


def test_flush_hands_over_at_once_and_tells_of_idleness(windows: Windows, watch: Watch) -> None:
    own = SelfTelemetry(windows, watch, watch.monotonic)
    watch.pass_by(5)
    own.observe(0.1, 200)
    own.flush()
    for _ in range(3):
        watch.pass_by(10)
        own.flush()
    summary = windows.summary([OWN_NAME], watch.now)
    assert summary is not None
    assert summary.count == 1
    assert summary.last_at == watch.now
    assert summary.request_rate == pytest.approx(1 / 35)
