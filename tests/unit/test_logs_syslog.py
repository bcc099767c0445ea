"""Syslog: headers of both RFCs, framing, and lines that can be read back."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.core.errors import ConfigError
from quarterdeck.logs.adapters.syslog.frames import read_frame
from quarterdeck.logs.adapters.syslog.framing import Splitter
from quarterdeck.logs.adapters.syslog.header import FACILITIES, SEVERITIES
from quarterdeck.logs.adapters.syslog.options import SyslogOptions, split_address, tls_context
from quarterdeck.logs.drafts import LineRejected
from quarterdeck.logs.model import Line
from quarterdeck.logs.texts import original_bytes

ARRIVAL = datetime(2025, 12, 4, 12, tzinfo=UTC)
OLDEST = ARRIVAL - timedelta(days=90)
NOW = "2025-12-04T12:00:00.000000Z"
AT = "2025-12-04T11:14:15.000000Z"


def read(frame: bytes | str, **more: Any) -> Line:
    raw = frame.encode() if isinstance(frame, str) else frame
    return read_frame(raw, ARRIVAL, OLDEST, **more)


def metadata(line: Line) -> Any:
    return json.loads(bytes(line.metadata))


def test_frame_of_rfc_5424_becomes_a_line() -> None:
    line = read(
        "<165>1 2025-12-04T11:14:15.003Z host.example evntslog 8710 ID47 "
        '[exampleSDID@32473 iut="3" eventSource="App\\"\\]\\\\"][meta request_id="req_1"] '
        "\ufeffAn event",
        peer="192.0.2.1",
    )
    assert line == Line(
        timestamp="2025-12-04T11:14:15.003000Z",
        level="info",
        service="evntslog",
        message="An event",
        request_id="req_1",
        metadata=line.metadata,
        level_original="notice",
    )
    assert metadata(line) == {
        "facility": "local4", "syslog": "rfc5424", "hostname": "host.example",
        "process_id": "8710", "message_id": "ID47", "peer": "192.0.2.1",
        "exampleSDID@32473.iut": "3", "exampleSDID@32473.eventSource": 'App"]\\',
        "meta.request_id": "req_1",
    }  # fmt: skip


def test_nil_values_are_nothing() -> None:
    line = read("<14>1 - - - - - -")
    assert (line.timestamp, line.service, line.message, line.original) == (NOW, "", "", "")
    assert line.marks == "timestamp_missing"
    assert metadata(line) == {"facility": "user", "syslog": "rfc5424"}


@pytest.mark.parametrize(
    ("pri", "level", "facility", "original"),
    [
        (0, "error", "kern", "emerg"), (34, "error", "auth", "crit"), (11, "error", "user", "err"),
        (12, "warning", "user", ""), (13, "info", "user", "notice"), (14, "info", "user", ""),
        (191, "debug", "local7", ""),
    ],
)  # fmt: skip
def test_priority_is_level_and_facility(pri: int, level: str, facility: str, original: str) -> None:
    line = read(f"<{pri}>1 2025-12-04T11:14:15Z h a - - - m")
    assert (line.level, line.level_original, line.marks) == (level, original, "")
    assert metadata(line)["facility"] == facility


def test_offset_of_the_time_is_kept() -> None:
    line = read("<14>1 2025-12-04T12:14:15.5+01:00 h a - - - m")
    assert (line.timestamp, line.original) == ("2025-12-04T11:14:15.500000Z", "")
    assert metadata(line)["utc_offset"] == "+01:00"


@pytest.mark.parametrize(
    ("frame", "service", "message", "rest"),
    [
        ("<34>Dec  4 11:14:15 mymachine su[123]: 'su root' failed", "su", "'su root' failed",
         {"hostname": "mymachine", "process_id": "123"}),
        ("<34>Dec  4 11:14:15 mymachine su: hi", "su", "hi", {"hostname": "mymachine"}),
        ("<34>Dec  4 11:14:15 su[1]: hi", "su", "hi", {"process_id": "1"}),
        ("<34>Dec  4 11:14:15 fe80::1 kernel: [1.5] eth0: up", "kernel", "[1.5] eth0: up",
         {"hostname": "fe80::1"}),
        ("<34>Dec  4 11:14:15 host no tag here", "", "no tag here", {"hostname": "host"}),
        ("<34>2025-12-04T11:14:15.000000+00:00 host app: iso", "app", "iso", {"hostname": "host"}),
        ("<34>2025-12-04T11:14:15Z host app[x.1]: iso", "app", "iso",
         {"hostname": "host", "process_id": "x.1"}),
    ],
)  # fmt: skip
def test_frame_of_rfc_3164_becomes_a_line(
    frame: str, service: str, message: str, rest: dict[str, str]
) -> None:
    line = read(frame)
    assert (line.timestamp, line.service, line.message) == (AT, service, message)
    assert metadata(line) == {"facility": "auth", "syslog": "rfc3164", **rest}
    assert line.original == ""


@pytest.mark.parametrize(
    ("frame", "service", "message"),
    [
        ("<189>123: *Dec  4 11:14:15.000 UTC: %SYS-5-CONFIG_I: done", "", "%SYS-5-CONFIG_I: done"),
        ("<34>Dec  4 11:14:15 2025 host app: year", "app", "year"),
        ("<34>Dec  4 2025 11:14:15 host app: year", "app", "year"),
        ("<034>Dec  4 11:14:15 host app: zero", "app", "zero"),
        ("<34>Dec  4 11:14:15 host app[7] no colon", "app", "no colon"),
        ("<34>Dec  4 11:14:15  host app: x", "", "host app: x"),
    ],
)
def test_variant_is_read_and_kept_as_it_came(frame: str, service: str, message: str) -> None:
    line = read(frame)
    assert (line.timestamp, line.service, line.message) == (AT, service, message)
    assert line.original == frame


@pytest.mark.parametrize(
    ("frame", "message", "level", "marks"),
    [
        ("hello world", "hello world", "info", "level_missing,timestamp_missing"),
        ("<13>hello world", "hello world", "info", "timestamp_missing"),
        ("<192>too high", "<192>too high", "info", "level_missing,timestamp_missing"),
        ("<x>y", "<x>y", "info", "level_missing,timestamp_missing"),
        ("Dec  4 11:14:15 host app: no pri", "no pri", "info",
         "level_missing,timestamp_assumed_utc"),
        ("<13>app[1]: hi", "hi", "info", "timestamp_missing"),
        ("<13>1 2025-12-04T11:14:15Z too few", "1 2025-12-04T11:14:15Z too few", "info",
         "timestamp_missing"),
    ],
)  # fmt: skip
def test_frame_without_a_header_is_a_line(frame: str, message: str, level: str, marks: str) -> None:
    line = read(frame)
    assert (line.message, line.level, line.marks, line.original) == (message, level, marks, "")


def test_broken_structured_data_is_part_of_the_message() -> None:
    frame = '<34>1 - - - - - [a b="c"][d e="f message'
    line = read(frame)
    assert line.message == '[d e="f message'
    assert line.original == frame


def test_names_that_come_twice_are_all_kept() -> None:
    frame = '<34>1 - - - - - [o ip="1" ip="2"][facility x="y"]'
    line = read(frame)
    assert metadata(line)["o.ip"] == "1"
    assert metadata(line)["o.o.ip"] == "2"
    assert line.original == frame


def test_bytes_that_are_no_text_are_replaced_and_kept() -> None:
    frame = b"<14>Dec  4 11:14:15 host app: caf\xe9 \\x"
    line = read(frame)
    assert line.message == "caf\ufffd \\x"
    assert "repaired" in line.marks
    assert original_bytes(line.original) == frame


def test_time_that_makes_no_sense_is_the_arrival() -> None:
    frame = "<14>Jan 40 11:14:15 host app: x"
    line = read(frame)
    assert (line.timestamp, line.marks, line.original) == (NOW, "timestamp_unreadable", frame)


def test_old_frame_is_rejected() -> None:
    with pytest.raises(LineRejected, match="older than the retention of 90 days"):
        read("<14>1 2020-12-04T11:14:15Z h a - - - m")


def test_cut_frame_says_so() -> None:
    assert "cut" in read("<14>x", cut=True).marks


def frame_of(line: Line) -> str:
    """What the fields of a line without `original` say."""
    told = metadata(line)
    form = told.get("syslog")
    if form is None:
        return line.message
    severity = line.level_original or {"error": "err"}.get(line.level, line.level)
    pri = ""
    if "facility" in told:
        pri = f"<{FACILITIES.index(told['facility']) * 8 + SEVERITIES.index(severity)}>"
    pid, host = told.get("process_id", ""), told.get("hostname", "")
    tag = line.service + (f"[{pid}]" if pid else "") + ":" if line.service else ""
    at = datetime.fromisoformat(line.timestamp)
    if form == "rfc3164":
        time = f"{at:%b} {at.day:2} {at:%H:%M:%S}" if "timestamp_missing" not in line.marks else ""
        return pri + " ".join(part for part in (time, host, tag, line.message) if part)
    time = "-" if "timestamp_missing" in line.marks else f"{at:%Y-%m-%dT%H:%M:%S.%fZ}"
    data = "".join(f'[{k.partition(".")[0]} {k.partition(".")[2]}="{v}"]'
                   for k, v in told.items() if "." in k)  # fmt: skip
    head = f"{pri}1 {time} {host or '-'} {line.service or '-'} {pid or '-'}"
    tail = f" {line.message}" if line.message else ""
    return f"{head} {told.get('message_id', '-')} {data or '-'}{tail}"


WORD = st.text("abc-.:[]/ é", min_size=1, max_size=6)
FRAMES = st.builds(
    lambda pri, time, host, tag, message: f"{pri}{time}{host}{tag}{message}",
    st.sampled_from(["", "<13>", "<0>", "<191>", "<192>", "<013>"]),
    st.sampled_from(["", "Dec  4 11:14:15 ", "1 2025-12-04T11:14:15.250000Z ", "1 - "]),
    WORD.map(lambda w: w + " ") | st.just("h a 1 - - "),
    st.sampled_from(["", "app: ", "app[1]: ", '[a b="c"] ', "- "]),
    WORD | st.just(""),
)


@pytest.mark.slow
@settings(max_examples=500)
@given(FRAMES)
def test_what_arrived_can_be_read_back(frame: str) -> None:
    line = read(frame)
    assert (line.original or frame_of(line)).rstrip() == frame.rstrip()


@pytest.mark.slow
@settings(max_examples=500)
@given(st.binary() | FRAMES.map(str.encode))
def test_any_bytes_are_a_line(frame: bytes) -> None:
    try:
        line = read(frame, peer="::1")
    except LineRejected:
        return
    msgspec.json.encode(line)


def feed(splitter: Splitter, *chunks: bytes) -> list[tuple[bytes, bool]]:
    return [frame for chunk in chunks for frame in splitter.feed(chunk)]


def test_both_framings_are_told_apart_frame_by_frame() -> None:
    data = b"<1>a\n5 <2>bc4 <3>d<4>e\r\n6 <5>\nfg<6>h\n"
    assert feed(Splitter(), data) == [
        (b"<1>a", False), (b"<2>bc", False), (b"<3>d", False), (b"<4>e\r", False),
        (b"<5>\nfg", False), (b"<6>h", False),
    ]  # fmt: skip


def test_counted_frame_may_come_without_a_priority_after_one_with() -> None:
    assert feed(Splitter(), b"4 <1>a5 x y z3 \n\n\n") == [
        (b"<1>a", False), (b"x y z", False), (b"\n\n\n", False),
    ]  # fmt: skip


def test_line_that_begins_with_digits_is_a_line() -> None:
    assert feed(Splitter(), b"2025-12-04 up\n100 bottles\n7\n") == [
        (b"2025-12-04 up", False), (b"100 bottles", False), (b"7", False),
    ]  # fmt: skip


def test_what_is_too_long_is_cut_and_the_next_frame_is_whole() -> None:
    splitter = Splitter(10)
    data = b"<1>" + b"a" * 30 + b"\n<2>b\n30 <3>" + b"c" * 27 + b"4 <4>d"
    expected = [
        (b"<1>aaaaaaa", True), (b"<2>b", False), (b"<3>ccccccc", True), (b"<4>d", False),
    ]  # fmt: skip
    assert feed(Splitter(10), data) == expected
    assert feed(splitter, *(data[i : i + 1] for i in range(len(data)))) == expected


@pytest.mark.parametrize("count", [b"999999999 ", b"1000000000000 ", b"9" * 5000 + b" "])
def test_huge_count_holds_no_more_than_a_frame(count: bytes) -> None:
    splitter = Splitter(1000)
    for _ in range(100):
        splitter.feed(count + b"<1>" + b"x" * 5000)
    assert len(splitter._buffer) <= 1000 + 5000 + len(count)


def test_line_without_an_end_is_given_at_the_end() -> None:
    splitter = Splitter()
    assert feed(splitter, b"<1>a\n<2>b") == [(b"<1>a", False)]
    assert splitter.end() == [(b"<2>b", False)]


def test_frame_that_did_not_come_whole_is_cut() -> None:
    splitter = Splitter()
    assert feed(splitter, b"20 <1>abc") == []
    assert splitter.end() == [(b"<1>abc", True)]


COUNTED = st.binary(min_size=1, max_size=12).map(lambda b: (b"<1>" + b, True))
LINES = st.binary(max_size=12).map(
    lambda b: (b"<2>" + b.translate(None, b"\r\n\x00"), False)
)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=300)
@given(st.lists(COUNTED | LINES), st.data())
def test_frames_come_out_however_the_bytes_are_split(
    frames: list[tuple[bytes, bool]], data: st.DataObject
) -> None:
    stream = b"".join(
        b"%d %s" % (len(frame), frame) if counted else frame + b"\n" for frame, counted in frames
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert feed(Splitter(), *chunks) == [(frame, False) for frame, _ in frames]


@given(st.lists(st.binary(max_size=40)), st.integers(1, 30))
def test_any_stream_is_split(chunks: list[bytes], largest: int) -> None:
    splitter = Splitter(largest)
    frames = feed(splitter, *chunks) + splitter.end()
    assert all(len(frame) <= max(largest, 40) for frame, _ in frames)


@pytest.mark.parametrize(
    ("address", "split"),
    [
        ("127.0.0.1:514", ("127.0.0.1", 514)), (":514", ("0.0.0.0", 514)), ("[::]:0", ("::", 0)),
        ("log.example:6514", ("log.example", 6514)),
    ],
)  # fmt: skip
def test_address_is_host_and_port(address: str, split: tuple[str, int]) -> None:
    assert split_address("tcp", address) == split


@pytest.mark.parametrize("address", ["514", "host", "host:", "host:http", "host:70000", "host:-1"])
def test_bad_address_names_the_setting(address: str) -> None:
    with pytest.raises(ConfigError, match=r"logs\.syslog_udp"):
        split_address("udp", address)


def test_tls_without_a_usable_certificate_is_a_config_error() -> None:
    for options in (SyslogOptions(tls=":0"), SyslogOptions(tls=":0", certificate="/nowhere.pem")):
        with pytest.raises(ConfigError, match=r"logs\.syslog_tls_cert"):
            tls_context(options)
