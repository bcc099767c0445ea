"""`quarterdeck demo`: a stranger's first minute."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from acceptance.demo_process import DemoProcess
from acceptance.server_process import wait_until

STATES = ("active", "waiting", "failed", "completed")


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[DemoProcess]:
    running = DemoProcess(tmp_path)
    running.start()
    yield running
    if running.process and running.process.poll() is None:
        running.end(signal.SIGKILL)


@pytest.fixture
def cli(demo: DemoProcess) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    def call(*arguments: str) -> "subprocess.CompletedProcess[str]":
        token, _ = demo.announced
        environment = os.environ | {
            "QUARTERDECK_URL": f"http://127.0.0.1:{demo.port}", "QUARTERDECK_TOKEN": token
        }  # fmt: skip
        return subprocess.run(
            [*demo.command()[:3], *arguments],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return call


def test_every_state_is_seen_within_a_minute(
    demo: DemoProcess, cli: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    token, url = demo.announced
    # Nothing was looked at before it was there.
    assert not [line for line in demo.log_lines if line["level"] != "INFO"]
    health = demo.call("GET", "/infrastructure/health", token=token).data["services"]
    assert "fail" not in {probe["outcome"] for each in health for probe in each["probes"]}
    assert url == f"http://127.0.0.1:{demo.port}/api/v1/platform/system/queues"
    names = {queue["name"] for queue in demo.call("GET", "/queues", token=token).data["queues"]}
    assert {
        "queue:email-sending:high", "queue:email-sending", "queue:email-sending:low",
        "queue:analytics:daily-aggregate", "queue:warmup:process",
    } <= names  # fmt: skip
    seen: set[str] = set()

    def all_seen() -> bool:
        jobs = "/queues/queue%3Aemail-sending/jobs?limit=100"
        page = demo.call("GET", jobs, token=token).data["jobs"]
        seen.update(job["status"] for job in page)
        return seen == set(STATES)

    wait_until(all_seen, 60)
    failed = json.loads(cli("jobs", "email-sending", "--status", "failed", "--json").stdout)["jobs"]
    assert all(job["payload"]["sample"] is True for job in failed)
    assert all(job["payload"]["smtp"]["smtp_password"] == "***" for job in failed)
    assert all("relay.py" in job["error"]["stack_trace"] for job in failed)
    assert "queue:email-sending" in cli("queues", "--source", "demo").stdout


def test_logs_of_all_parts_are_found(
    demo: DemoProcess, cli: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    token, _ = demo.announced

    def services() -> set[str]:
        facet = demo.call("GET", "/logs/facets?field=service", token=token).data
        return {value["value"] for value in facet["values"]}

    wait_until(lambda: services() == {"analyst", "mailer", "neighbours", "producer"}, 60)
    query = "stack_trace:*relay.py* queue:email-sending"
    wait_until(lambda: bool(cli("logs", query, "--json").stdout), 60)
    line = json.loads(cli("logs", query, "--json", "--limit", "1").stdout)
    assert line["level"] in {"warning", "error"}
    assert line["request_id"].startswith("req_")
    assert line["tenant_id"].startswith("wsp_")


def test_health_changes_and_alerts_come_and_go(tmp_path: Path) -> None:
    demo = DemoProcess(tmp_path)
    demo.pace = "10"
    demo.start()
    token, _ = demo.announced
    services: dict[str, dict[str, Any]] = {}
    seen: set[tuple[str, str]] = set()

    def look() -> set[tuple[str, str]]:
        health = demo.call("GET", "/infrastructure/health", token=token).data["services"]
        alerts = demo.call("GET", "/infrastructure/alerts", token=token).data["alerts"]
        # What was measured once may be unknown while the service is away.
        for each in health:
            services.setdefault(each["name"], {}).update(each)
        seen.update((each["name"], each["status"]) for each in health)
        seen.update((each["rule"], each["status"]) for each in alerts)
        return seen

    expected = {
        ("API Server", "healthy"), ("SMTP Service", "healthy"), ("SMTP Service", "down"),
        ("service_down", "firing"), ("service_down", "resolved"), ("Nightly Backup", "healthy"),
        ("OLTP Database", "healthy"), ("OLTP Database", "degraded"),
    }  # fmt: skip
    ips: list[dict[str, Any]] = []

    def listed_and_off() -> bool:
        found = demo.call("GET", "/infrastructure/ip-reputation", token=token).data["ips"]
        ips.extend(found)
        statuses = [each["status"] for each in ips if each["ip_address"] == "203.0.113.12"]
        return "critical" in statuses and statuses[-1] == "good"

    try:
        wait_until(lambda: look() >= expected, 150)
        wait_until(listed_and_off, 150)
    finally:
        assert demo.end(signal.SIGTERM) == 0
    assert services["API Server"]["response_time_ms"]["p95"] > 0
    assert isinstance(services["SMTP Service"]["queue_backlog"], int)
    assert 0 < services["OLTP Database"]["connection_pool_usage_percent"] <= 100
    assert services["OLTP Database"]["query_latency_ms"] > 0
    assert {each["provider"] for each in ips} == {"AWS", "SendGrid", "unknown"}
    assert ips[-1]["daily_volume"] > 500
    assert {name for each in ips for name in each["blacklists"]} == {"sample-blocklist"}


def test_term_ends_server_and_platform(demo: DemoProcess) -> None:
    wait_until(lambda: len(demo.children()) == 4)
    assert demo.end(signal.SIGTERM) == 0
    assert demo.children() == []


def test_kill_leaves_no_orphans_and_the_next_start_works(demo: DemoProcess) -> None:
    first, _ = demo.announced
    wait_until(lambda: len(demo.children()) == 4)
    demo.end(signal.SIGKILL)
    wait_until(lambda: demo.children() == [])
    demo.start()
    second, _ = demo.announced
    assert (demo.status_with(first), demo.status_with(second)) == (401, 200)
    assert demo.end(signal.SIGTERM) == 0


def test_second_demo_is_refused_and_spares_the_first(demo: DemoProcess) -> None:
    token, _ = demo.announced
    second = demo.run("demo", "--port", "0")
    assert (second.returncode, second.stdout) == (2, "")
    assert "already uses the data directory" in second.stderr
    assert demo.status_with(token) == 200
