"""Rate limits, ETags, idempotency and the audit trail, over the wire and under concurrency."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from acceptance.seeding import scalar, seed
from acceptance.server_process import Answer, ServerProcess


def at_once(calls: int, call: Callable[[int], Answer]) -> list[Answer]:
    """Answers to calls that all start together."""
    barrier = threading.Barrier(calls)

    def wait_and_call(number: int) -> Answer:
        barrier.wait()
        return call(number)

    with ThreadPoolExecutor(calls) as pool:
        return list(pool.map(wait_and_call, range(calls)))


def test_limit_is_exact_under_concurrency(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(environment={"QUARTERDECK_RATE_LIMIT": "20/minute"})
    token = server.token("viewer")
    answers = at_once(40, lambda _: server.call("GET", "/queues", token=token))
    assert Counter(answer.status for answer in answers) == {200: 20, 429: 20}
    for answer in answers:
        assert answer.headers["x-ratelimit-limit"] == "20"
        assert answer.headers["ratelimit-policy"] == '"default";q=20;w=60'
        assert int(answer.headers["x-ratelimit-reset"]) <= 60
        if answer.status == 429:
            assert answer.error["code"] == "RATE_LIMIT_EXCEEDED"
            assert 1 <= int(answer.headers["retry-after"]) <= 60
            assert answer.headers["x-ratelimit-remaining"] == "0"


def test_principals_and_the_console_have_buckets_of_their_own(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server(environment={"QUARTERDECK_RATE_LIMIT": "3/minute"})
    for _ in range(3):
        assert server.get("/queues", role="viewer").status == 200
    assert server.get("/queues", role="viewer").status == 429
    assert server.get("/queues", role="ops").status == 200
    console = server.get("/queues", role="viewer", headers={"X-Quarterdeck-Client": "console"})
    assert console.status == 200
    assert console.headers["x-ratelimit-limit"] == "600"


def test_bad_tokens_of_one_address_are_slowed_down_and_good_ones_are_not(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server(environment={"QUARTERDECK_RATE_LIMIT_BAD_TOKENS": "5/minute"})
    statuses = [server.call("GET", "/queues", token=f"qd_ops_{n}_x").status for n in range(8)]
    assert statuses == [401] * 5 + [429] * 3
    assert server.get("/queues").status == 200


def test_unchanged_answer_is_304_and_free(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(environment={"QUARTERDECK_RATE_LIMIT": "10/minute"})
    seed(server, "polled", waiting=1)
    first = server.get("/queues")
    tag = first.headers["etag"]
    left = int(first.headers["x-ratelimit-remaining"])
    for _ in range(15):
        again = server.get("/queues", headers={"If-None-Match": f'"other", W/{tag}'})
        assert again.status == 304
        assert again.raw == b""
        assert again.headers["etag"] == tag
        assert int(again.headers["x-ratelimit-remaining"]) == left
    seed(server, "polled", waiting=1)
    changed = server.get("/queues", headers={"If-None-Match": tag})
    assert changed.status == 200
    assert changed.headers["etag"] != tag


def test_same_key_is_carried_out_once_and_answered_alike(server: ServerProcess) -> None:
    [job_id] = seed(server, "idempotent", failed=1)
    headers = {"Idempotency-Key": "retry-1"}
    first = server.post(f"/jobs/{job_id}/retry", headers=headers)
    assert first.status == 200
    again = server.post(f"/jobs/{job_id}/retry", headers=headers)
    assert (again.status, again.raw) == (first.status, first.raw)
    assert again.headers["idempotency-replayed"] == "true"
    assert server.post(f"/jobs/{job_id}/retry").status == 409


def test_same_key_at_once_is_carried_out_once(server: ServerProcess) -> None:
    seed(server, "idempotent-many", failed=3)
    server.token("ops")
    path = "/queues/queue:idempotent-many/retry-failed"
    headers = {"Idempotency-Key": "bulk-1"}
    answers = at_once(16, lambda _: server.post(path, headers=headers))
    statuses = Counter(answer.status for answer in answers)
    assert set(statuses) <= {200, 409}
    ids = {a.data["operation_id"] for a in answers if a.status == 200}
    assert len(ids) == 1
    count = (
        "SELECT count(*) FROM jobs WHERE queue_name = 'quarterdeck:operations' AND payload LIKE :q"
    )
    assert scalar(server, count, q="%idempotent-many%") == 1


def test_key_reused_for_another_request_is_422(server: ServerProcess) -> None:
    seed(server, "idempotent", waiting=1)
    headers = {"Idempotency-Key": "pause-1"}
    assert server.post("/queues/queue:idempotent/pause", headers=headers).status == 200
    answer = server.post("/queues/queue:idempotent/resume", headers=headers)
    assert answer.status == 422
    assert answer.error["code"] == "IDEMPOTENCY_KEY_REUSED"
    assert server.get("/queues/queue:idempotent").data["paused"] is True


def test_keys_of_two_principals_do_not_meet(server: ServerProcess) -> None:
    seed(server, "idempotent", waiting=1)
    headers = {"Idempotency-Key": "shared"}
    assert server.post("/queues/queue:idempotent/pause", headers=headers).status == 200
    other = server.post("/queues/queue:idempotent/resume", headers=headers, role="admin")
    assert other.status == 200


@pytest.mark.parametrize("key", ["", "x" * 256, "with space", "tab\t"])
def test_bad_key_is_400(server: ServerProcess, key: str) -> None:
    answer = server.post("/queues/queue:idempotent/pause", headers={"Idempotency-Key": key})
    assert answer.error["code"] == "VALIDATION_ERROR"
    assert answer.error["details"][0]["field"] == "Idempotency-Key"


def entries(server: ServerProcess, **query: str) -> list[dict[str, Any]]:
    path = "/audit?" + "&".join(f"{name}={value}" for name, value in query.items())
    found: list[dict[str, Any]] = server.get(path).data["entries"]
    return found


def test_every_change_and_denied_change_is_audited(server: ServerProcess) -> None:
    [job_id] = seed(server, "audited", failed=1)
    headers = {"X-Request-ID": "audit-me", "User-Agent": "test/1"}
    server.post("/queues/queue:audited/pause?source=jobs%20too&scope=band", headers=headers)
    server.post("/queues/queue:audited/pause?scope=band", headers=headers)
    server.post("/queues/queue:audited/resume", role="viewer")
    server.post("/queues/queue:no-such/pause")
    server.delete(f"/jobs/{job_id}")
    server.get("/queues")
    newest = entries(server, limit="5")
    assert [(e["action"], e["outcome"], e["status"], e["role"]) for e in newest] == [
        ("job.delete", "ok", 200, "ops"),
        ("queue.pause", "failed", 404, "ops"),
        ("queue.resume", "denied", 403, "viewer"),
        ("queue.pause", "ok", 200, "ops"),
        ("queue.pause", "failed", 404, "ops"),
    ]
    pause, elsewhere = newest[3:]
    assert pause["resource"] == "queue_name=queue:audited scope=band"
    assert elsewhere["resource"] == "queue_name=queue:audited source=jobs too scope=band"
    assert pause["request_id"] == "audit-me"
    assert pause["user_agent"] == "test/1"
    assert pause["ip_address"] == "127.0.0.1"
    assert pause["principal"].startswith("token:")


def test_audit_is_paged_and_filtered(server: ServerProcess) -> None:
    seed(server, "audited", waiting=1)
    for _ in range(3):
        server.post("/queues/queue:audited/pause")
        server.post("/queues/queue:audited/resume")
    first = server.get("/audit?action=queue.pause&limit=2").data
    assert {e["action"] for e in first["entries"]} == {"queue.pause"}
    assert first["pagination"]["total"] >= 3
    second = server.get("/audit?action=queue.pause&limit=2&offset=2").data
    ids = [e["id"] for e in first["entries"] + second["entries"]]
    assert ids == sorted(set(ids), reverse=True)


def test_replayed_answer_leaves_no_second_audit_row(server: ServerProcess) -> None:
    seed(server, "audited", waiting=1)
    headers = {"Idempotency-Key": "audit-once", "X-Request-ID": "audit-once"}
    for _ in range(3):
        server.post("/queues/queue:audited/pause", headers=headers)
    assert [e["request_id"] for e in entries(server)].count("audit-once") == 1


def retry(server: ServerProcess, job_id: str, _: int) -> Answer:
    return server.post(f"/jobs/{job_id}/retry")


def delete(server: ServerProcess, job_id: str, _: int) -> Answer:
    return server.delete(f"/jobs/{job_id}")


def test_retrying_at_once_succeeds_exactly_once(server: ServerProcess) -> None:
    server.token("ops")
    for job_id in seed(server, "races", failed=5):
        answers = at_once(8, partial(retry, server, job_id))
        assert Counter(a.status for a in answers) == {200: 1, 409: 7}


def test_deleting_at_once_succeeds_exactly_once(server: ServerProcess) -> None:
    server.token("ops")
    for job_id in seed(server, "races", failed=5):
        answers = at_once(8, partial(delete, server, job_id))
        assert Counter(a.status for a in answers) == {200: 1, 404: 7}
