"""Bad input at the doors of other protocols: the documented answer, and what is good is kept."""

import gzip
import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from cramjam import snappy
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)

from acceptance.server_process import Answer, ServerProcess
from log_world import NOW, SETTINGS, everything, peak_mb, running, stamp
from quarterdeck.logs.adapters.loki.protobuf import PushRequest

OTLP, LOKI, BULK = "/v1/logs", "/loki/api/v1/push", "/elasticsearch/_bulk"
NDJSON = "/api/v1/platform/system/logs"
JSON, PROTOBUF = "application/json", "application/x-protobuf"
NS = int(NOW.timestamp()) * 10**9
LARGE = 40 * 1024 * 1024
ANCIENT = 86_400 * 10**9
"""The second of January 1970: the retention would remove it at once."""

DOORS = [(OTLP, PROTOBUF), (OTLP, JSON), (LOKI, PROTOBUF), (LOKI, JSON), (BULK, JSON)]
DEEP = b"[" * 100_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Whatever is sent, nothing is unexpected and the memory stays bounded."""
    with running(ServerProcess(tmp_path_factory.mktemp("doors"), settings=SETTINGS), "ops") as it:
        yield it
        assert peak_mb(it) < 1024


def post(server: ServerProcess, path: str, body: bytes, kind: str, **more: Any) -> Answer:
    headers = {"Content-Type": kind, **more.pop("headers", {})}
    given = {"role": "ingest", "prefix": "", **more}
    return server.call("POST", path, body=body, headers=headers, **given)


def otlp_json(*records: Any, service: str = "otlp") -> bytes:
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    return json.dumps(
        {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": records}]}]}
    ).encode()


def record(text: str, time_ns: int = NS, **more: Any) -> dict[str, Any]:
    return {"timeUnixNano": str(time_ns), "body": {"stringValue": text}, **more}


def otlp_protobuf(service: str, *records: tuple[str, int]) -> bytes:
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    attribute = resource.resource.attributes.add(key="service.name")
    attribute.value.string_value = service
    scope = resource.scope_logs.add()
    for text, time_ns in records:
        scope.log_records.add(time_unix_nano=time_ns).body.string_value = text
    packed: bytes = request.SerializeToString()
    return packed


def loki_json(service: str, *values: Any) -> bytes:
    return json.dumps(
        {"streams": [{"stream": {"service_name": service}, "values": values}]}
    ).encode()


def loki_protobuf(service: str, *lines: str) -> bytes:
    request = PushRequest()
    stream = request.streams.add(labels=f'{{service_name="{service}"}}'.encode())
    for line in lines:
        entry = stream.entries.add(line=line.encode())
        entry.timestamp.seconds = NS // 10**9
    return bytes(snappy.compress_raw(request.SerializeToString()))


def bulk(*lines: Any) -> bytes:
    return b"".join(
        (line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines
    )


def document(service: str, text: str) -> dict[str, Any]:
    return {"@timestamp": stamp(NOW), "message": text, "service.name": service}


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def texts(server: ServerProcess, service: str) -> list[str]:
    return sorted(log["message"] for log in everything(server, service=service))


GOOD_PUSH = loki_protobuf("whole", *(f"line {number} {number**9}" for number in range(500)))


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        pytest.param(OTLP, PROTOBUF, b"\xff\xfe garbage", id="otlp protobuf garbage"),
        pytest.param(OTLP, PROTOBUF, otlp_protobuf("x", ("a", NS))[:-3], id="otlp torn"),
        pytest.param(OTLP, PROTOBUF, b"\x0a" + varint(2**31 - 1), id="otlp huge length"),
        pytest.param(OTLP, PROTOBUF, b"\x0b" * 100_000, id="otlp groups"),
        pytest.param(OTLP, JSON, b"", id="otlp json empty"),
        pytest.param(OTLP, JSON, b"{", id="otlp json torn"),
        pytest.param(OTLP, JSON, b"[]", id="otlp json array"),
        pytest.param(OTLP, JSON, b'{"resourceLogs":7}', id="otlp json number"),
        pytest.param(OTLP, JSON, b'{"resourceLogs":' + DEEP, id="otlp json deep"),
        pytest.param(OTLP, JSON, b"\x00\xff\xfe", id="otlp json binary"),
        pytest.param(LOKI, PROTOBUF, b"", id="loki empty"),
        pytest.param(LOKI, PROTOBUF, b"no snappy at all", id="loki plain"),
        pytest.param(LOKI, PROTOBUF, GOOD_PUSH[: len(GOOD_PUSH) // 2], id="loki torn snappy"),
        pytest.param(LOKI, PROTOBUF, varint(2**32 - 1) + b"\x00a", id="loki bomb, 4 GB"),
        pytest.param(LOKI, PROTOBUF, varint(2**63) + b"\x00a", id="loki bomb, 9 EB"),
        pytest.param(LOKI, PROTOBUF, bytes(snappy.compress_raw(bytes(80_000_000))), id="80 MB"),
        pytest.param(LOKI, PROTOBUF, b"\xff" * 20, id="loki length without end"),
        pytest.param(LOKI, PROTOBUF, bytes(snappy.compress_raw(b"\xff junk")), id="loki garbage"),
        pytest.param(LOKI, JSON, b"", id="loki json empty"),
        pytest.param(LOKI, JSON, b"null", id="loki json null"),
        pytest.param(LOKI, JSON, b'{"streams":"x"}', id="loki json text"),
        pytest.param(LOKI, JSON, b'{"other":[]}', id="loki json other"),
        pytest.param(LOKI, JSON, b'{"streams":' + DEEP, id="loki json deep"),
        pytest.param(BULK, JSON, b"", id="bulk empty"),
        pytest.param(BULK, JSON, b"\n\n \n", id="bulk blank"),
        pytest.param(BULK, JSON, b"junk\n", id="bulk junk"),
        pytest.param(BULK, JSON, bulk({"explode": {}}, {"message": "x"}), id="bulk unknown action"),
        pytest.param(BULK, JSON, bulk({"index": {}, "create": {}}, {}), id="bulk two actions"),
        pytest.param(BULK, JSON, b'{"index":' + DEEP + b"\n{}\n", id="bulk deep action"),
    ],
)
def test_what_is_not_of_the_protocol_has_the_documented_answer(
    server: ServerProcess, path: str, kind: str, body: bytes
) -> None:
    answer = post(server, path, body, kind)
    assert answer.status == 400, answer.raw[:300]
    assert answer.error["code"] == "VALIDATION_ERROR"
    assert len(answer.error["message"]) < 500


@pytest.mark.parametrize(("path", "kind"), DOORS)
def test_broken_compression_has_the_documented_answer(
    server: ServerProcess, path: str, kind: str
) -> None:
    for body in (b"no gzip", gzip.compress(b"x" * 1000)[:-8]):
        answer = post(server, path, body, kind, headers={"Content-Encoding": "gzip"})
        assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    answer = post(server, path, b"{}", kind, headers={"Content-Encoding": "br"})
    assert (answer.status, answer.error["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(("path", "kind"), DOORS)
def test_a_body_that_is_too_large_is_refused(server: ServerProcess, path: str, kind: str) -> None:
    answer = post(server, path, bytes(LARGE), kind)
    assert (answer.status, answer.error["code"]) == (413, "PAYLOAD_TOO_LARGE")
    bomb = gzip.compress(b" " * LARGE)
    answer = post(server, path, bomb, kind, headers={"Content-Encoding": "gzip"})
    assert (answer.status, answer.error["code"]) == (413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize("path", [OTLP, LOKI, BULK])
@pytest.mark.parametrize("kind", ["image/png", "text/html; charset=utf-8", "multipart/form-data"])
def test_another_content_type_is_refused(server: ServerProcess, path: str, kind: str) -> None:
    answer = post(server, path, b"{}", kind)
    assert (answer.status, answer.error["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("path", [OTLP, LOKI, BULK, NDJSON])
def test_only_senders_may_send(server: ServerProcess, path: str) -> None:
    for role in ("viewer", "ops"):
        answer = post(server, path, b"{}", JSON, role=role)
        assert (answer.status, answer.error["code"]) == (403, "FORBIDDEN")
    answer = post(server, path, b"{}", JSON, role=None)
    assert (answer.status, answer.error["code"]) == (401, "UNAUTHORIZED")
    nobody = b64encode(b"somebody:secret").decode()
    for scheme in ("Basic", "ApiKey"):
        headers = {"Authorization": f"{scheme} {nobody}"}
        answer = post(server, path, b"{}", JSON, role=None, headers=headers)
        assert (answer.status, answer.error["code"]) == (401, "UNAUTHORIZED")


def test_otlp_takes_the_good_records_and_says_which_were_not(server: ServerProcess) -> None:
    body = otlp_protobuf("partial", ("first", NS), ("ancient", ANCIENT), ("third", NS))
    answer = post(server, OTLP, body, PROTOBUF)
    assert (answer.status, answer.headers["content-type"]) == (200, PROTOBUF)
    told = ExportLogsServiceResponse.FromString(answer.raw)
    assert told.partial_success.rejected_log_records == 1
    assert told.partial_success.error_message.startswith("record 2: ")
    assert texts(server, "partial") == ["first", "third"]


def test_otlp_as_json_takes_the_good_records_and_says_which_were_not(
    server: ServerProcess,
) -> None:
    nested: dict[str, Any] = {"stringValue": "x"}
    for _ in range(200):
        nested = {"arrayValue": {"values": [nested]}}
    body = otlp_json(
        record("first"),
        7,
        record("ancient", ANCIENT),
        record("odd", attributes={"no": "list"}),
        {"timeUnixNano": str(NS), "body": nested},
        record("lone \ud800 surrogate, NUL \0"),
        record("large", severityNumber=10**30),
        service="json-partial",
    )
    answer = post(server, OTLP, body, f"{JSON}; charset=utf-8")
    assert answer.status == 200
    partial = answer.json["partialSuccess"]
    assert partial["rejectedLogRecords"] == "5"
    for number in (2, 3, 4, 5, 7):
        assert f"record {number}: " in partial["errorMessage"]
    assert texts(server, "json-partial") == ["first", "lone \ufffd surrogate, NUL \0"]


def test_otlp_without_records_is_a_success(server: ServerProcess) -> None:
    assert post(server, OTLP, b"", PROTOBUF).status == 200
    assert post(server, OTLP, b"{}", JSON).json == {}


def test_loki_answers_204_and_keeps_all(server: ServerProcess) -> None:
    answer = post(server, LOKI, GOOD_PUSH, PROTOBUF)
    assert (answer.status, answer.raw) == (204, b"")
    assert len(set(texts(server, "whole"))) == 500
    body = loki_json("labels", [str(NS), "a"], [str(NS), "b", {"user_id": "u1"}])
    assert post(server, LOKI, body, JSON).status == 204
    assert texts(server, "labels") == ["a", "b"]
    packed = gzip.compress(loki_json("packed", [str(NS), "c"]))
    answer = post(server, LOKI, packed, JSON, headers={"Content-Encoding": "gzip"})
    assert answer.status == 204
    assert texts(server, "packed") == ["c"]


def test_loki_names_refused_entries_and_keeps_the_others(server: ServerProcess) -> None:
    hostile = ([str(NS), "good"], [str(ANCIENT), "ancient"], 7, [str(NS)], [str(NS), {"no": 1}])
    answer = post(server, LOKI, loki_json("refused", *hostile), JSON)
    assert answer.status == 400
    text = answer.raw.decode()
    assert text.startswith("4 of 5 entries were refused")
    for number in (2, 3, 4, 5):
        assert f"entry {number}: " in text
    assert texts(server, "refused") == ["good"]


def test_bulk_answers_for_each_item_and_keeps_the_good_ones(server: ServerProcess) -> None:
    create: dict[str, Any] = {"create": {"_index": "shop", "_id": "7"}}
    body = bulk(
        create, document("bulk", "first"),
        {"index": {}}, b"{torn",
        {"delete": {"_index": "shop", "_id": "1"}},
        {"update": {"_id": "1"}}, {"doc": {}},
        create, b'{"a":' * 10_000,
        create, document("bulk", "ancient") | {"@timestamp": "1970-01-02T00:00:00Z"},
        create, b'{"message":"bytes \xff","service.name":"bulk","message":"twice"}',
        create, document("bulk", "last"),
    )  # fmt: skip
    answer = post(server, "/elasticsearch/shop/_bulk", body, "application/x-ndjson")
    assert answer.status == 200
    assert answer.headers["x-elastic-product"] == "Elasticsearch"
    assert answer.json["errors"] is True
    items = [(kind, item) for each in answer.json["items"] for kind, item in each.items()]
    assert [(kind, item["status"]) for kind, item in items] == [
        ("create", 201), ("index", 400), ("delete", 400), ("update", 400), ("create", 400),
        ("create", 400), ("create", 201), ("create", 201),
    ]  # fmt: skip
    for _, item in items:
        assert ("error" in item) == (item["status"] == 400)
    assert items[0][1]["_index"] == "shop"
    kept = texts(server, "bulk")
    assert (kept[0], kept[1]) == ("first", "last")
    assert len(kept) == 3


def test_elasticsearch_knows_only_what_comes_before_bulk(server: ServerProcess) -> None:
    for method, path, status in (
        ("HEAD", "", 200), ("GET", "", 200), ("GET", "/_license", 200),
        ("PUT", "/_ilm/policy/x", 200),
        ("GET", "/shop/_search", 404), ("POST", "/_sql", 404), ("GET", "/_cat/indices", 404),
    ):  # fmt: skip
        answer = server.call(method, f"/elasticsearch{path}", role="ingest", prefix="")
        assert answer.status == status, path
        if status == 404:
            assert answer.error["code"] == "NOT_FOUND"
        else:
            assert answer.headers["x-elastic-product"] == "Elasticsearch"
