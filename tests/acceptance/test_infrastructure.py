"""Health and alerts over HTTP: a service that dies is seen, told, and told again when it lives."""

import http.client
import json
import re
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import servers
from acceptance.server_process import PREFIX, ServerProcess, wait_until
from quarterdeck.core.clock import utc_now

DOCS = Path(__file__).parents[2] / "docs"
JSON = {"Content-Type": "application/json"}
FIRING = b"""{"version": "4", "alerts": [{"status": "firing", "labels": {"alertname": "Disk",
"job": "db-1", "severity": "critical"}, "annotations": {"summary": "Disk is full"},
"startsAt": "2026-11-25T09:00:00Z"}]}"""

SETTINGS = """
[rate_limit]
default = "1000000/minute"
[alerts]
interval_s = 1
[[alerts.channels]]
name = "hook"
kind = "webhook"
url = "http://127.0.0.1:{hook}/"
secret = "0123456789abcdef"
[[health.services]]
name = "API Server"
interval_s = 1
timeout_s = 0.9
fall = 2
runbook_url = "https://runbooks.example/api"
[[health.services.probes]]
kind = "http"
url = "http://user:s3cret-word@127.0.0.1:{target}/"
[[health.services]]
name = "Own queue"
interval_s = 1
timeout_s = 0.9
[[health.services.probes]]
kind = "queue"
queue = "nothing-there"
source = "quarterdeck"
"""


@dataclass
class Listener:
    """Answers 200 to everything, and notes what is posted."""

    port: int = field(default_factory=servers.free_port)
    posted: list[Any] = field(default_factory=list)

    @property
    def transitions(self) -> list[str]:
        return [each["transition"] for each in self.posted]

    @contextmanager
    def open(self) -> Iterator[None]:
        posted = self.posted

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_POST(self) -> None:
                posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


@pytest.fixture(scope="module")
def hook() -> Iterator[Listener]:
    listener = Listener()
    with listener.open():
        yield listener


@pytest.fixture(scope="module")
def target() -> Listener:
    return Listener()


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, hook: Listener, target: Listener
) -> Iterator[ServerProcess]:
    settings = SETTINGS.format(hook=hook.port, target=target.port)
    process = ServerProcess(tmp_path_factory.mktemp("infrastructure"), settings=settings)
    process.start()
    try:
        yield process
    finally:
        assert process.stop() == 0
    assert "unexpected error" not in process.log
    assert "s3cret-word" not in process.log


def service(server: ServerProcess, name: str) -> Any:
    found = server.get("/infrastructure/health").data["services"]
    return next(each for each in found if each["name"] == name)


def alert(server: ServerProcess, rule: str, name: str) -> Any:
    found = server.get("/infrastructure/alerts").data["alerts"]
    return next((a for a in found if a["rule"] == rule and a["service"] == name), None)


def test_a_service_that_dies_and_lives_again_is_told_from_end_to_end(
    server: ServerProcess, hook: Listener, target: Listener
) -> None:
    with target.open():
        wait_until(lambda: service(server, "API Server")["status"] == "healthy")
    wait_until(lambda: "firing" in hook.transitions)
    assert service(server, "API Server")["status"] == "down"
    fired = alert(server, "service_down", "API Server")
    assert fired["severity"] == "error"
    assert fired["message"].startswith("API Server is down: ")
    assert fired["runbook_url"] == "https://runbooks.example/api"
    path = f"/infrastructure/alerts/{fired['id']}"
    taken = server.post(f"{path}/acknowledge", body=b'{"note": "on it"}', headers=JSON).data
    assert (taken["acknowledged"], taken["note"]) == (True, "on it")
    assert server.post(f"{path}/unacknowledge").data["acknowledged"] is False
    assert server.post(f"{path}/acknowledge").data["acknowledged"] is True
    with target.open():
        wait_until(lambda: "resolved" in hook.transitions)
        assert service(server, "API Server")["status"] == "healthy"
    told = [each["alert"]["id"] for each in hook.posted if each["transition"] == "resolved"]
    assert fired["id"] in told
    history = server.get("/infrastructure/health/API%20Server/history?hours=1").data
    assert {each["status"] for each in history["changes"]} >= {None}
    assert "s3cret-word" not in json.dumps([server.get("/infrastructure/health").json, history])


