"""Lines in and out over HTTP, as a shipper and as a person looking for something."""

import gzip
import itertools
import json
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from backports import zstd

from acceptance.server_process import Answer, ServerProcess

SETTINGS = """
[rate_limit]
default = "100000/minute"
ingest = "100000/minute"
"""

NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path_factory.mktemp("logs"), settings=SETTINGS)
    running.start()
    yield running
    assert running.stop() == 0
    assert "unexpected error" not in running.log


def stamp(seconds: float = 0) -> str:
    return (NOW + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def line(number: int, service: str, **more: Any) -> dict[str, Any]:
    return {
        "timestamp": stamp(number), "level": "info", "service": service,
        "message": f"line number {number}", **more,
    }  # fmt: skip


def send(server: ServerProcess, body: bytes, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return server.call("POST", "/logs", role="ingest", body=body, headers=named)


def store(server: ServerProcess, *lines: dict[str, Any]) -> None:
    body = b"\n".join(json.dumps(each).encode() for each in lines)
    assert send(server, body).data["accepted"] == len(lines)


def search(server: ServerProcess, **query: object) -> dict[str, Any]:
    data: dict[str, Any] = server.call("GET", f"/logs?{urlencode(query)}", role="viewer").data
    return data


def messages(server: ServerProcess, **query: object) -> list[str]:
    return [log["message"] for log in search(server, **query)["logs"]]


def test_the_sample_of_the_spec_comes_back_field_for_field(server: ServerProcess) -> None:
    store(
        server,
        {
            "timestamp": stamp(1), "level": "error", "service": "api-sample",
            "message": "Payment processing failed", "request_id": "req_abc123",
            "user_id": "usr_xyz", "error": {"type": "PaymentError", "stack_trace": "..."},
        },
    )  # fmt: skip
    data = search(server, query="payment", service="api-sample", level="error")
    (log,) = data["logs"]
    assert log["id"].startswith("log_")
    fields = {
        "level": "error", "service": "api-sample", "message": "Payment processing failed",
        "request_id": "req_abc123", "user_id": "usr_xyz",
    }  # fmt: skip
    assert {name: log[name] for name in fields} == fields
    assert log["metadata"] == {"error_type": "PaymentError", "stack_trace": "..."}
    assert log["timestamp"] == stamp(1)
    assert data["pagination"] | {"cursor": None} == {
        "total": 1, "limit": 50, "offset": 0, "cursor": None,
    }  # fmt: skip
    assert server.call("GET", f"/logs/{log['id']}", role="viewer").data == log


def test_pages_by_offset_and_cursor_hold_every_line_once(server: ServerProcess) -> None:
    same_moment = [line(5, "paged", n=number) for number in range(120)]
    store(server, *same_moment, *(line(number, "paged", n=number) for number in range(120, 250)))
    by_offset = [
        log["metadata"]["n"]
        for offset in range(0, 250, 40)
        for log in search(server, service="paged", limit=40, offset=offset)["logs"]
    ]
    by_cursor: list[int] = []
    query: dict[str, object] = {"service": "paged", "limit": 40}
    while True:
        page = search(server, **query)
        assert page["pagination"]["total"] == 250
        by_cursor.extend(log["metadata"]["n"] for log in page["logs"])
        if page["pagination"]["cursor"] is None:
            break
        query["cursor"] = page["pagination"]["cursor"]
    assert sorted(by_offset) == sorted(by_cursor) == list(range(250))
    assert by_offset == by_cursor
    assert search(server, service="paged", offset=250)["logs"] == []


def test_every_parameter_narrows(server: ServerProcess) -> None:
    store(
        server,
        line(1, "narrow", level="debug", tenant_id="t1", user_id="u1", request_id="r1"),
        line(2, "narrow", level="info", tenant_id="t2", user_id="u1", request_id="r2"),
        line(3, "narrow", level="warning", tenant_id="t2", user_id="u2", request_id="r2"),
        line(4, "narrow", level="error", tenant_id="t2", user_id="u2", request_id="r3"),
    )

    def numbers(**query: object) -> list[int]:
        found = messages(server, service="narrow", **query)
        return [int(text.rsplit(" ", 1)[1]) for text in found]

    assert numbers() == [4, 3, 2, 1]
    assert numbers(level="warning") == [3]
    assert numbers(min_level="warning") == [4, 3]
    assert numbers(tenant_id="t2", user_id="u1") == [2]
    assert numbers(request_id="r2") == [3, 2]
    assert numbers(start_time=stamp(2), end_time=stamp(3)) == [3, 2]
    assert numbers(query="level:>=warning OR tenant_id:t1") in ([4, 3, 1], [1])
    assert numbers(query='"number 2"') == [2]
    assert numbers(query="/number [34]/ -user_id:nobody") == [4, 3]


def test_context_shows_neighbours_and_the_request(server: ServerProcess) -> None:
    lines = [line(number, "around", request_id=f"rq{number % 2}") for number in range(10)]
    store(server, *lines, line(5, "elsewhere", request_id="rq1"))
    (middle,) = search(server, service="around", query='"number 5"')["logs"]
    data = server.call("GET", f"/logs/{middle['id']}/context?before=2&after=3", role="viewer").data
    assert [log["message"][-1] for log in data["before"]] == ["3", "4"]
    assert [log["message"][-1] for log in data["after"]] == ["6", "7", "8"]
    same = [(log["service"], log["message"][-1]) for log in data["same_request"]]
    assert ("elsewhere", "5") in same
    assert {number for _, number in same} <= {"1", "3", "5", "7", "9"}


def test_histogram_and_facets_count_what_the_search_finds(server: ServerProcess) -> None:
    store(
        server,
        *(
            line(
                number * 60,
                "counted",
                level="error" if number % 3 == 0 else "info",
                zone=number % 4,
            )
            for number in range(30)
        ),
    )
    query = urlencode({"service": "counted", "buckets": 5})
    histogram = server.call("GET", f"/logs/histogram?{query}", role="viewer").data
    assert histogram["total"] == 30
    assert sum(step["counts"].get("error", 0) for step in histogram["steps"]) == 10
    assert len(histogram["steps"]) <= 6
    facet = server.call(
        "GET", "/logs/facets?service=counted&field=zone&limit=2", role="viewer"
    ).data
    assert facet["exact"] is True
    assert facet["values"] == [{"value": "0", "count": 8}, {"value": "1", "count": 8}]
    levels = server.call("GET", "/logs/facets?service=counted&field=level", role="viewer").data
    assert {value["value"]: value["count"] for value in levels["values"]} == {
        "info": 20, "error": 10,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstd.compress)],
)
def test_packed_bodies_are_read(server: ServerProcess, encoding: str, pack: Any) -> None:
    body = b"\n".join(json.dumps(line(n, f"packed-{encoding}")).encode() for n in range(100))
    assert send(server, pack(body), Content_Encoding=encoding).data["accepted"] == 100
    assert search(server, service=f"packed-{encoding}")["pagination"]["total"] == 100


