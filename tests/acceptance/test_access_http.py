"""Who may do what, over the wire: closed by default, 401 and 403 before anything else."""

import http.client
import json

import pytest

from acceptance.seeding import seed
from acceptance.server_process import PREFIX, ServerProcess

READS = ["/queues", "/queues/queue:x", "/queues/queue:x/jobs", "/jobs/job_x", "/operations/op_x"]
CHANGES = [
    ("POST", "/queues/queue:x/pause"),
    ("POST", "/queues/queue:x/resume"),
    ("POST", "/queues/queue:x/retry-failed"),
    ("DELETE", "/queues/queue:x/failed"),
    ("POST", "/jobs/job_x/retry"),
    ("DELETE", "/jobs/job_x"),
]
EVERYTHING = [("GET", path) for path in [*READS, "/audit", "/no-such-route"]] + CHANGES


@pytest.mark.parametrize(("method", "path"), EVERYTHING)
@pytest.mark.parametrize(
    "authorization",
    [
        None, "", "Bearer", "Bearer ", "Basic b3BzOm9wcw==", "Bearer x", "Bearer qd_ops_a_b",
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.", "Bearer " + "x" * 5000,
    ],
)  # fmt: skip
def test_without_a_good_token_everything_is_401(
    server: ServerProcess, method: str, path: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = server.call(method, path, headers=headers)
    assert answer.status == 401
    assert answer.error["code"] == "UNAUTHORIZED"
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", READS)
def test_reading_takes_viewer_ops_or_admin(server: ServerProcess, path: str) -> None:
    for role in ("viewer", "ops", "admin"):
        assert server.call("GET", path, role=role).status in {200, 404}
    assert server.call("GET", path, role="ingest").error["code"] == "FORBIDDEN"


@pytest.mark.parametrize(("method", "path"), [*CHANGES, ("GET", "/audit")])
def test_changing_takes_ops_and_403_comes_before_404(
    server: ServerProcess, method: str, path: str
) -> None:
    for role in ("viewer", "ingest"):
        assert server.call(method, path, role=role).error["code"] == "FORBIDDEN"
    for role in ("ops", "admin"):
        assert server.call(method, path, role=role).status in {200, 404}


def test_metrics_take_the_right_to_read(server: ServerProcess) -> None:
    seed(server, "measured", waiting=3)
    assert server.call("GET", "/metrics", prefix="").status == 401
    answer = server.call("GET", "/metrics", prefix="", role="viewer")
    sample = 'quarterdeck_queue_jobs{queue="queue:measured",source="quarterdeck",state="waiting"}'
    assert f"{sample} 3.0" in answer.raw.decode()
    assert "quarterdeck_http_requests_total" in answer.raw.decode()


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json", "/docs"])
def test_public_pages_need_no_token(server: ServerProcess, path: str) -> None:
    assert server.call("GET", path, prefix="").status == 200


@pytest.mark.parametrize("path", ["/docs/docs.js", "/docs/swagger-ui.css"])
def test_docs_load_nothing_from_elsewhere(server: ServerProcess, path: str) -> None:
    page = server.call("GET", "/docs", prefix="")
    assert b"http://" not in page.raw
    assert b"https://" not in page.raw
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert server.call("GET", path, prefix="").status == 200


def test_revoked_token_is_refused_at_once(server: ServerProcess) -> None:
    created = server.run("token", "create", "--name", "short-lived", "--role", "ops")
    token = created.stdout.strip()
    assert server.call("GET", "/queues", token=token).status == 200
    listed = server.run("token", "list", "--json")
    [entry] = [
        line for line in json.loads(listed.stdout)["tokens"] if line["name"] == "short-lived"
    ]
    assert server.run("token", "revoke", entry["id"]).returncode == 0
    answer = server.call("GET", "/queues", token=token)
    assert answer.status == 401
    assert "revoked" in answer.error["message"]


@pytest.mark.parametrize(
    ("path", "by_session"),
    [
        ("/queues/stream", True),
        ("/queues/stream", False),
        ("/infrastructure/alerts/stream", False),
        ("/logs/tail", False),
    ],
)
def test_stream_ends_with_the_token(server: ServerProcess, path: str, by_session: bool) -> None:
    token = server.run("token", "create", "--name", "listener", "--role", "viewer").stdout.strip()
    headers = {"Authorization": f"Bearer {token}"}
    if by_session:
        opened = server.call("POST", "/session", token=token)
        headers = {"Cookie": opened.headers["set-cookie"].partition(";")[0]}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request("GET", PREFIX + path, headers=headers)
        response = connection.getresponse()
        assert response.status == 200
        assert response.readline()
        assert server.run("token", "revoke", token.split("_")[2]).returncode == 0
        # It ends as an answer should, not by a lost connection.
        response.read()
    finally:
        connection.close()


def test_no_secret_reaches_the_log(server: ServerProcess) -> None:
    for role in ("ops", "viewer"):
        server.call("GET", "/queues", role=role)
    server.call("GET", "/queues", token="qd_ops_doesnotexist_secretsecretsecret")
    log = server.log
    for token in [*server.tokens.values(), "secretsecretsecret"]:
        assert token not in log