def test_what_cannot_be_known_is_neither_green_nor_zero(server: ServerProcess) -> None:
    wait_until(lambda: service(server, "Own queue")["stale"])
    found = service(server, "Own queue")
    assert found["status"] == "degraded"
    assert found["reason"].startswith("no data for ")
    assert "queue_backlog" not in found or found["queue_backlog"] is None


def test_the_server_watches_itself(server: ServerProcess) -> None:
    wait_until(lambda: "response_time_ms" in service(server, "Quarterdeck"))
    found = service(server, "Quarterdeck")
    assert found["response_time_ms"]["p95"] > 0
    assert found["error_rate_percent"] == 0


def test_a_note_is_shown_as_the_reason_until_it_is_removed(server: ServerProcess) -> None:
    path = "/infrastructure/health/Quarterdeck/note"
    said = server.call("PUT", path, role="ops", body=b'{"note": "campaign"}', headers=JSON)
    assert said.data["note"] == "campaign"
    found = service(server, "Quarterdeck")
    assert (found["reason"], found["reason_source"]) == ("campaign", "operator")
    assert server.delete(path).data["note"] is None
    assert service(server, "Quarterdeck").get("reason") != "campaign"


def test_unchanged_health_is_not_sent_again(server: ServerProcess) -> None:
    wait_until(lambda: server.get("/infrastructure/health").headers["etag"] != "")
    first = server.get("/infrastructure/health")
    tag = {"If-None-Match": first.headers["etag"]}
    answers = {server.get("/infrastructure/health", headers=tag).status for _ in range(20)}
    assert answers <= {200, 304}


def test_alertmanager_alerts_live_here_too(server: ServerProcess, hook: Listener) -> None:
    path = "/infrastructure/alerts/alertmanager"
    taken = server.post(path, role="ingest", body=FIRING, headers=JSON)
    assert taken.data == {"accepted": 1}
    found = alert(server, "Disk", "db-1")
    assert (found["severity"], found["source"]) == ("error", "alertmanager")
    wait_until(lambda: any(each["alert"]["id"] == found["id"] for each in hook.posted))
    ended = FIRING.replace(b'"firing"', b'"resolved"')
    assert server.post(path, role="ingest", body=ended, headers=JSON).status == 200
    wait_until(lambda: alert(server, "Disk", "db-1")["status"] == "resolved")


def test_a_test_notice_goes_the_way_of_real_ones(server: ServerProcess, hook: Listener) -> None:
    found = server.post("/infrastructure/alerts/test", body=b'{"channel": "hook"}', headers=JSON)
    assert found.data == {"channels": [{"channel": "hook", "delivered": True, "error": None}]}
    assert "test" in hook.transitions
    unknown = server.post("/infrastructure/alerts/test", body=b'{"channel": "x"}', headers=JSON)
    assert unknown.error["code"] == "VALIDATION_ERROR"


def test_a_silence_has_an_end_and_can_be_ended(server: ServerProcess) -> None:
    body = {
        "matchers": [{"name": "service", "value": "API*"}], "comment": "planned",
        "ends_at": (utc_now() + timedelta(days=1)).isoformat(),
    }  # fmt: skip
    made = server.post("/infrastructure/silences", body=json.dumps(body).encode(), headers=JSON)
    assert made.data["active"] is True
    listed = server.get("/infrastructure/silences?active=true").data["silences"]
    assert made.data["id"] in {each["id"] for each in listed}
    assert server.delete(f"/infrastructure/silences/{made.data['id']}").data["status"] == "ended"
    assert server.delete("/infrastructure/silences/nothing").status == 404
    del body["ends_at"]
    refused = server.post("/infrastructure/silences", body=json.dumps(body).encode(), headers=JSON)
    assert refused.status == 400


def test_followers_hear_of_changes_and_miss_none(server: ServerProcess) -> None:
    with following(server, last=None) as events:
        start, _ = next(events)
    body = FIRING.replace(b"db-1", b"db-2")
    server.post("/infrastructure/alerts/alertmanager", role="ingest", body=body, headers=JSON)
    with following(server, last=start) as events:
        number = next(number for number, alert in events if alert and alert["service"] == "db-2")
    assert int(number) > int(start)