def test_a_json_array_is_read(server: ServerProcess) -> None:
    body = json.dumps([line(1, "array"), 7, line(2, "array")], indent=2).encode()
    data = send(server, body, Content_Type="application/json").data
    assert (data["accepted"], data["rejected"]) == (2, 1)
    assert data["rejections"][0]["line"] == 2
    assert search(server, service="array")["pagination"]["total"] == 2


def test_bad_lines_are_named_and_good_ones_kept(server: ServerProcess) -> None:
    good = json.dumps(line(1, "mixed")).encode()
    body = good + b"\n{not json}\n\n" + b'{"timestamp":"1900-01-01T00:00:00Z"}\n' + good
    data = send(server, body).data
    assert data["accepted"] == 2
    assert [each["line"] for each in data["rejections"]] == [2, 4]
    assert search(server, service="mixed")["pagination"]["total"] == 2


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 400),
        (b" \n\n", {}, 400),
        (b"junk", {}, 400),
        (b"[1, 2", {}, 400),
        (b"\xff\xfe\x00", {}, 400),
        (b"x" * 1000, {"Content_Type": "image/png"}, 415),
        (b"{}", {"Content_Encoding": "br"}, 415),
        (b"not gzip", {"Content_Encoding": "gzip"}, 400),
        (
            gzip.compress(b'{"message":"x"}\n' * 1000, mtime=0)[:-12],
            {"Content_Encoding": "gzip"},
            400,
        ),
        (gzip.compress(b"[" * 40_000_000, mtime=0), {"Content_Encoding": "gzip"}, 413),
        (b"[" * 100_000, {}, 400),
        (b'{"a":' * 10_000, {}, 400),
    ],
    ids=itertools.count(),
)
def test_bad_bodies_have_the_documented_answer(
    server: ServerProcess, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = send(server, body, **headers)
    assert answer.status == status, answer.raw[:300]
    assert answer.error["message"]


def test_whole_lines_before_a_torn_end_are_kept(server: ServerProcess) -> None:
    rows = b"".join(json.dumps(line(n, "torn", pad="x" * 50)).encode() + b"\n" for n in range(9000))
    answer = send(server, gzip.compress(rows)[:-20], Content_Encoding="gzip")
    assert answer.status == 400
    assert "ends in the middle" in answer.error["message"]
    assert search(server, service="torn")["pagination"]["total"] > 0


def test_a_gigabyte_without_a_line_feed_is_one_rejected_line(server: ServerProcess) -> None:
    bomb = zlib.compressobj(1, wbits=31)
    packed = b"".join(bomb.compress(bytes(16_777_216)) for _ in range(64)) + bomb.flush()
    good = gzip.compress(b"\n" + json.dumps(line(1, "after-bomb")).encode())
    data = send(server, packed + good, Content_Encoding="gzip").data
    assert (data["accepted"], data["rejected"]) == (1, 1)
    assert data["rejections"][0]["line"] == 1
    assert "16 MiB" in data["rejections"][0]["reason"]
    assert memory_mb(server) < 1024


def memory_mb(server: ServerProcess) -> float:
    assert server.process is not None
    with Path(f"/proc/{server.process.pid}/status").open() as file:
        (peak,) = (row for row in file if row.startswith("VmHWM"))
    return int(peak.split()[1]) / 1000


@pytest.mark.parametrize("role", ["viewer", "ops"])
def test_only_senders_may_send_and_a_refusal_is_audited(server: ServerProcess, role: str) -> None:
    refused = server.call("POST", "/logs", role=role, body=b"{}")
    assert refused.status == 403
    entries = server.call("GET", "/audit?action=POST%20/api", role="ops")
    assert entries.status == 200
    trail = server.call("GET", "/audit?limit=20", role="ops").data["entries"]
    assert any(row["outcome"] == "denied" and row["role"] == role for row in trail)


def test_senders_may_not_read(server: ServerProcess) -> None:
    for path in ("/logs", "/logs/stats", "/logs/tail", "/logs/facets?field=level"):
        assert server.call("GET", path, role="ingest").status == 403


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/logs?level=loud", "level"),
        ("/logs?min_level=3", "min_level"),
        ("/logs?start_time=yesterday", "start_time"),
        ("/logs?start_time=2025-02-01&end_time=2025-01-01", "start_time"),
        ("/logs?query=%28", "query"),
        ("/logs?query=/%5B/", "query"),
        ("/logs?query=" + "a" * 5000, "query"),
        ("/logs?cursor=nonsense", "cursor"),
        ("/logs?limit=101", "limit"),
        ("/logs?offset=-1", "offset"),
        ("/logs/histogram?buckets=0", "buckets"),
        ("/logs/facets", "field"),
        ("/logs/facets?field=message", "field"),
    ],
)
def test_wrong_parameters_are_named(server: ServerProcess, path: str, field: str) -> None:
    answer = server.call("GET", path, role="viewer")
    assert answer.status == 400, answer.raw
    assert field in {detail["field"] for detail in answer.error["details"]}


