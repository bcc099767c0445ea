"""Bulk operations: durable, with a frozen cut-off, reported while they run."""

from datetime import UTC, datetime, timedelta
from typing import Any

from acceptance.seeding import execute, insert_job, scalar, seed, stamp
from acceptance.server_process import ServerProcess, wait_until


def finished(server: ServerProcess, operation: dict[str, Any]) -> dict[str, Any]:
    """The operation once it has ended."""
    path = f"/operations/{operation['operation_id']}"
    wait_until(lambda: server.get(path).data["status"] in {"completed", "failed"})
    done: dict[str, Any] = server.get(path).data
    return done


def test_retry_failed_queues_every_failed_job_of_this_band_only(server: ServerProcess) -> None:
    seed(server, "bulk-retry", failed=1203, completed=2)
    seed(server, "bulk-retry", "high", failed=4)
    started = server.post("/queues/queue:bulk-retry/retry-failed").data
    assert started["action"] == "retry_failed"
    done = finished(server, started)
    assert (done["status"], done["done"], done["total"]) == ("completed", 1203, 1203)
    assert done["requested_by"].startswith("token:")
    queue = server.get("/queues/queue:bulk-retry").data
    assert (queue["failed_jobs"], queue["waiting_jobs"]) == (0, 1203)
    assert server.get("/queues/queue:bulk-retry:high").data["failed_jobs"] == 4


def test_delete_failed_removes_them_and_nothing_else(server: ServerProcess) -> None:
    seed(server, "bulk-delete", failed=7, waiting=2, completed=3, active=1)
    done = finished(server, server.delete("/queues/queue:bulk-delete/failed").data)
    assert (done["status"], done["done"]) == ("completed", 7)
    left = server.get("/queues/queue:bulk-delete/jobs").data["pagination"]["total"]
    assert left == 6


def test_jobs_that_fail_after_the_cutoff_are_left_alone(server: ServerProcess) -> None:
    seed(server, "bulk-cutoff", failed=3)
    later = stamp(datetime.now(UTC) + timedelta(minutes=5))
    insert_job(server, id="later", queue_name="bulk-cutoff", status="failed", failed_at=later)
    done = finished(server, server.delete("/queues/queue:bulk-cutoff/failed").data)
    assert done["done"] == 3
    assert scalar(server, "SELECT count(*) FROM jobs WHERE queue_name = 'bulk-cutoff'") == 1


def test_operations_are_jobs_in_the_same_api(server: ServerProcess) -> None:
    seed(server, "bulk-visible", failed=1)
    finished(server, server.delete("/queues/queue:bulk-visible/failed").data)
    names = [queue["name"] for queue in server.get("/queues").data["queues"]]
    assert "queue:quarterdeck:operations" in names


def test_operation_survives_a_killed_server(tmp_path: Any) -> None:
    (tmp_path / "killed").mkdir()
    server = ServerProcess(tmp_path / "killed", environment={"QUARTERDECK_WORK_LEASE_S": "3"})
    server.start()
    try:
        seed(server, "bulk-killed", failed=20_000)
        started = server.post("/queues/queue:bulk-killed/retry-failed").data
        server.kill()
        server.start()
        done = finished(server, started)
        assert done["status"] == "completed"
        assert server.get("/queues/queue:bulk-killed").data["waiting_jobs"] == 20_000
    finally:
        server.stop()


def test_errors_are_grouped_by_kind(server: ServerProcess) -> None:
    seed(server, "grouped", failed=5)
    execute(
        server,
        "UPDATE jobs SET last_error_message = 'deadlock on row ' || rowid "
        "WHERE queue_name = 'grouped' AND rowid % 2 = (SELECT min(rowid) % 2 FROM jobs "
        "WHERE queue_name = 'grouped')",
    )
    data = server.get("/queues/queue:grouped/errors").data
    found = {group["fingerprint"]: group["count"] for group in data["groups"]}
    assert found == {"deadlock on row <n>": 3, "SMTP connection timeout": 2}
    assert data["examined"] == 5
    assert data["complete"] is True
    sample = data["groups"][0]["sample_job_id"]
    assert server.get(f"/jobs/{sample}").data["error"]["message"].startswith("deadlock")


def test_search_finds_text_in_payload_and_error_but_no_secret(server: ServerProcess) -> None:
    seed(server, "searched", failed=2)
    insert_job(
        server, id="needle", queue_name="searched",
        payload='{"to": "Zo\\u00eb@example.org", "smtp_password": "hunter2"}',
    )  # fmt: skip

    def found(q: str) -> int:
        path = f"/queues/queue:searched/jobs?q={q}"
        total: int = server.get(path).data["pagination"]["total"]
        return total

    assert found("zo%C3%8B@EXAMPLE") == 1
    assert found("smtp%20connection") == 2
    assert found("hunter2") == 0
    assert found("%25") == 0
    [job] = server.get("/queues/queue:searched/jobs?q=example.org").data["jobs"]
    assert job["payload"]["smtp_password"] == "***"
