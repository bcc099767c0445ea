"""The platform's log format: fields, metadata, marks, and that what arrived can be read back."""

import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from quarterdeck.core.errors import ConfigError
from quarterdeck.logs.adapters import DIALECTS, dialect_factory
from quarterdeck.logs.adapters.ndjson import NdjsonDialect
from quarterdeck.logs.model import MAX_MESSAGE, MAX_NAME, Line
from quarterdeck.logs.rules import LineRejected, normalise, read_line
from quarterdeck.logs.texts import kept, original_bytes
from quarterdeck.logs.timestamps import stamp
from quarterdeck.logs.vocabulary import IDS

ARRIVAL = datetime(2025, 12, 4, 12, 0, 0, 250_000, tzinfo=UTC)
OLDEST = ARRIVAL - timedelta(days=90)
NOW = "2025-12-04T12:00:00.250000Z"
AT = "2025-12-04T11:00:00Z"


def line(raw: bytes | str) -> Line:
    return read_line(raw.encode() if isinstance(raw, str) else raw, ARRIVAL, OLDEST)


def of(**fields: Any) -> Line:
    return line(json.dumps(fields))


def metadata(made: Line) -> Any:
    return json.loads(bytes(made.metadata))


def test_platform_line_becomes_fields_and_metadata() -> None:
    made = line(
        '{"timestamp":"2025-12-04T11:00:00.5Z","level":"error","service":"api","message":"boom",'
        '"request_id":"req_1","user_id":"usr_1","tenant_id":"tnt_1","took":1.50,"a":{"b":[ ]}}'
    )
    assert made == Line(
        timestamp="2025-12-04T11:00:00.500000Z",
        level="error",
        service="api",
        message="boom",
        request_id="req_1",
        user_id="usr_1",
        tenant_id="tnt_1",
        metadata=made.metadata,
    )
    assert bytes(made.metadata) == b'{"took":1.50,"a":{"b":[ ]}}'


def test_error_object_becomes_what_the_api_shows() -> None:
    error = {"type": "PaymentError", "message": "no", "stack_trace": "at x", "code": 5}
    made = of(timestamp=AT, level="error", message="m", error=error)
    assert metadata(made) == {
        "error_type": "PaymentError", "error_message": "no", "stack_trace": "at x", "error.code": 5,
    }  # fmt: skip
    assert made.original == ""


def test_metadata_object_alone_is_kept_byte_for_byte() -> None:
    made = line(f'{{"timestamp":"{AT}","level":"info","message":"m","metadata":{{ "a" : 1.0 }}}}')
    assert bytes(made.metadata) == b'{ "a" : 1.0 }'


def test_names_that_collide_are_all_kept() -> None:
    made = of(timestamp=AT, level="info", message="m", a=1, metadata={"a": 2, "b": 3},
              error_type="flat", error={"type": "nested"})  # fmt: skip
    assert metadata(made) == {
        "a": 1, "error_type": "flat", "metadata.a": 2, "b": 3, "error.type": "nested",
    }  # fmt: skip


@pytest.mark.parametrize("value", ["text", 5, [1], True])
def test_metadata_that_is_no_object_is_an_entry(value: object) -> None:
    assert metadata(of(message="m", metadata=value)) == {"metadata": value}


def test_null_and_empty_text_are_no_value() -> None:
    made = of(timestamp=None, level=None, service=None, message="m", user_id="", metadata=None)
    assert (made.service, made.user_id, bytes(made.metadata)) == ("", "", b"{}")
    assert made.marks == "level_missing,timestamp_missing"
    assert (made.timestamp, made.level, made.original) == (NOW, "info", "")


@pytest.mark.parametrize(
    ("given_level", "level", "original", "marks"),
    [
        ("error", "error", "", ""), ("ERROR", "error", "ERROR", ""), ("crit", "error", "crit", ""),
        (30, "info", "30", ""), ("banana", "info", "banana", "level_unknown"),
        (True, "info", "true", "level_unknown"), ({"a": 1}, "info", '{"a": 1}', "level_unknown"),
    ],
)  # fmt: skip
def test_level_is_mapped_and_kept(
    given_level: object, level: str, original: str, marks: str
) -> None:
    made = of(timestamp=AT, level=given_level, message="m")
    assert (made.level, made.level_original, made.marks) == (level, original, marks)
    assert bool(made.original) == (not isinstance(given_level, str))


