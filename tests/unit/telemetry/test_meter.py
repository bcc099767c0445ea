"""The meter: what it sends, what it keeps, what it says when the server is away."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from quarterdeck.contrib.metrics import Meter
from quarterdeck.contrib.slices import Ledger, encoded
from unit.telemetry.metrics_server import MetricsServer, metrics_server


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    with metrics_server() as server:
        yield server


@contextmanager
def metering(url: str, **options: float) -> Iterator[Meter]:
    meter = Meter("api", url, "secret-token", **options)
    try:
        yield meter
    finally:
        meter.close()


def free_url() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_flush_sends_what_was_recorded(server: MetricsServer) -> None:
    with metering(server.url) as meter:
        for n in range(1, 101):
            meter.record(n / 1000, 503 if n > 95 else 200)
        assert meter.flush(20)
        summary = server.wait_for_count("api", 100)
    assert summary.count == 100
    assert summary.avg_ms == pytest.approx(50.5)
    assert summary.p99_ms == pytest.approx(99, rel=0.011)
    assert summary.error_rate_percent == 5.0
    assert not summary.approximate
    assert server.tokens[0] == "Bearer secret-token"


def test_slices_are_sent_without_being_asked_for(server: MetricsServer) -> None:
    with metering(server.url, interval_s=0.05) as meter:
        meter.record(0.1, 200)
        server.wait_for_count("api", 1)
        meter.record(0.1, 200)
        server.wait_for_count("api", 2)


def test_many_threads_lose_nothing(server: MetricsServer) -> None:
    with metering(server.url, interval_s=0.02) as meter:

        def work() -> None:
            for _ in range(5000):
                meter.record(0.01, 200)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert meter.flush(20)
        summary = server.wait_for_count("api", 40_000)
    assert summary.count == 40_000


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
def test_what_the_server_did_not_take_is_sent_again(
    server: MetricsServer, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    server.failures.extend([status] * 4)
    with metering(server.url) as meter:
        meter.record(0.1, 200)
        assert not meter.flush(20)
        meter.record(0.1, 200)
        while not meter.flush(20):
            pass
        assert server.wait_for_count("api", 2).count == 2
        assert meter.dropped == 0
    said = capfd.readouterr().err
    assert said.count(f"answered {status}") == 1
    assert "secret-token" not in said


def test_server_that_comes_later_gets_it_all(capfd: pytest.CaptureFixture[str]) -> None:
    url = free_url()
    with metering(url, interval_s=0.05) as meter:
        meter.record(0.1, 200)
        assert not meter.flush(20)
        with metrics_server(int(url.rpartition(":")[2])) as server:
            meter.record(0.1, 200)
            assert server.wait_for_count("api", 2).count == 2
            meter.close()
    said = capfd.readouterr().err
    assert said.count("Trying again.") == 1
    assert "Connection refused" in said


def test_refused_metrics_are_counted_and_told_once(
    server: MetricsServer, capfd: pytest.CaptureFixture[str]
) -> None:
    server.failures.extend([400, 400])
    with metering(server.url) as meter:
        for _ in range(2):
            meter.record(0.1, 200)
            assert meter.flush(20)
        assert meter.dropped == 2
    assert capfd.readouterr().err.count("the server refused metrics") == 1


def test_rejected_points_are_told_with_the_servers_words(
    server: MetricsServer, capfd: pytest.CaptureFixture[str]
) -> None:
    meter = Meter("x" * 300, server.url, "t")
    meter.record(0.1, 200)
    assert meter.flush(20)
    meter.close()
    assert "service.name must name the service" in capfd.readouterr().err


def test_slices_older_than_the_window_are_dropped_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [10**18]
    monkeypatch.setattr(time, "time_ns", lambda: now[0])
    ledger = Ledger(300)
    for _ in range(40):
        ledger.record(0.1, 200)
        now[0] += 10 * 10**9
        ledger.close_slice()
    assert len(ledger.waiting()) == 30
    assert (ledger.dropped, ledger.left) == (10, 30)


def test_idle_slice_says_that_nothing_happened(server: MetricsServer) -> None:
    with metering(server.url) as meter:
        meter.record(0.1, 200)
        assert meter.flush(20)
        assert meter.flush(20)
    assert len(server.answers) >= 3
    assert {answer.body for answer in server.answers} == {b"{}"}
    assert server.windows.names() == ["api"]


def test_statuses_are_bounded_and_impossible_ones_are_failures() -> None:
    ledger = Ledger(300)
    for status in (*range(100, 700), 0, -1):
        ledger.record(0.1, status)
    ledger.close_slice()
    [piece] = ledger.waiting()
    assert len(piece.by_status) <= 45
    assert piece.count == 602
    points = json.loads(encoded("api", [piece]))["resourceMetrics"][0]["scopeMetrics"][0]
    assert len(json.dumps(points)) < 20_000


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 1e-300, 1e300, float("inf"), float("nan")], ids=str)
def test_no_duration_is_impossible_to_record(server: MetricsServer, seconds: float) -> None:
    with metering(server.url) as meter:
        meter.record(seconds, 200)
        meter.record(1.0, 200)
        assert meter.flush(20)
        assert server.wait_for_count("api", 2).count == 2


def test_no_thread_runs_before_there_is_something_to_send(server: MetricsServer) -> None:
    before = threading.active_count()
    with metering(server.url) as meter:
        assert threading.active_count() == before
        assert meter.flush(0)


def test_close_does_not_wait_for_a_server_that_is_away(
    capfd: pytest.CaptureFixture[str],
) -> None:
    meter = Meter("api", free_url(), "t")
    meter.record(0.1, 200)
    meter.close()
    assert "not delivered: 1." in capfd.readouterr().err


def test_closing_again_says_nothing_and_recording_afterwards_is_told(
    server: MetricsServer, capfd: pytest.CaptureFixture[str]
) -> None:
    meter = Meter("api", server.url, "t")
    meter.record(0.1, 200)
    meter.close()
    meter.close()
    assert capfd.readouterr().err == ""
    meter.record(0.1, 200)
    meter.close()
    assert "not delivered: 1." in capfd.readouterr().err


SCRIPT = """
import os, sys
from quarterdeck.contrib.metrics import Meter
meter = Meter("api", sys.argv[1], "t")
meter.record(0.1, 200)
{}
"""


def run(server: MetricsServer, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT.format(code), server.url],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_what_is_left_is_sent_at_exit(server: MetricsServer) -> None:
    done = run(server, "")
    assert (done.returncode, done.stderr) == (0, "")
    assert server.wait_for_count("api", 1).count == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forked_child_sends_its_own_and_only_its_own(server: MetricsServer) -> None:
    done = run(
        server,
        "if os.fork() == 0:\n"
        "    meter.record(0.1, 500)\n"
        "    meter.record(0.1, 500)\n"
        "    sys.exit(0)\n"
        "os.wait()",
    )
    assert (done.returncode, done.stderr) == (0, "")
    summary = server.wait_for_count("api", 3)
    assert summary.count == 3
    assert summary.error_rate_percent == pytest.approx(200 / 3)


def test_child_of_multiprocessing_sends_at_its_end(server: MetricsServer) -> None:
    code = (
        "import multiprocessing\n"
        "child = multiprocessing.get_context('fork').Process(target=meter.record, args=(0.1, 200))"
        "\nchild.start(); child.join()"
    )
    done = run(server, code)
    assert (done.returncode, done.stderr) == (0, "")
    assert server.wait_for_count("api", 2).count == 2


def test_meter_shows_no_token() -> None:
    meter = Meter("api", "https://ops.example:8443/base", "secret-token")
    assert repr(meter) == "<Meter of 'api' to https://ops.example:8443/base/v1/metrics>"


@pytest.mark.parametrize(
    ("given", "named"),
    [({"service": ""}, "service"), ({"url": "ops.example"}, "url"), ({"token": ""}, "token"),
     ({"interval_s": 0.0}, "interval_s"), ({"interval_s": 301.0}, "interval_s")],
    ids=["service", "url", "token", "no_interval", "long_interval"],
)  # fmt: skip
def test_impossible_settings_are_refused(given: dict[str, object], named: str) -> None:
    usual: dict[str, object] = {"service": "api", "url": "http://ops.example", "token": "t"}
    with pytest.raises(ValueError, match=named):
        Meter(**(usual | given))  # type: ignore[arg-type] # whichever it is
