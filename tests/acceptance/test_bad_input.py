"""Whatever a user can get wrong is answered with the envelope, the right status and a hint."""

import gzip
import json
import socket
from urllib.parse import quote

import pytest

from acceptance.seeding import insert_job, seed
from acceptance.server_process import PREFIX, ServerProcess, wait_until

JOBS = "/queues/queue:bad-input/jobs"

QUERIES = [
    ("limit=0", "limit"), ("limit=101", "limit"), ("limit=abc", "limit"), ("limit=", "limit"),
    ("limit=1e3", "limit"), ("limit=-5", "limit"), ("offset=-1", "offset"),
    ("offset=x", "offset"), ("status=bogus", "status"), ("status=", "status"),
    ("status=Failed", "status"), ("q=", "q"), ("q=a%00b", "q"), ("q=" + "x" * 201, "q"),
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _queue(server: ServerProcess) -> None:
    seed(server, "bad-input", failed=2, waiting=1, active=1)


@pytest.mark.parametrize(("query", "field"), QUERIES)
def test_bad_parameter_is_400_and_named(server: ServerProcess, query: str, field: str) -> None:
    answer = server.get(f"{JOBS}?{query}")
    assert answer.status == 400
    assert answer.error["code"] == "VALIDATION_ERROR"
    assert [detail["field"] for detail in answer.error["details"]] == [field]
    assert field in answer.error["message"]


def test_unknown_status_names_the_known_ones(server: ServerProcess) -> None:
    message = server.get(f"{JOBS}?status=bogus").error["message"]
    for known in ("active", "waiting", "failed", "completed"):
        assert known in message


@pytest.mark.parametrize("offset", [1000, 10**9, 2**63, 10**40])
def test_huge_offset_is_an_empty_page(server: ServerProcess, offset: int) -> None:
    data = server.get(f"{JOBS}?offset={offset}").data
    assert data["jobs"] == []
    assert data["pagination"]["total"] == 4


HOSTILE = [
    "no-such", "queue:no-such", "queue:a/b", "..", "%", "%25", "'; DROP TABLE jobs; --", '"',
    "queue:😀", "a" * 10_000, "queue:bad-input:high:low", "\u202e", "queue:bad-input ",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/queues/{}"), ("GET", "/queues/{}/jobs"), ("POST", "/queues/{}/pause"),
        ("POST", "/queues/{}/retry-failed"), ("GET", "/jobs/{}"), ("POST", "/jobs/{}/retry"),
        ("DELETE", "/jobs/{}"), ("GET", "/operations/{}"),
    ],
)  # fmt: skip
def test_unknown_name_is_404(server: ServerProcess, method: str, path: str, name: str) -> None:
    answer = server.call(method, path.format(quote(name, safe="")), role="ops")
    assert answer.status == 404, answer.raw
    assert answer.error["code"] == "NOT_FOUND"


@pytest.mark.parametrize("raw", ["%00", "queue:%00", "%ff%fe", "%ed%a0%80", "%C0%AF"])
@pytest.mark.parametrize("path", ["/queues/{}", "/queues/{}/jobs", "/jobs/{}", "/operations/{}"])
def test_bytes_that_are_no_name_are_404(server: ServerProcess, path: str, raw: str) -> None:
    assert server.get(path.format(raw)).error["code"] == "NOT_FOUND"


@pytest.mark.parametrize("name", ["a/b", "100%", "it's", '"quoted"', "😀 mail", "x?y#z", "é"])
def test_queue_of_any_name_is_reached_by_one_encoded_segment(
    server: ServerProcess, name: str
) -> None:
    seed(server, name, waiting=1)
    encoded = quote(f"queue:{name}", safe="")
    assert server.get(f"/queues/{encoded}").data["name"] == f"queue:{name}"
    assert server.get(f"/queues/{encoded}/jobs").data["pagination"]["total"] == 1
    assert server.post(f"/queues/{encoded}/pause").data["queue"] == f"queue:{name}"


def test_near_miss_is_told(server: ServerProcess) -> None:
    server.get("/queues")
    message = server.get("/queues/queue:bad-inptu").error["message"]
    assert "Did you mean 'queue:bad-input'?" in message