@pytest.mark.parametrize(
    ("timestamp", "at", "mark", "keeps"),
    [
        (AT, "2025-12-04T11:00:00.000000Z", "", False),
        ("2025-12-04 11:00:00", "2025-12-04T11:00:00.000000Z", "timestamp_assumed_utc", False),
        ("2025-12-04T12:00:00+01:00", "2025-12-04T11:00:00.000000Z", "", True),
        (1764846000, "2025-12-04T11:00:00.000000Z", "", True),
        ("2025-12-04T11:00:00.123456789Z", "2025-12-04T11:00:00.123456Z", "", True),
        ("yesterday", NOW, "timestamp_unreadable", True),
        ({"$date": 5}, NOW, "timestamp_unreadable", True),
        ("1900-01-01T00:00:00Z", NOW, "timestamp_out_of_range", True),
        ("2300-01-01T00:00:00Z", NOW, "timestamp_out_of_range", True),
        (1e300, NOW, "timestamp_out_of_range", True),
        ("2025-12-05T11:59:00Z", "2025-12-05T11:59:00.000000Z", "", False),
        ("2025-12-05T12:01:00Z", NOW, "timestamp_out_of_range", True),
    ],
)
def test_timestamp_is_read_or_marked(timestamp: object, at: str, mark: str, keeps: bool) -> None:
    made = of(timestamp=timestamp, level="info", message="m")
    assert (made.timestamp, made.marks, bool(made.original)) == (at, mark, keeps)


def test_line_older_than_the_retention_is_rejected() -> None:
    with pytest.raises(LineRejected, match="older than the retention of 90 days"):
        of(timestamp=stamp(OLDEST - timedelta(microseconds=1)), message="m")
    assert of(timestamp=stamp(OLDEST), message="m").timestamp == stamp(OLDEST)


@pytest.mark.parametrize(
    ("fields", "message", "level", "service", "rest"),
    [
        ({"level": 30, "time": 1764846000000, "pid": 1, "msg": "pino"}, "pino", "info", "",
         {"pid": 1}),
        ({"@timestamp": AT, "log.level": "WARN", "service.name": "s", "message": "ecs"}, "ecs",
         "warning", "s", {}),
        ({"ts": 1764846000.0, "severity": "ERROR", "app": "s", "event": "structlog"}, "structlog",
         "error", "s", {}),
        ({"eventTime": AT, "levelno": 30, "text": "python"}, "python", "warning", "", {}),
        ({"Timestamp": AT, "Level": "Information", "Message": "dotnet"}, "dotnet", "info", "", {}),
        ({"__REALTIME_TIMESTAMP": "1764846000000000", "PRIORITY": "3", "MESSAGE": "journald",
          "SYSLOG_IDENTIFIER": "s"}, "journald", "error", "s", {}),
        ({"date": AT, "log": "docker\n", "stream": "stdout", "level": "debug"}, "docker\n", "debug",
         "", {"stream": "stdout"}),
    ],
)  # fmt: skip
def test_other_names_of_fields_are_understood(
    fields: dict[str, object], message: str, level: str, service: str, rest: object
) -> None:
    made = of(**fields)
    assert (made.message, made.level, made.service) == (message, level, service)
    assert (made.timestamp, metadata(made)) == ("2025-12-04T11:00:00.000000Z", rest)
    assert json.loads(made.original) == fields


@pytest.mark.parametrize(
    ("name", "field"),
    [(name, field) for field, names in IDS.items() for name in names],
)
def test_other_names_of_ids_are_understood(name: str, field: str) -> None:
    made = of(timestamp=AT, level="info", service="s", message="m", **{name: "id_1"})
    assert (getattr(made, field), metadata(made)) == ("id_1", {})
    assert json.loads(made.original)[name] == "id_1"