@contextmanager
def following(server: ServerProcess, last: str | None) -> Iterator[Iterator[tuple[str, Any]]]:
    """The numbers of a stream's events and their alerts (None: an event without one)."""
    headers = {"Authorization": f"Bearer {server.token('viewer')}"}
    if last is not None:
        headers["Last-Event-ID"] = last
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        connection.request("GET", f"{PREFIX}/infrastructure/alerts/stream", headers=headers)
        response = connection.getresponse()
        assert response.status == 200
        yield _events(response)


def _events(response: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    event: dict[str, str] = {}
    for line in response:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            event[name] = value
        elif event:
            yield event.get("id", ""), json.loads(event["data"]) if "data" in event else None
            event = {}


def test_metrics_tell_of_services_and_alerts(server: ServerProcess) -> None:
    text = server.call("GET", "/metrics", role="viewer", prefix="").raw.decode()
    assert 'quarterdeck_service_status{service="API Server",status="' in text
    assert "quarterdeck_monitor_online 1.0" in text
    assert 'quarterdeck_alerts{state="firing"}' in text
    assert "quarterdeck_alert_evaluation_age_seconds" in text
    assert "quarterdeck_alert_notices_dead 0.0" in text


def test_a_heartbeat_is_noted_for_who_may_send_it(server: ServerProcess) -> None:
    path = "/infrastructure/heartbeats/nightly%20backup"
    assert server.post(path, role="ingest").data["heartbeat"] == "nightly backup"
    assert server.post(path, role="viewer").status == 403
    rows = server.get("/audit?action=health.heartbeat").data["entries"]
    # One comes every few seconds: rows of those would bury the changes.
    assert [each["outcome"] for each in rows] == ["denied"]


def test_pushed_metrics_are_taken_and_garbage_is_named(server: ServerProcess) -> None:
    good = b'{"resourceMetrics": []}'
    answer = server.call("POST", "/v1/metrics", role="ingest", body=good, headers=JSON, prefix="")
    assert answer.status == 200
    bad = b'{"resourceMetrics": [{"scopeMetrics": 3}]}'
    answer = server.call("POST", "/v1/metrics", role="ingest", body=bad, headers=JSON, prefix="")
    assert answer.status == 400
    assert "resourceMetrics[0]" in answer.error["message"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/infrastructure/alerts?hours=0", 400),
        ("/infrastructure/alerts?hours=169", 400),
        ("/infrastructure/alerts?severity=fatal", 400),
        ("/infrastructure/alerts/alert_none", 404),
        ("/infrastructure/alerts/%00", 404),
        ("/infrastructure/health/nobody/history", 404),
        ("/infrastructure/health/API%20Server/history?hours=0", 400),
        ("/infrastructure/health/API%20Server/history?hours=3000", 400),
        ("/infrastructure/silences?limit=101", 400),
    ],
)
def test_wrong_questions_are_answered_with_what_is_wrong(
    server: ServerProcess, path: str, status: int
) -> None:
    answer = server.get(path)
    assert answer.status == status
    assert answer.error["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"version": "3", "alerts": []}', b"\xff"])
def test_a_malformed_alertmanager_document_is_named(server: ServerProcess, body: bytes) -> None:
    answer = server.post(
        "/infrastructure/alerts/alertmanager", role="ingest", body=body, headers=JSON
    )
    assert answer.error["code"] == "VALIDATION_ERROR"


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ('[[health.services]]\nname = "A"\ndepends_on = ["B"]', "health.services[0].depends_on"),
        ('[[alerts.channels]]\nname = "A"\nkind = "pigeon"', "alerts.channels[0].kind"),
        ('[[alerts.rules]]\nname = "A"\nsource = "queue"', "alerts.rules[0].measure"),
        ('[health]\nconnectivity = ["here"]', "health.connectivity[0]"),
        ('[health]\ndeny = ["x"]', "health.deny"),
    ],
)
def test_a_wrong_setting_is_named_by_its_key(tmp_path: Path, settings: str, key: str) -> None:
    done = ServerProcess(tmp_path, settings=settings).run("config", "check")
    assert done.returncode == 2
    assert key in done.stderr


@pytest.mark.parametrize("page", ["health.md", "alerts.md"])
def test_the_settings_of_the_documents_are_good(tmp_path: Path, page: str) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    secrets = {"SLACK_WEBHOOK": "https://hooks.slack.com/services/x", "PAGERDUTY_KEY": "key"}
    done = ServerProcess(tmp_path, settings=example, environment=secrets).run("config", "check")
    assert done.returncode == 0, done.stderr
    assert "hooks.slack.com" not in done.stdout
