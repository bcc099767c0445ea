"""Loki's push API."""

import base64
import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from cramjam import snappy
from hypothesis import given, settings
from hypothesis import strategies as st
from logging_loki.emitter import LokiEmitterV0, LokiEmitterV1  # type: ignore[import-untyped]

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.logs.adapters.loki import LokiDialect
from quarterdeck.logs.adapters.loki.entries import read_labels
from quarterdeck.logs.adapters.loki.protobuf import PushRequest, StreamAdapter
from quarterdeck.logs.model import Line
from quarterdeck.logs.ports import Reading

ARRIVAL = datetime(2025, 12, 4, 12, tzinfo=UTC)
OLDEST = ARRIVAL - timedelta(days=90)
AT_NS = 1764846000_123456000
AT = "2025-12-04T11:00:00.123456Z"
PROTOBUF, JSON = "application/x-protobuf", "application/json"


def read(body: bytes, content_type: str) -> Reading:
    return LokiDialect().read(body, content_type, ARRIVAL, OLDEST)


def compressed(request: Any) -> bytes:
    return bytes(snappy.compress_raw(request.SerializeToString()))


def binary(labels: str, line: bytes, ns: int = AT_NS, **structured: str) -> Any:
    request = PushRequest()
    entry = request.streams.add(labels=labels.encode(), hash=7).entries.add(line=line)
    entry.timestamp.seconds, entry.timestamp.nanos = divmod(ns, 10**9)
    for name, value in structured.items():
        entry.structuredMetadata.add(name=name.encode(), value=value.encode())
    return request


def text(labels: dict[str, Any], line: str, ns: int = AT_NS, **structured: str) -> bytes:
    values = [str(ns), line, *([structured] if structured else [])]
    return json.dumps({"streams": [{"stream": labels, "values": [values]}]}).encode()


def both(labels: dict[str, str], line: str, ns: int = AT_NS, **structured: str) -> Line:
    """The line; the same one from both encodings."""
    shown = ", ".join(f"{name}={json.dumps(value)}" for name, value in labels.items())
    body = compressed(binary(f"{{{shown}}}", line.encode(), ns, **structured))
    [one] = read(body, PROTOBUF).lines
    [other] = read(text(labels, line, ns, **structured), JSON).lines
    assert one == other
    return one


def metadata(line: Line) -> Any:
    return json.loads(bytes(line.metadata))


def test_entry_becomes_a_line() -> None:
    line = both(
        {"service_name": "api", "level": "warn", "env": "prod", "path": 'C:\\x "y"\n'},
        '{"message":"not looked into"}',
        trace_id="abc", user_id="usr_1", request_id="req_1",
    )  # fmt: skip
    assert line == Line(
        timestamp=AT,
        level="warning",
        service="api",
        message='{"message":"not looked into"}',
        request_id="req_1",
        user_id="usr_1",
        metadata=line.metadata,
        level_original="warn",
    )
    assert metadata(line) == {"env": "prod", "path": 'C:\\x "y"\n', "trace_id": "abc"}


@pytest.mark.parametrize(
    ("labels", "service", "level", "rest"),
    [
        ({"service": "s", "app": "a"}, "s", "info", {"service": "s", "app": "a"}),
        ({"app": "a", "job": "j"}, "a", "info", {"app": "a", "job": "j"}),
        ({"job": "j", "detected_level": "error"}, "j", "error",
         {"job": "j", "detected_level": "error"}),
        ({}, "", "info", {}),
    ],
)  # fmt: skip
def test_other_labels_fill_in_and_stay(
    labels: dict[str, str], service: str, level: str, rest: dict[str, str]
) -> None:
    line = both(labels, "m")
    assert (line.service, line.level, metadata(line)) == (service, level, rest)
    assert line.original == ""


def test_nanoseconds_are_kept_in_the_metadata() -> None:
    line = both({}, "m", AT_NS + 789)
    assert (line.timestamp, metadata(line)) == (AT, {"time_unix_nano": str(AT_NS + 789)})


def test_structured_metadata_called_like_a_label_is_kept_beside_it() -> None:
    line = both({"env": "a"}, "m", env="b")
    assert metadata(line) == {"env": "a", "structured_metadata.env": "b"}


def test_no_time_is_the_arrival() -> None:
    assert both({}, "m", 0).marks == "level_missing,timestamp_missing"


def test_client_of_the_python_package_is_understood() -> None:
    record = logging.LogRecord("app.db", logging.ERROR, "x.py", 1, "lost", (), None)
    record.created = AT_NS / 1e9
    tags = {"application": "web"}
    for version in (LokiEmitterV0, LokiEmitterV1):
        payload = version("http://localhost", tags).build_payload(record, "lost")
        if version is LokiEmitterV1:  # it takes the time of day itself
            payload["streams"][0]["values"][0][0] = str(AT_NS)
        [line] = read(json.dumps(payload).encode(), JSON).lines
        assert (line.message, line.level) == ("lost", "error")
        assert line.timestamp.startswith("2025-12-04T11:00:00.1234")
        assert metadata(line) == {"severity": "error", "logger": "app.db", "application": "web"}


def test_bytes_that_are_no_text_are_replaced_and_kept() -> None:
    request = binary('{app="a"}', b"x\xffy")
    [line] = read(compressed(request), PROTOBUF).lines
    assert (line.message, line.marks) == ("x\ufffdy", "level_missing,repaired")
    alone = StreamAdapter.FromString(base64.b64decode(line.original.removeprefix("protobuf:")))
    assert alone == request.streams[0]