@pytest.mark.parametrize("spaces", [(",", ":"), (", ", ": "), (" ,", " : ")])
def test_way_of_writing_json_is_not_looked_at(spaces: tuple[str, str]) -> None:
    sent = {"timestamp": AT, "level": "info", "message": "é", "a": {"b": [1, 2]}, "ü": 1}
    assert line(json.dumps(sent, separators=spaces)).original == ""
    doubled = json.dumps(sent, separators=spaces)[:-1] + spaces[0] + '"":1' + spaces[0] + '"":2}'
    assert line(doubled).original == doubled


def test_other_names_stay_metadata_where_the_field_is_there() -> None:
    fields = {"msg": "other", "time": 5, "severity": "x", "app": "y"}
    made = of(timestamp=AT, level="info", service="s", message="m", **fields)
    assert metadata(made) == fields
    assert made.original == ""


@pytest.mark.parametrize(
    "fields",
    [{"time": 35}, {"time": "3.5s"}, {"date": "tomorrow"}, {"severity": "high"}, {"priority": 5},
     {"log": {"file": "x"}}, {"app": ["x"]}, {"body": 5}],
)  # fmt: skip
def test_other_name_with_another_meaning_stays_metadata(fields: dict[str, object]) -> None:
    made = of(message="m", **fields)
    assert metadata(made) == fields
    assert made.marks == "level_missing,timestamp_missing"


def test_text_of_another_type_is_its_json_text() -> None:
    raw = '{"timestamp":"2025-12-04T11:00:00Z","level":"info","message":{"a": 1.0},"user_id":42}'
    made = line(raw)
    assert (made.message, made.user_id, made.original) == ('{"a": 1.0}', "42", raw)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("[]", "not a JSON object"), ("5", "not a JSON object"), ("hello", "not a JSON object"),
        ('{"message":"m"', "not a JSON object"), ('{"message":"m"} x', "not a JSON object"),
        ("{}", "neither a message nor metadata"), ('{"level":"error"}', "neither a message"),
        ('{"message":null}', "neither a message"), ('{"a":NaN}', "not a JSON object"),
        ('{"a":' * 10_000 + "1" + "}" * 10_000, "nested too deeply"),
        ('{"a":' + "[" * 10_000 + "]" * 10_000 + "}", "nested too deeply"),
    ],
)  # fmt: skip
def test_line_that_says_nothing_is_rejected_by_reason(raw: str, reason: str) -> None:
    with pytest.raises(LineRejected, match=reason):
        line(raw)


@pytest.mark.parametrize("name", ["metadata", "error", "message", "x"])
def test_nesting_around_the_limit_is_a_line_or_rejected(name: str) -> None:
    for depth in range(800, 1010):
        with contextlib.suppress(LineRejected):
            line(f'{{"service":"s","y":1,"{name}":{{"a":{"[" * depth}{"]" * depth}}}}}')


def test_message_may_be_missing_where_there_is_metadata() -> None:
    made = of(a=1)
    assert (made.message, metadata(made)) == ("", {"a": 1})


def test_long_message_is_cut_between_characters() -> None:
    text = "a" + "é" * MAX_MESSAGE
    made = of(message=text)
    assert len(made.message.encode()) == MAX_MESSAGE - 1
    assert text.startswith(made.message)
    assert made.marks == "cut,level_missing,timestamp_missing"
    assert json.loads(made.original) == {"message": text}


def test_message_of_exactly_the_limit_is_whole() -> None:
    assert of(message="é" * (MAX_MESSAGE // 2)).marks == "level_missing,timestamp_missing"


def test_long_names_are_cut() -> None:
    made = of(timestamp=AT, level="x" * 300, message="m", service="é" * 300, user_id="u" * 256)
    assert (made.service, made.user_id) == ("é" * MAX_NAME, "u" * 256)
    assert len(made.level_original) == MAX_NAME
    assert made.marks == "cut,level_unknown"
    assert made.original


def test_bytes_that_are_no_text_are_replaced_and_kept() -> None:
    raw = b'{"message":"a\xff\\\\b","k\xfe":"\xed\xa0\x80"}'
    made = line(raw)
    assert made.message == "a\ufffd\\b"
    assert metadata(made) == {"k\ufffd": "\ufffd\ufffd\ufffd"}
    assert "repaired" in made.marks
    assert original_bytes(made.original) == raw


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (r"\ud83d\ude00", "😀"), (r"a\ud800b", "a\ufffdb"), (r"\udc00", "\ufffd"),
        (r"\ud800\ud83d\uDE00", "\ufffd😀"), (r"\\ud800", r"\ud800"), (r"\\\ud800", "\\\ufffd"),
    ],
)  # fmt: skip
def test_half_a_character_is_replaced(escaped: str, text: str) -> None:
    raw = f'{{"timestamp":"{AT}","level":"info","message":"{escaped}"}}'
    made = line(raw)
    repaired = "\ufffd" in text
    assert (made.message, made.marks == "repaired") == (text, repaired)
    assert made.original == (raw if repaired else "")


