"""OTLP/HTTP logs, as the OpenTelemetry SDK encodes them, and as nobody should."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import TraceFlags

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.logs.adapters.otlp import OtlpDialect
from quarterdeck.logs.model import Line
from quarterdeck.logs.ports import Reading

ARRIVAL = datetime(2025, 12, 4, 12, tzinfo=UTC)
OLDEST = ARRIVAL - timedelta(days=90)
AT_NS = 1764846000_123456000
PROTOBUF, JSON = "application/x-protobuf", "application/json"
RESOURCE = {"service.name": "mailer", "host.name": "h1"}


def sent(*records: LogRecord) -> ExportLogsServiceRequest:
    """A request as the SDK makes it."""
    exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    provider = LoggerProvider(resource=Resource(RESOURCE), shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    logger = provider.get_logger("billing", "1.2")
    for record in records:
        logger.emit(record)
    return encode_logs(exporter.get_finished_logs())


def as_json(request: ExportLogsServiceRequest) -> Any:
    """The same by OTLP's mapping to JSON: protobuf's own, but ids are hexadecimal."""
    body = MessageToDict(request, use_integers_for_enums=True)
    for resource in body.get("resourceLogs", []):
        for scope in resource["scopeLogs"]:
            for record in scope["logRecords"]:
                for name in ("traceId", "spanId"):
                    if name in record:
                        record[name] = base64.b64decode(record[name]).hex()
    return body


def read(body: bytes, content_type: str) -> Reading:
    return OtlpDialect().read(body, content_type, ARRIVAL, OLDEST)


def both(*records: LogRecord) -> list[Line]:
    """The lines; the same ones from both encodings."""
    request = sent(*records)
    binary = read(request.SerializeToString(), PROTOBUF)
    text = read(json.dumps(as_json(request)).encode(), JSON + "; charset=utf-8")
    assert not binary.rejections and not text.rejections
    without = [msgspec.structs.replace(line, original="") for line in binary.lines]
    assert without == [msgspec.structs.replace(line, original="") for line in text.lines]
    return list(binary.lines)


def metadata(line: Line) -> Any:
    return json.loads(bytes(line.metadata))


def record(**fields: Any) -> LogRecord:
    return LogRecord(**{"timestamp": AT_NS, "observed_timestamp": AT_NS, "body": "m", **fields})


def test_record_becomes_a_line() -> None:
    [line] = both(
        record(
            body="Payment failed",
            severity_number=SeverityNumber.ERROR,
            severity_text="ERROR",
            trace_id=0xABC,
            span_id=0xDEF,
            trace_flags=TraceFlags(1),
            attributes={
                "http.method": "GET", "retries": 3, "ok": False, "ratio": 0.5, "tags": ["a", "b"],
                "request_id": "req_1", "enduser.id": "usr_1", "tenant.id": "tnt_1",
                "exception.type": "E", "exception.message": "m", "exception.stacktrace": "at x",
            },
        )
    )  # fmt: skip
    assert line == Line(
        timestamp="2025-12-04T11:00:00.123456Z",
        level="error",
        service="mailer",
        message="Payment failed",
        request_id="req_1",
        user_id="usr_1",
        tenant_id="tnt_1",
        metadata=line.metadata,
        level_original="ERROR",
    )
    assert metadata(line) == {
        "observed_time_unix_nano": str(AT_NS), "severity_number": 17,
        "trace_id": f"{0xABC:032x}", "span_id": f"{0xDEF:016x}", "trace_flags": 1,
        "http.method": "GET", "retries": 3, "ok": False, "ratio": 0.5, "tags": ["a", "b"],
        "enduser.id": "usr_1", "tenant.id": "tnt_1",
        "error_type": "E", "error_message": "m", "stack_trace": "at x",
        "resource.host.name": "h1", "scope.name": "billing", "scope.version": "1.2",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("number", "text", "level", "original", "marks"),
    [
        (SeverityNumber.WARN2, "warning", "warning", "", ""),
        (SeverityNumber.WARN, "WARN", "warning", "WARN", ""),
        (SeverityNumber.TRACE, None, "debug", "", ""),
        (None, "Critical", "error", "Critical", ""),
        (None, "banana", "info", "banana", "level_unknown"),
        (None, None, "info", "", "level_missing"),
    ],
)
def test_severity_is_mapped(
    number: SeverityNumber | None, text: str | None, level: str, original: str, marks: str
) -> None:
    [line] = both(record(severity_number=number, severity_text=text))
    assert (line.level, line.level_original, line.marks) == (level, original, marks)


def test_nanoseconds_are_kept_in_the_metadata() -> None:
    [line] = both(record(timestamp=AT_NS + 789, severity_text="info"))
    assert line.timestamp == "2025-12-04T11:00:00.123456Z"
    assert metadata(line)["time_unix_nano"] == str(AT_NS + 789)
    assert line.original == ""


def test_time_of_observation_stands_in() -> None:
    request = sent(record(severity_text="info"))
    request.resource_logs[0].scope_logs[0].log_records[0].time_unix_nano = 0
    [line] = read(request.SerializeToString(), PROTOBUF).lines
    assert (line.timestamp, line.marks) == ("2025-12-04T11:00:00.123456Z", "")


def test_no_time_at_all_is_the_arrival() -> None:
    body = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "m"}}]}]}]}
    [line] = read(json.dumps(body).encode(), JSON).lines
    assert (line.timestamp, line.marks) == (
        "2025-12-04T12:00:00.000000Z", "level_missing,timestamp_missing",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"a": {"b": [1, 2.5, True]}}, '{"a":{"b":[1,2.5,true]}}'), (["x", 1], '["x",1]'), (5, "5"),
        (True, "true"), (b"\xff\x00", "/wA="), (1.5, "1.5"),
    ],
)  # fmt: skip
def test_body_of_any_type_is_its_json_text(body: Any, message: str) -> None:
    [line] = both(record(body=body))
    assert line.message == message
    alone = ResourceLogs.FromString(base64.b64decode(line.original.removeprefix("protobuf:")))
    assert alone == sent(record(body=body)).resource_logs[0]


def test_original_of_json_is_the_record_as_it_came() -> None:
    request = as_json(sent(record(body=5), record(body="plain")))
    changed, plain = read(json.dumps(request).encode(), JSON).lines
    expected = request["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
    assert json.loads(changed.original)["logRecords"] == [expected]
    assert plain.original == ""


def test_attribute_called_like_a_part_of_the_record_is_kept_beside_it() -> None:
    [line] = both(record(trace_id=1, span_id=2, attributes={"trace_id": "mine", "scope.name": "x"}))
    told = metadata(line)
    assert (told["trace_id"], told["attributes.trace_id"]) == (f"{1:032x}", "mine")
    assert (told["scope.name"], told["origin.scope.name"]) == ("x", "billing")


def test_numbers_that_json_does_not_have_are_text() -> None:
    attributes = {"a": float("nan"), "b": float("inf"), "c": float("-inf")}
    [line] = both(record(attributes=attributes))
    told = metadata(line)
    assert (told["a"], told["b"], told["c"]) == ("NaN", "Infinity", "-Infinity")


def test_snake_case_and_plain_numbers_are_understood() -> None:
    body = {"resource_logs": [{"resource": {"attributes": [
        {"key": "service.name", "value": {"string_value": "s"}}]}, "scope_logs": [{"log_records": [
            {"time_unix_nano": AT_NS, "severity_number": "SEVERITY_NUMBER_WARN3",
             "body": {"string_value": "m"},
             "attributes": [{"key": "n", "value": {"int_value": 5}}]}]}]}]}  # fmt: skip
    [line] = read(json.dumps(body).encode(), JSON).lines
    assert (line.service, line.level, line.message) == ("s", "warning", "m")
    assert metadata(line) == {"severity_number": 15, "n": 5}


def test_bytes_that_are_no_text_are_replaced_and_kept() -> None:
    request = sent(record(body="good"), record(body="bXd"))
    reading = read(request.SerializeToString().replace(b"bXd", b"b\xffd"), PROTOBUF)
    good, bad = reading.lines
    assert (good.message, good.original) == ("good", "")
    assert (bad.message, "repaired" in bad.marks) == ("b\ufffdd", True)
    assert b"b\xffd" in base64.b64decode(bad.original.removeprefix("protobuf:"))


def test_bytes_that_are_no_text_are_replaced_in_json() -> None:
    body = json.dumps(as_json(sent(record(body="good"), record(body="bXd")))).encode()
    for broken in (b"b\xffd", rb"b\ud800d"):
        good, bad = read(body.replace(b"bXd", broken), JSON).lines
        assert (good.message, good.original) == ("good", "")
        assert (bad.message, "repaired" in bad.marks) == ("b\ufffdd", True)


def test_old_record_is_rejected_by_number_and_the_others_are_kept() -> None:
    request = sent(record(), record(timestamp=1_000_000_000), record(body="last"))
    for body, kind in ((request.SerializeToString(), PROTOBUF),
                       (json.dumps(as_json(request)).encode(), JSON)):  # fmt: skip
        reading = read(body, kind)
        assert [line.message for line in reading.lines] == ["m", "last"]
        assert [(r.number, r.reason[:10]) for r in reading.rejections] == [(2, "older than")]
        assert reading.total == 3


@pytest.mark.parametrize(
    "bad",
    [
        5, [], {"body": 5}, {"body": {"stringValue": 5}}, {"timeUnixNano": "x"},
        {"attributes": {}}, {"attributes": [{}]}, {"body": {"what": 1}}, {"traceId": 5},
        {"body": {"arrayValue": {"values": 5}}}, {"severityNumber": 2**70},
    ],
)  # fmt: skip
def test_bad_record_of_json_is_rejected_and_the_others_are_kept(bad: object) -> None:
    records = [{"body": {"stringValue": "a"}}, bad, {"body": {"stringValue": "b"}}]
    body = {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}
    reading = read(json.dumps(body).encode(), JSON)
    assert [line.message for line in reading.lines] == ["a", "b"]
    assert [rejection.number for rejection in reading.rejections] == [2]


def test_value_nested_too_deeply_is_rejected() -> None:
    value: dict[str, object] = {"stringValue": "x"}
    for _ in range(40):
        value = {"arrayValue": {"values": [value]}}
    body = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": value}]}]}]}
    [rejection] = read(json.dumps(body).encode(), JSON).rejections
    assert rejection.reason == "nested too deeply"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"\xff\xff", PROTOBUF), (b"{}x", JSON), (b"[]", JSON), (b"", JSON), (b"{}", "text/plain"),
        (b'{"resourceLogs":{}}', JSON), (b'{"a":' * 10_000, JSON), (b"{}", ""),
        (b'{"resourceLogs":[{"scopeLogs":[{"logRecords":5}]}]}', JSON),
    ],
)  # fmt: skip
def test_body_of_another_kind_is_refused(body: bytes, content_type: str) -> None:
    with pytest.raises(InvalidRequest):
        read(body, content_type)


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
def test_empty_request_is_an_empty_success(content_type: str) -> None:
    reading = read(b"" if content_type == PROTOBUF else b"{}", content_type)
    answer = OtlpDialect().answer(reading, content_type, 1)
    assert (reading.total, answer.status, answer.content_type) == (0, 200, content_type)
    assert answer.body == (b"" if content_type == PROTOBUF else b"{}")


def test_partial_success_is_told_in_both_encodings() -> None:
    reading = read(sent(record(), record(timestamp=1)).SerializeToString(), PROTOBUF)
    binary = OtlpDialect().answer(reading, PROTOBUF, 1)
    partial = ExportLogsServiceResponse.FromString(binary.body).partial_success
    assert partial.rejected_log_records == 1
    assert partial.error_message.startswith("record 2: older than")
    text = json.loads(OtlpDialect().answer(reading, JSON, 1).body)["partialSuccess"]
    assert text == {"rejectedLogRecords": "1", "errorMessage": partial.error_message}


SAMPLE = sent(record(attributes={"a": [1, "x"]}, body={"k": b"v"}, severity_text="x"))
BINARY, TEXT = SAMPLE.SerializeToString(), json.dumps(as_json(SAMPLE)).encode()


@pytest.mark.slow
@settings(max_examples=400)
@given(
    st.sampled_from([BINARY, TEXT]), st.integers(0, 2000), st.binary(max_size=4), st.integers(0, 9),
    st.sampled_from([PROTOBUF, JSON]),
)  # fmt: skip
def test_any_bytes_are_read_or_refused(
    body: bytes, at: int, new: bytes, gone: int, content_type: str
) -> None:
    at %= len(body) + 1
    try:
        reading = read(body[:at] + new + body[at + gone :], content_type)
    except InvalidRequest:
        return
    msgspec.json.encode(reading.lines)
    assert len(reading.lines) + len(reading.rejections) == reading.total


KEYS = ["resourceLogs", "scopeLogs", "logRecords", "body", "attributes", "key", "value", "values",
        "stringValue", "arrayValue", "kvlistValue", "intValue", "timeUnixNano", "resource",
        "scope", "traceId", "severityNumber", "x_y"]  # fmt: skip
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
)


@pytest.mark.slow
@settings(max_examples=400)
@given(TREES, st.booleans())
def test_any_json_is_read_or_refused(tree: object, as_record: bool) -> None:
    body = {"resourceLogs": [{"scopeLogs": [{"logRecords": [tree]}]}]} if as_record else tree
    try:
        reading = read(json.dumps(body).encode(), JSON)
    except InvalidRequest:
        return
    msgspec.json.encode(reading.lines)