@pytest.mark.parametrize("name", ["log_x", "x", quote("log_" + "A" * 27), "log_" + "-" * 27])
def test_unknown_ids_are_404(server: ServerProcess, name: str) -> None:
    assert server.call("GET", f"/logs/{name}", role="viewer").status == 404
    assert server.call("GET", f"/logs/{name}/context", role="viewer").status == 404


def test_what_arrived_can_be_read_back(server: ServerProcess) -> None:
    odd = '{"ts": 1764000000, "severity": "FATAL", "service": "odd", "msg": "a\\u0000b", "n": 1.0}'
    sent = odd.replace("1764000000", str(int(NOW.timestamp())))
    assert send(server, sent.encode()).data["accepted"] == 1
    (log,) = search(server, service="odd")["logs"]
    assert (log["level"], log["level_original"], log["message"]) == ("error", "FATAL", "a\0b")
    assert log["original"] == sent
    assert log["timestamp"] == stamp()


def test_a_line_without_a_time_has_that_of_its_arrival_and_says_so(server: ServerProcess) -> None:
    assert send(server, b'{"service":"timeless","message":"x"}').data["accepted"] == 1
    (log,) = search(server, service="timeless")["logs"]
    assert "timestamp_missing" in log["marks"]
    assert datetime.now(UTC) - datetime.fromisoformat(log["timestamp"]) < timedelta(minutes=1)


def test_stats_tell_what_is_kept(server: ServerProcess) -> None:
    store(server, line(1, "stats"))
    stats = server.call("GET", "/logs/stats", role="viewer").data
    assert stats["rows"] == search(server)["pagination"]["total"] > 0
    assert stats["bytes"] > 0
    assert (stats["retention_days"], stats["retention_bytes"]) == (90, None)


def test_metrics_count_the_lines(server: ServerProcess) -> None:
    store(server, line(1, "measured"), line(2, "measured"))
    text = server.call("GET", "/metrics", role="viewer", prefix="").raw.decode()
    (stored,) = [row for row in text.splitlines() if row.startswith("quarterdeck_log_lines_stored")]
    assert float(stored.split()[1]) >= 2
    assert "quarterdeck_log_waiting_bytes 0.0" in text