def test_nul_is_kept() -> None:
    assert line(r'{"message":"a\u0000b","k":"\u0000"}').message == "a\0b"


def test_name_that_is_there_twice_keeps_the_line() -> None:
    raw = f'{{"timestamp":"{AT}","level":"info","message":"a","message":"b", "x":1,"x":2}}'
    made = line(raw)
    assert (made.message, metadata(made), made.original) == ("b", {"x": 2}, raw)


def test_name_that_is_twice_in_merged_metadata_keeps_the_line() -> None:
    raw = f'{{"timestamp":"{AT}","level":"info","message":"a","x":1,"metadata":{{"y":1,"y":2}}}}'
    assert line(raw).original == raw


def test_byte_order_mark_and_line_end_are_no_part_of_it() -> None:
    assert line(b'\xef\xbb\xbf{"message":"m"}\r\n').message == "m"


def test_record_can_be_normalised_by_itself() -> None:
    made = normalise({"message": Raw(b'"m"')}, ARRIVAL, OLDEST, '{"message":"m"}')
    assert (made.message, made.original) == ("m", "")


# What the documentation says that a line's fields stand for, once more and in another way.

FIELDS = ("timestamp", "level", "service", "message", "request_id", "user_id", "tenant_id")
ERROR = {"type": "error_type", "message": "error_message", "stack_trace": "stack_trace"}


def meaning(sent: dict[str, Any]) -> dict[str, Any]:
    """An object of the platform's format with its fields, its metadata flat."""
    sent = dict(sent)
    said = {name: value for name in FIELDS if (value := sent.pop(name, None)) not in (None, "")}
    if "timestamp" in said:
        said["timestamp"] = datetime.fromisoformat(said["timestamp"]).replace(tzinfo=UTC)
    nested, error = sent.pop("metadata", None), sent.pop("error", None)
    flat = dict(sent)
    if nested is not None and not isinstance(nested, dict):
        flat["metadata"] = nested
    if error is not None and (not error or not isinstance(error, dict)):
        flat["error"] = error
    if isinstance(nested, dict):
        for key, value in nested.items():
            flat[free(key, "metadata", flat)] = value
    if isinstance(error, dict):
        for key, value in error.items():
            name = ERROR.get(key, f"error.{key}")
            flat[free(f"error.{key}" if name in flat else name, "error", flat)] = value
    return {**said, "": flat}


def free(name: str, prefix: str, taken: dict[str, Any]) -> str:
    while name in taken:
        name = f"{prefix}.{name}"
    return name


def told(made: Line) -> dict[str, Any]:
    """The same from a line whose `original` is empty."""
    said: dict[str, Any] = {
        name: value
        for name in ("service", "message", "request_id", "user_id", "tenant_id")
        if (value := getattr(made, name))
    }
    if "level_missing" not in made.marks:
        said["level"] = made.level_original or made.level
    if "timestamp_missing" not in made.marks:
        said["timestamp"] = datetime.fromisoformat(made.timestamp)
    return {**said, "": metadata(made)}


SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    ["a", "b", "msg", "time", "severity", "app", "userId", "error_type", "metadata.a",
     "stack_trace", "error.type", "log.level", "ts", "err", "PRIORITY", ""]
)  # fmt: skip
SENT = st.fixed_dictionaries(
    {},
    optional={
        "timestamp": st.sampled_from(
            [AT, "2025-12-04 11:00:00.25", "2025-12-04T10:00:00+00:00", "1764846000", "x", "", None,
             5, "2025-12-04T11:00:00.1234567Z"]
        ),
        "level": st.sampled_from(["error", "WARN", "banana", "", None, 30, 17, [1]]),
        "service": SCALARS, "message": SCALARS, "request_id": SCALARS, "user_id": SCALARS,
        "tenant_id": SCALARS,
        "metadata": VALUES | st.dictionaries(NAMES, VALUES, max_size=3),
        "error": VALUES | st.dictionaries(st.sampled_from([*ERROR, "code", "stack"]), VALUES),
    },
)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=500)
@given(SENT, st.dictionaries(NAMES, VALUES, max_size=4), st.booleans())
def test_what_arrived_can_be_read_back(
    fields: dict[str, Any], more: dict[str, Any], compact: bool
) -> None:
    sent = {**more, **fields}
    raw = json.dumps(sent, separators=(",", ":") if compact else None).encode()
    try:
        made = line(raw)
    except LineRejected as rejected:
        assert "older" in rejected.reason or "neither" in rejected.reason
        return
    if made.original:
        assert original_bytes(made.original) == raw
    else:
        assert told(made) == meaning(sent)


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_kept_and_given_back(raw: bytes) -> None:
    assert original_bytes(kept(raw)) == raw


def test_bytes_that_look_like_kept_ones_are_given_back() -> None:
    raw = b"bytes:\\xff \\\\"
    assert original_bytes(kept(raw)) == raw


PIECES = st.lists(
    st.sampled_from(
        [b"{", b"}", b"[", b"]", b'"', b":", b",", b'"message"', b'"m"', b"5", b"null", b"\n",
         b"\\", b"\xff", b'{"message":"m"}', b"\\ud800", b"\x00", b'"a":1', b"1e999", b"-"]
    )
).map(b"".join)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=500)
@given(st.binary() | PIECES)
def test_any_bytes_are_a_line_or_rejected(raw: bytes) -> None:
    try:
        made = line(raw)
    except LineRejected as rejected:
        assert rejected.reason
    else:
        assert isinstance(metadata(made), dict)
        msgspec.json.encode(made)


def read_body(body: bytes) -> tuple[list[str], list[int], int]:
    reading = NdjsonDialect().read(body, "application/x-ndjson", ARRIVAL, OLDEST)
    return (
        [made.message for made in reading.lines],
        [rejection.number for rejection in reading.rejections],
        reading.total,
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", ([], [], 0)), (b"\n\n", ([], [], 0)), (b"[]", ([], [], 0)),
        (b'{"message":"a"}\n\nbad\r\n{"message":"b"}', (["a", "b"], [3], 3)),
        (b'\xef\xbb\xbf [{"message":"a"},5,\n{"message":"],["}]\n', (["a", "],["], [2], 3)),
        (b'[{"message":"a"},{"a":NaN},{"message":"\\"]"}]', (["a", '"]'], [2], 3)),
        (b'[{"message":"a"},{"mess', (["a"], [2], 2)),
        (b'[{"message":"a"}] x', (["a"], [2], 2)),
        (b'[{"a":' + b"[" * 5000 + b"]" * 5000 + b'},{"message":"b"}]', (["b"], [1], 2)),
    ],
)  # fmt: skip
def test_body_keeps_its_good_lines(body: bytes, expected: tuple[list[str], list[int], int]) -> None:
    assert read_body(body) == expected


@pytest.mark.slow
@settings(max_examples=300)
@given(st.binary() | PIECES | PIECES.map(lambda b: b"[" + b))
def test_any_body_is_read(body: bytes) -> None:
    messages, rejected, total = read_body(body)
    assert len(messages) + len(rejected) == total


def test_answer_counts_and_names_bad_lines() -> None:
    dialect = NdjsonDialect()
    reading = dialect.read(b'bad\n{"message":"a"}', "", ARRIVAL, OLDEST)
    answer = dialect.answer(reading, "", 1)
    data = json.loads(answer.body)["data"]
    assert (answer.status, data["accepted"], data["rejected"]) == (200, 1, 1)
    assert data["errors"][0]["line"] == 1


@pytest.mark.parametrize("kind", DIALECTS)
def test_registered_dialect_is_there(kind: str) -> None:
    factory = dialect_factory(kind)
    assert callable(factory().read)


def test_unknown_dialect_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="gelf"):
        dialect_factory("gelf")