PAUSE = "/queues/queue:bad-input/pause"


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{}", {}, 200),
        (b"", {"Content-Type": "application/json"}, 200),
        (b'{"a": 1}', {"Content-Type": "application/json"}, 400),
        (b"{bad", {"Content-Type": "application/json"}, 400),
        (b"\x00\x01", {}, 400),
        (b"[" * 10_000, {}, 400),
        (b"a=b", {"Content-Type": "application/x-www-form-urlencoded"}, 400),
        (gzip.compress(b"0" * 50_000_000), {"Content-Encoding": "gzip"}, 415),
        (b"x" * 70_000, {}, 413),
    ],
)
def test_body_where_none_is_expected(
    server: ServerProcess, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = server.post(PAUSE, body=body, headers=headers)
    assert answer.status == status, answer.raw
    if status != 200:
        assert answer.error["message"]


def test_endless_chunked_body_is_cut_off(server: ServerProcess) -> None:
    token = server.token("ops")
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        head = f"POST {PREFIX}{PAUSE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        connection.sendall((head + "Transfer-Encoding: chunked\r\n\r\n").encode())
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        connection.sendall(chunk * 2)
        received = b""
        while b"PAYLOAD_TOO_LARGE" not in received and (part := connection.recv(65536)):
            received += part
    assert b" 413 " in received.split(b"\r\n")[0]
    assert b"PAYLOAD_TOO_LARGE" in received


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/queues"), ("DELETE", "/queues"), ("GET", PAUSE), ("PATCH", "/jobs/x")],
)
def test_wrong_method_is_405_with_allow(server: ServerProcess, method: str, path: str) -> None:
    answer = server.call(method, path, role="ops")
    assert answer.status == 405
    assert answer.error["code"] == "METHOD_NOT_ALLOWED"
    assert answer.headers["allow"]


@pytest.mark.parametrize("path", ["", "/", "/nothing", "/queues/a/b/c/d", "/queues//jobs/x"])
def test_unknown_route_is_404(server: ServerProcess, path: str) -> None:
    assert server.get(path).error["code"] == "NOT_FOUND"


def test_unknown_route_outside_the_api_needs_a_token_too(server: ServerProcess) -> None:
    assert server.call("GET", "/nothing", prefix="").status == 401
    assert server.call("GET", "/nothing", prefix="", role="ops").error["code"] == "NOT_FOUND"


@pytest.mark.parametrize("given", ["", "has space", "x" * 65, "évil", '"'])
def test_bad_request_id_is_replaced(server: ServerProcess, given: str) -> None:
    headers = {"X-Request-ID": given.encode().decode("latin-1")}
    answer = server.get("/queues", headers=headers)
    assert answer.headers["x-request-id"].startswith("req_")


def test_good_request_id_is_echoed_and_logged(server: ServerProcess) -> None:
    answer = server.get("/queues/queue:none", headers={"X-Request-ID": "trace-42_A"})
    assert answer.error["request_id"] == "trace-42_A"
    wait_until(lambda: '"request_id": "trace-42_A"' in server.log)


def test_malformed_payload_does_not_break_the_page(server: ServerProcess) -> None:
    seed(server, "malformed", waiting=1)
    insert_job(server, id="bad-json", queue_name="malformed", payload='{"password": "hunter2", ')
    jobs = server.get("/queues/queue:malformed/jobs").data["jobs"]
    assert len(jobs) == 2
    [bad] = [job for job in jobs if job["native_id"] == "bad-json"]
    assert bad["payload_error"]
    assert "hunter2" not in json.dumps(jobs)


def test_retry_of_a_waiting_job_is_409_and_says_why(server: ServerProcess) -> None:
    [job_id] = seed(server, "conflicts", waiting=1)
    answer = server.post(f"/jobs/{job_id}/retry")
    assert answer.status == 409
    assert answer.error["code"] == "CONFLICT"
    assert "failed" in answer.error["message"]


def test_delete_of_an_active_job_is_409(server: ServerProcess) -> None:
    [job_id] = seed(server, "conflicts", active=1)
    assert server.delete(f"/jobs/{job_id}").status == 409
    assert server.get(f"/jobs/{job_id}").data["status"] == "active"


def test_pausing_twice_is_safe_and_true(server: ServerProcess) -> None:
    seed(server, "twice", waiting=1)
    assert server.post("/queues/queue:twice/pause").data["changed"] is True
    assert server.post("/queues/queue:twice/pause").data["changed"] is False
    assert server.post("/queues/queue:twice/resume").data["changed"] is True
    assert server.post("/queues/queue:twice/resume").data["changed"] is False