def test_bytes_that_are_no_text_are_replaced_in_json() -> None:
    body = text({"app": "a"}, "x-y")
    for broken in (b"x\xffy", rb"x\ud800y"):
        [line] = read(body.replace(b"x-y", broken), JSON).lines
        assert (line.message, line.marks) == ("x\ufffdy", "level_missing,repaired")


def test_label_that_is_no_text_is_kept_as_it_is() -> None:
    [line] = read(text({"n": 5, "app": None}, "m"), JSON).lines
    assert metadata(line) == {"n": 5, "app": None}
    assert (line.service, line.original) == ("", "")


def test_bad_entries_are_rejected_and_the_others_are_kept() -> None:
    values = [[str(AT_NS), "a"], ["1", "old"], 5, [str(AT_NS), 7], [], [str(AT_NS), "b", 5],
              ["soon", "c"]]  # fmt: skip
    reading = read(json.dumps({"streams": [{"stream": {}, "values": values}]}).encode(), JSON)
    assert [line.message for line in reading.lines] == ["a", "c"]
    assert [rejection.number for rejection in reading.rejections] == [2, 3, 4, 5, 6]
    assert reading.lines[1].marks == "level_missing,timestamp_unreadable"
    assert json.loads(reading.lines[1].original)["values"] == [["soon", "c"]]
    answer = LokiDialect().answer(reading, JSON, 1)
    assert (answer.status, answer.body.decode().splitlines()[0]) == (
        400, "5 of 7 entries were refused, others are kept",
    )  # fmt: skip


def test_success_has_no_content() -> None:
    answer = LokiDialect().answer(read(text({}, "m"), JSON), JSON, 1)
    assert (answer.status, answer.body) == (204, b"")


@pytest.mark.parametrize(
    ("shown", "labels"),
    [
        ("{}", []), ("", []), ('{a="b"}', [("a", "b")]),
        ('{ a = "b" , c="d", }', [("a", "b"), ("c", "d")]),
        (r'{a="\"\\\n\t\x41\u00e9\101"}', [("a", '"\\\n\tA\u00e9A')]),
        ("{a=`b\\n`}", [("a", "b\\n")]),
        (r'{a="C:\q"}', [("a", r"C:\q")]), ('{a="x,y}"}', [("a", "x,y}")]),
        ("{a=b}", [("labels", "{a=b}")]), ('{a="b"', [("labels", '{a="b"')]),
        ('{a="b" c="d"}', [("labels", '{a="b" c="d"}')]), (r'{a="\ud800"}', [("a", "\ufffd")]),
    ],
)  # fmt: skip
def test_labels_are_read_or_kept_whole(shown: str, labels: list[tuple[str, str]]) -> None:
    assert list(read_labels(shown)) == labels


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,5}", fullmatch=True), st.text()))
def test_labels_are_read_back(labels: dict[str, str]) -> None:
    shown = ",".join(f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in labels.items())
    assert dict(read_labels(f"{{{shown}}}")) == labels


def size(declared: int) -> bytes:
    """How snappy writes it."""
    out = bytearray()
    while declared >= 128:
        out.append(declared & 127 | 128)
        declared >>= 7
    return bytes([*out, declared])


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", PROTOBUF), (b"\xff" * 20, PROTOBUF), (b"plain", PROTOBUF), (b"{}", JSON),
        (size(10**9) + b"x" * 100, PROTOBUF), (size(2**32 - 1) + b"x", PROTOBUF),
        (size(5000) + b"x" * 100, PROTOBUF), (bytes(snappy.compress_raw(b"\xff\xff")), PROTOBUF),
        (b"", JSON), (b"[]", JSON), (b'{"streams":5}', JSON), (b'{"streams":[5]}', JSON),
        (b'{"streams":[{"stream":5}]}', JSON), (b'{"streams":' + b"[" * 9999, JSON),
    ],
)  # fmt: skip
def test_body_of_another_kind_is_refused(body: bytes, content_type: str) -> None:
    with pytest.raises(InvalidRequest):
        read(body, content_type)


PLAIN = binary('{app="a", level="x"}', b"line", user_id="u").SerializeToString()
TEXT = text({"app": "a", "level": "x"}, "line", user_id="u")


@pytest.mark.slow
@settings(max_examples=400)
@given(
    st.sampled_from([PLAIN, TEXT]), st.integers(0, 200), st.binary(max_size=4), st.integers(0, 9),
    st.sampled_from(["raw", "snappy", "json"]),
)  # fmt: skip
def test_any_bytes_are_read_or_refused(
    body: bytes, at: int, new: bytes, gone: int, how: str
) -> None:
    at %= len(body) + 1
    mutated = body[:at] + new + body[at + gone :]
    if how == "snappy":
        mutated = bytes(snappy.compress_raw(mutated))
    try:
        reading = read(mutated, JSON if how == "json" else PROTOBUF)
    except InvalidRequest:
        return
    msgspec.json.encode(reading.lines)
    assert len(reading.lines) + len(reading.rejections) == reading.total


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["stream", "values", "labels", "entries", "ts", "line", "x"]), inner
        )
    ),
)


@pytest.mark.slow
@settings(max_examples=400)
@given(TREES)
def test_any_json_is_read_or_refused(tree: object) -> None:
    try:
        reading = read(json.dumps({"streams": [tree]}).encode(), JSON)
    except InvalidRequest:
        return
    msgspec.json.encode(reading.lines)
