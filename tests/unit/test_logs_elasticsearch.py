"""Elasticsearch's `_bulk`, and the handshake, with the real client too."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest
from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.logs.adapters.elasticsearch import (
    PRODUCT_HEADER,
    ElasticsearchDialect,
    handshake,
)
from quarterdeck.logs.model import Line
from quarterdeck.logs.ports import Answer, Reading
from quarterdeck.logs.texts import original_bytes

ARRIVAL = datetime(2025, 12, 4, 12, tzinfo=UTC)
OLDEST = ARRIVAL - timedelta(days=90)
AT = "2025-12-04T11:00:00.000Z"


def read(body: bytes) -> Reading:
    return ElasticsearchDialect().read(body, "application/x-ndjson", ARRIVAL, OLDEST)


def ndjson(*objects: object) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in objects)


def document(**fields: Any) -> Line:
    [line] = read(ndjson({"create": {}}, fields)).lines
    return line


def metadata(line: Line) -> Any:
    return json.loads(bytes(line.metadata))


def items(reading: Reading) -> Any:
    return json.loads(ElasticsearchDialect().answer(reading, "", 3).body)


def test_document_of_ecs_becomes_a_line() -> None:
    nested = {
        "@timestamp": AT, "message": "m", "log": {"level": "WARN", "logger": "x"},
        "service": {"name": "api", "version": "2"}, "http": {"request": {"id": "req_1"}},
        "user": {"id": "usr_1"}, "organization": {"id": "tnt_1"},
        "error": {"type": "E", "message": "no", "stack_trace": "at x"}, "trace": {"id": "abc"},
    }  # fmt: skip
    line = document(**nested)
    assert line == Line(
        timestamp="2025-12-04T11:00:00.000000Z",
        level="warning",
        service="api",
        message="m",
        request_id="req_1",
        user_id="usr_1",
        tenant_id="tnt_1",
        metadata=line.metadata,
        level_original="WARN",
    )
    stays = {name: nested[name] for name in ("log", "service", "http", "user", "organization")}
    assert metadata(line) == stays | {
        "trace": {"id": "abc"}, "trace_id": "abc",
        "error_type": "E", "error_message": "no", "stack_trace": "at x",
    }  # fmt: skip


def test_document_with_dots_becomes_the_same_fields() -> None:
    line = document(**{
        "@timestamp": AT, "message": "m", "log.level": "error", "service.name": "api",
        "http.request.id": "req_1", "user.id": "usr_1", "organization.id": "tnt_1",
        "error.type": "E", "error.stack_trace": "at x", "trace.id": "abc", "span.id": "def",
    })  # fmt: skip
    assert (line.level, line.service, line.request_id) == ("error", "api", "req_1")
    assert (line.user_id, line.tenant_id, line.original) == ("usr_1", "tnt_1", "")
    assert metadata(line) == {
        "error_type": "E", "stack_trace": "at x", "trace_id": "abc", "span_id": "def",
    }  # fmt: skip


def test_document_of_another_shipper_is_understood() -> None:
    sent = {"@timestamp": AT, "log": "from fluent bit", "level": "error", "stream": "stderr"}
    line = document(**sent)
    assert (line.message, line.level, metadata(line)) == (
        "from fluent bit", "error", {"stream": "stderr"},
    )  # fmt: skip
    assert json.loads(line.original) == sent


def test_index_and_id_are_metadata() -> None:
    [line] = read(ndjson({"index": {"_index": "logs", "_id": "7"}}, {"message": "m"})).lines
    assert metadata(line) == {"_index": "logs", "_id": "7"}
    assert line.original == ""


def test_every_action_has_an_item_in_the_answer() -> None:
    reading = read(
        ndjson(
            {"create": {"_index": "logs"}}, {"@timestamp": AT, "message": "a"},
            {"delete": {"_index": "logs", "_id": "1"}},
            {"update": {"_id": "2"}}, {"doc": {"message": "x"}},
            {"index": {}}, 5,
            {"index": {}}, {"@timestamp": "2020-01-01T00:00:00Z", "message": "old"},
            {"index": {"_id": "9"}}, {"@timestamp": AT, "message": "b"},
        )
    )  # fmt: skip
    assert [line.message for line in reading.lines] == ["a", "b"]
    assert [rejection.number for rejection in reading.rejections] == [2, 3, 4, 5]
    answer = items(reading)
    assert (answer["took"], answer["errors"]) == (3, True)
    outcomes = [(next(iter(i)), next(iter(i.values()))) for i in answer["items"]]
    assert [(action, told["status"]) for action, told in outcomes] == [
        ("create", 201), ("delete", 400), ("update", 400), ("index", 400), ("index", 400),
        ("index", 201),
    ]  # fmt: skip
    assert outcomes[0][1]["result"] == "created"
    assert outcomes[1][1]["error"]["type"] == "illegal_argument_exception"
    assert outcomes[3][1]["error"]["type"] == "document_parsing_exception"
    assert "older than the retention" in outcomes[4][1]["error"]["reason"]


def test_all_taken_is_no_error() -> None:
    assert items(read(ndjson({"create": {}}, {"message": "a"})))["errors"] is False


def test_source_that_is_missing_is_an_item_error() -> None:
    reading = read(b'{"index":{}}\n{"message":"a"}\n{"index":{}}')
    assert (len(reading.lines), len(reading.rejections), reading.total) == (1, 1, 2)


def test_bytes_that_are_no_text_are_replaced_and_kept() -> None:
    source = b'{"message":"x\xffy"}'
    [line] = read(b'{"index":{}}\n' + source).lines
    assert line.message == "x\ufffdy"
    assert original_bytes(line.original) == source


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\n \n", b"nonsense\n{}", b'{"index":5}\n{}', b'{"flush":{}}\n{}', b"[]\n{}",
        b'{"index":{},"create":{}}\n{}', b'{"index":{}}\n{"message":"a"}\n{"message":"b"}\n',
        b'{"a":' * 10_000,
    ],
)  # fmt: skip
def test_body_of_another_kind_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read(body)


def test_document_nested_too_deeply_is_an_item_error() -> None:
    reading = read(b'{"index":{}}\n' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000)
    assert reading.rejections[0].reason == "nested too deeply"


PIECES = st.lists(
    st.sampled_from(
        [b'{"index":{}}', b'{"create":{"_index":"x"}}', b'{"delete":{"_id":5}}', b"\n", b"\r\n",
         b'{"message":"m"}', b'{"log":{"level":5}}', b"{", b"5", b"\xff", b'"\\ud800"', b"\x00"]
    )
).map(b"".join)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=400)
@given(st.binary() | PIECES)
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        reading = read(body)
    except InvalidRequest:
        return
    msgspec.json.encode(reading.lines)
    assert len(reading.lines) + len(reading.rejections) == reading.total
    assert len(items(reading)["items"]) == reading.total


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("GET", "/", True), ("GET", "", True), ("HEAD", "/", True), ("GET", "/_license", True),
        ("GET", "/_xpack", True), ("GET", "/_nodes/http", True), ("GET", "/_cluster/health", True),
        ("GET", "/_ilm/policy/filebeat", True), ("PUT", "/_index_template/filebeat", True),
        ("HEAD", "/_index_template/logs", True), ("PUT", "/_ingest/pipeline/x", True),
        ("POST", "/", False), ("GET", "/_search", False), ("DELETE", "/_ilm/policy/x", False),
    ],
)  # fmt: skip
def test_handshake_answers_what_shippers_ask(method: str, path: str, found: bool) -> None:
    answer = handshake(method, path)
    assert (answer is not None) == found
    assert answer is None or answer.status == 200


class Door(BaseHTTPRequestHandler):
    """The routes, as small as they can be."""

    lines: list[Line]

    def reply(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if self.path.endswith("/_bulk"):
            dialect = ElasticsearchDialect()
            reading = dialect.read(body, "", ARRIVAL, OLDEST)
            self.lines.extend(reading.lines)
            answer = dialect.answer(reading, "", 1)
        else:
            answer = handshake(self.command, self.path) or Answer(404)
        self.send_response(answer.status)
        self.send_header(*PRODUCT_HEADER)
        self.send_header("Content-Type", answer.content_type or "application/json")
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_GET = do_HEAD = do_POST = do_PUT = reply  # noqa: N815 - the names that http.server wants

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Be quiet."""


@pytest.fixture
def door() -> Iterator[tuple[str, list[Line]]]:
    lines: list[Line] = []
    handler = type("Own", (Door,), {"lines": lines})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", lines
        server.shutdown()
        thread.join()


def test_real_client_can_connect_and_send(door: tuple[str, list[Line]]) -> None:
    url, lines = door
    with Elasticsearch(url) as client:
        assert client.info()["tagline"] == "You Know, for Search"
        assert client.ping()
        actions = [
            {"_op_type": "create", "_index": "logs", "@timestamp": AT, "message": f"m{n}"}
            for n in range(3)
        ]
        old = {"_index": "logs", "@timestamp": "2020-01-01T00:00:00Z", "message": "old"}
        added, errors = bulk(client, [*actions, old], raise_on_error=False)
    assert added == 3
    assert isinstance(errors, list)
    assert errors[0]["index"]["status"] == 400
    assert [line.message for line in lines] == ["m0", "m1", "m2"]
