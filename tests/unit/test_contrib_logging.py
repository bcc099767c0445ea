"""The handler for the users' programs, against a real HTTP server that also fails."""

import json
import logging
import logging.config
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkContext, SpawnContext
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import servers
from acceptance.server_process import wait_until
from ingest_server import Failure, IngestServer, ingest_server
from quarterdeck.contrib import lines
from quarterdeck.contrib.backoff import Backoff, retry_after_s
from quarterdeck.contrib.logging import QuarterdeckHandler

TOKEN = "qd_ingest_verysecret"

Make = Callable[..., QuarterdeckHandler]


@pytest.fixture
def server() -> Iterator[IngestServer]:
    with ingest_server() as running:
        yield running


@pytest.fixture
def make(server: IngestServer) -> Iterator[Make]:
    made = []

    def handler(**options: Any) -> QuarterdeckHandler:
        quick: dict[str, Any] = {
            "url": server.url,
            "token": TOKEN,
            "service": "api",
            "retry_s": 0.01,
        }
        made.append(QuarterdeckHandler(**(quick | {"close_timeout_s": 10.0} | options)))
        return made[-1]

    yield handler
    server.gate.set()
    server.post_failures.clear()
    for one in made:
        one.close()


def logger_of(handler: logging.Handler, name: str = "shop.cart") -> logging.Logger:
    logger = logging.Logger(name)
    logger.addHandler(handler)
    return logger


def test_line_has_all_fields(server: IngestServer, make: Make) -> None:
    handler = make()
    logger = logger_of(handler)
    before = datetime.now(UTC)
    logger.warning(
        "cart %s is slow", "c1",
        extra={"request_id": "req_1", "user_id": 7, "tenant_id": "t", "ms": 1.5, "at": Path("/x")},
    )  # fmt: skip
    assert handler.flush(10) is True
    (log,) = server.logs
    assert log["message"] == "cart c1 is slow"
    assert (log["level"], log["service"]) == ("warning", "api")
    assert (log["request_id"], log["user_id"], log["tenant_id"]) == ("req_1", "7", "t")
    assert log["metadata"] == {"logger": "shop.cart", "ms": 1.5, "at": "/x"}
    assert log["timestamp"].endswith("Z")
    assert len(log["timestamp"]) == len("2026-11-24T10:00:00.123456Z")
    moment = datetime.fromisoformat(log["timestamp"])
    assert before - timedelta(milliseconds=1) <= moment <= datetime.now(UTC)
    request = server.requests[0]
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["content-type"] == "application/x-ndjson"


def test_exception_becomes_an_error_object(server: IngestServer, make: Make) -> None:
    handler = make()
    try:
        raise ValueError("no such cart")
    except ValueError:
        logger_of(handler).exception("failed", stack_info=True)
    assert handler.flush(10)
    metadata = server.logs[0]["metadata"]
    assert metadata["error"]["type"] == "ValueError"
    assert metadata["error"]["message"] == "no such cart"
    assert metadata["error"]["stack_trace"].startswith("Traceback (most recent call last):\n")
    assert "Stack (most recent call last)" in metadata["stack_info"]


@pytest.mark.parametrize(
    ("number", "sent", "name"),
    [
        (logging.CRITICAL, "critical", None), (logging.ERROR, "error", None),
        (logging.WARNING, "warning", None), (logging.INFO, "info", None),
        (logging.DEBUG, "debug", None), (3, "debug", "Level 3"), (25, "info", "Level 25"),
        (35, "warning", "Level 35"), (99, "error", "Level 99"),
    ],
)  # fmt: skip
def test_levels_are_named_and_own_ones_go_by_number(
    server: IngestServer, make: Make, number: int, sent: str, name: str | None
) -> None:
    handler = make()
    logger_of(handler).log(number, "x")
    assert handler.flush(10)
    assert server.logs[0]["level"] == sent
    assert server.logs[0]["metadata"].get("level_name") == name


def test_context_gives_ids_and_metadata_and_extra_wins(server: IngestServer, make: Make) -> None:
    handler = make(context=lambda: {"request_id": "req_c", "user_id": "u", "region": "eu"})
    logger_of(handler).info("x", extra={"user_id": "mine"})
    assert handler.flush(10)
    log = server.logs[0]
    assert (log["request_id"], log["user_id"]) == ("req_c", "mine")
    assert log["metadata"] == {"logger": "shop.cart", "region": "eu"}


def test_context_that_fails_costs_no_line(server: IngestServer, make: Make) -> None:
    def broken() -> Mapping[str, Any]:
        raise KeyError("no request")

    handler = make(context=broken)
    logger_of(handler).info("x")
    assert handler.flush(10)
    assert server.logs[0]["metadata"]["context_error"] == "KeyError: 'no request'"


class Unshowable:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


def test_values_that_json_has_not_are_sent_as_text(server: IngestServer, make: Make) -> None:
    circle: list[Any] = []
    circle.append(circle)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    extra = {
        "nan": float("nan"), "set": {1}, "bad": Unshowable(), "circle": circle, "fine": [1, None],
        "lone": "\ud800", "keys": {(1, 2): 3}, "deep": deep,
    }  # fmt: skip
    handler = make()
    logger_of(handler).info("nul \x00 and \udcff", extra=extra)
    assert handler.flush(10)
    log = server.logs[0]
    assert log["message"] == "nul \x00 and \ufffd"
    assert log["metadata"]["nan"] == "nan"
    assert log["metadata"]["set"] == "{1}"
    assert log["metadata"]["bad"] == "<Unshowable that cannot be shown>"
    assert log["metadata"]["circle"] == "[[...]]"
    assert log["metadata"]["fine"] == [1, None]
    assert log["metadata"]["lone"] == "\ufffd"
    assert log["metadata"]["keys"] == "{(1, 2): 3}"


@given(
    st.text(),
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
            max_leaves=10,
        ),
    ),
)
def test_whatever_is_logged_is_one_line_of_json(message: str, extra: dict[str, Any]) -> None:
    record = logging.LogRecord("x", logging.INFO, "x.py", 1, message, None, None)
    vars(record).update({f"x_{key}": extra[key] for key in extra})
    line = lines.encoded(record, "api", {})
    assert b"\n" not in line
    read = json.loads(line, parse_constant=pytest.fail)
    assert read["message"] == message.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    assert set(read["metadata"]) >= {f"x_{key}" for key in extra if key.isascii()}


def test_wrong_arguments_cost_no_line(server: IngestServer, make: Make) -> None:
    handler = make()
    logger_of(handler).info("%d items", "many")
    assert handler.flush(10)
    assert server.logs[0]["message"] == "%d items"
    assert server.logs[0]["metadata"]["args"] == "('many',)"
    assert server.logs[0]["metadata"]["logging_error"].startswith("TypeError: ")


def test_batch_goes_when_it_is_full_and_when_it_is_old(server: IngestServer, make: Make) -> None:
    by_rows = logger_of(make(batch_age_s=1000.0, batch_lines=10))
    for number in range(25):
        by_rows.info("row %d", number)
    server.wait_for("row 19")
    assert server.messages == [f"row {number}" for number in range(20)]
    by_bytes = logger_of(make(batch_age_s=1000.0, batch_bytes=1000))
    by_bytes.info("x" * 1000)
    server.wait_for("x" * 1000)
    by_age = logger_of(make(batch_age_s=0.05))
    by_age.info("old enough")
    server.wait_for("old enough")


def test_large_batches_are_compressed_unless_told_not_to(server: IngestServer, make: Make) -> None:
    for compress in (True, False):
        handler = make(compress=compress)
        logger_of(handler).info("x" * 5000)
        assert handler.flush(10)
    encodings = [request.headers.get("content-encoding") for request in server.requests]
    assert encodings == ["gzip", None]
    assert server.messages == ["x" * 5000] * 2


def test_emit_does_not_wait_for_a_slow_server(server: IngestServer, make: Make) -> None:
    server.gate.clear()
    handler = make(batch_lines=1)
    logger = logger_of(handler)
    logger.info("first")
    wait_until(lambda: len(server.requests) == 1)
    for number in range(100):  # while the first is held by the server
        logger.info("later %d", number)
    assert handler.flush(0.05) is False
    server.gate.set()
    assert handler.flush(10) is True
    assert server.messages == ["first", *(f"later {number}" for number in range(100))]


@pytest.mark.parametrize(
    "failure",
    [
        Failure(429, {"Retry-After": "0"}), Failure(503, {"Retry-After": "0"}), Failure(500),
        Failure(401), Failure(404), Failure(302), Failure(),
        Failure(200, body=b"<html>hello</html>"), Failure(400, body=b"<html>bad</html>"),
    ],
    ids=str,
)  # fmt: skip
def test_line_is_sent_again_until_it_is_there(
    server: IngestServer, make: Make, failure: Failure, capsys: pytest.CaptureFixture[str]
) -> None:
    server.post_failures.extend([failure] * 3)
    handler = make()
    logger_of(handler).info("x")
    assert handler.flush(10) is True
    assert server.messages == ["x"]
    assert len(server.requests) == 4
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.endswith("Trying again.\n")
    assert TOKEN not in said


def test_lost_answer_is_sent_again(server: IngestServer, make: Make) -> None:
    server.post_failures.append(Failure(after_storing=True))
    handler = make()
    logger_of(handler).info("x")
    assert handler.flush(10)
    assert server.messages == ["x", "x"]  # at least once


def test_retry_after_is_honoured(server: IngestServer, make: Make) -> None:
    server.post_failures.append(Failure(429, {"Retry-After": "1"}))
    handler = make(batch_lines=1)
    began = datetime.now(UTC)
    logger_of(handler).info("x")
    server.wait_for("x")
    assert datetime.now(UTC) - began >= timedelta(seconds=1)


def test_backoff_grows_with_jitter_up_to_its_limit() -> None:
    backoff = Backoff(1.0, 8.0)
    for longest in (1, 2, 4, 8, 8, 8):
        assert longest / 2 <= backoff.next_s() <= longest
    assert backoff.next_s(100.0) == 100.0
    assert backoff.next_s(1e9) == 300.0
    for _ in range(2000):
        assert backoff.next_s() <= 8
    backoff.reset()
    assert backoff.next_s() <= 1
    assert backoff.failures == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("5", 5.0), (" 0 ", 0.0), (None, None), ("", None), ("-1", None), ("\u0661", None),
     ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("9" * 400, None)],
)  # fmt: skip
def test_retry_after_header_is_seconds_or_nothing(
    header: str | None, seconds: float | None
) -> None:
    assert retry_after_s(header) == seconds


@pytest.mark.parametrize("drop", ["newest", "oldest"])
def test_full_queue_drops_and_says_how_many(
    server: IngestServer, make: Make, drop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server.gate.clear()
    handler = make(queue_lines=10, batch_lines=1, drop=drop)
    logger = logger_of(handler)
    logger.info("0")
    wait_until(lambda: len(server.requests) == 1)
    for number in range(1, 100):
        logger.info("%d", number)
    assert handler.dropped == 90
    server.gate.set()
    assert handler.flush(10)
    kept = [message for message in server.messages if message.isdigit()]
    newest, oldest = [str(n) for n in range(10)], ["0", *(str(n) for n in range(91, 100))]
    assert kept == (newest if drop == "newest" else oldest)
    told = [log for log in server.logs if log["message"].startswith("dropped ")]
    assert sum(log["metadata"]["dropped"] for log in told) == 90
    assert {(log["level"], log["service"]) for log in told} == {("warning", "api")}
    assert handler.dropped == 0
    assert capsys.readouterr().err.count("lines were dropped") == 1


def test_bytes_of_the_queue_are_bounded(server: IngestServer, make: Make) -> None:
    handler = make(queue_bytes=10_000, drop="oldest")
    logger = logger_of(handler)
    logger.info("too long: %s", "x" * 20_000)
    logger.info("fits")
    assert handler.flush(10)
    assert "fits" in server.messages
    assert sum(log["metadata"].get("dropped", 0) for log in server.logs) == 1


def test_lines_that_the_server_refuses_are_counted_and_told(
    server: IngestServer, make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    server.post_failures.append(Failure(400))
    handler = make()
    logger_of(handler).info("x")
    assert handler.flush(10)
    assert [log["metadata"]["dropped"] for log in server.logs] == [1]
    assert "the server refused lines (It said 400.)." in capsys.readouterr().err


def test_report_of_drops_that_is_refused_too_does_not_go_on_for_ever(
    server: IngestServer, make: Make
) -> None:
    server.post_failures.extend([Failure(400)] * 2)
    handler = make()
    logger_of(handler).info("x")
    assert handler.flush(10)
    assert len(server.requests) == 2


def test_batch_that_is_too_large_is_halved(server: IngestServer, make: Make) -> None:
    server.largest_body = 2000
    handler = make(batch_age_s=1000.0, queue_bytes=100_000)
    logger = logger_of(handler)
    for number in range(40):
        logger.info("%03d %s", number, "x" * 200)
    logger.info("y" * 3000)
    assert handler.flush(10)
    numbers = [int(message[:3]) for message in server.messages if message[:3].isdigit()]
    assert numbers == list(range(40))
    assert [log["metadata"].get("dropped") for log in server.logs][-1] == 1


def test_flush_with_nothing_to_do_is_done_at_once(server: IngestServer, make: Make) -> None:
    assert make().flush(0) is True
    assert server.requests == []


def test_close_says_what_it_could_not_deliver(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = f"http://127.0.0.1:{servers.free_port()}"
    handler = make(url=nowhere, close_timeout_s=0.05)
    logger = logger_of(handler)
    logger.info("x")
    handler.close()
    logger.info("y")
    logger.info("z")
    said = capsys.readouterr().err
    assert "lines that were not delivered: 1." in said
    assert said.count("logged after close() is not sent") == 1
    assert handler.flush(0) is False


def test_context_that_logs_does_not_recurse(server: IngestServer, make: Make) -> None:
    logger = logging.Logger("x")

    def chatty() -> Mapping[str, Any]:
        logger.info("from inside")
        return {}

    handler = make(context=chatty)
    logger.addHandler(handler)
    logger.info("x")
    assert handler.flush(10)
    assert server.messages[0] == "x"
    assert server.logs[1]["metadata"]["dropped"] == 1


def test_what_sending_logs_is_not_sent(server: IngestServer, make: Make) -> None:
    logger = logging.Logger("x")
    logged = threading.Event()

    def chatty(frame: FrameType, _event: str, _argument: object) -> None:
        if frame.f_code.co_name == "getresponse":
            logger.info("an answer came")
            logged.set()

    threading.setprofile(chatty)  # as tracing and instrumentation do
    try:
        handler = make()
        logger.addHandler(handler)
        logger.info("x")
        assert handler.flush(10)
    finally:
        threading.setprofile(None)
    assert logged.is_set()
    assert server.messages == ["x"]


def test_token_is_shown_nowhere(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    handler = make(url=f"http://127.0.0.1:{servers.free_port()}", close_timeout_s=0.05)
    logger_of(handler).info("x")
    handler.close()
    shown = repr(handler) + str(handler) + capsys.readouterr().err
    assert shown.startswith("<QuarterdeckHandler http://127.0.0.1:")
    assert TOKEN not in shown


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"token": "verysecret\n"}, "token"), ({"token": ""}, "token"), ({"token": "é"}, "token"),
        ({"url": "ftp://x"}, "url"), ({"url": "http://me:verysecret@x"}, "url"),
        ({"url": "http://x:99999"}, "url"), ({"url": "ops.example"}, "url"),
        ({"drop": "all"}, "drop"), ({"queue_lines": 0}, "queue"), ({"service": ""}, "service"),
    ],
)  # fmt: skip
def test_wrong_settings_are_named_and_repeat_no_secret(
    make: Make, options: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named) as raised:
        make(**options)
    assert "verysecret" not in str(raised.value)


def test_many_threads_lose_nothing(server: IngestServer, make: Make) -> None:
    handler = make(batch_lines=50)
    logger = logger_of(handler)

    def work(thread: int) -> None:
        for number in range(200):
            logger.info("%d-%d", thread, number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert handler.flush(20)
    assert sorted(server.messages) == sorted(f"{t}-{n}" for t in range(8) for n in range(200))


def test_child_of_a_fork_sends_its_own_lines_only(server: IngestServer, make: Make) -> None:
    handler = make(batch_age_s=1000.0)
    logger = logger_of(handler)
    logger.info("parent before")
    with handler._outbox._changed:  # a lock that the child must not wait for
        child = os.fork()
        if child == 0:
            logger.info("child")
            os._exit(0 if handler.flush(10) else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert server.messages == ["child"]
    logger.info("parent after")
    assert handler.flush(10)
    assert server.messages == ["child", "parent before", "parent after"]


def log_and_end(handler_url: str) -> None:
    logger = logger_of(QuarterdeckHandler(handler_url, TOKEN, service="api", batch_age_s=1000.0))
    logger.info("from a process")


@pytest.mark.slow
@pytest.mark.parametrize(
    "context",
    [multiprocessing.get_context("fork"), multiprocessing.get_context("spawn")],
    ids=["fork", "spawn"],
)
def test_child_of_multiprocessing_delivers_at_its_end(
    server: IngestServer, context: ForkContext | SpawnContext
) -> None:
    process = context.Process(target=log_and_end, args=(server.url,))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert server.messages == ["from a process"]


PROGRAM = """
import atexit, logging, logging.config, sys
logging.config.dictConfig({
    "version": 1,
    "handlers": {"ops": {
        "class": "quarterdeck.contrib.logging.QuarterdeckHandler", "url": sys.argv[1],
        "token": "qd_ingest_verysecret", "service": "shop", "level": "INFO", "batch_age_s": 1000.0,
        "context": "ext://builtins.dict",
    }},
    "root": {"handlers": ["ops"], "level": "DEBUG"},
})
loaded = [m for m in ("litestar", "msgspec", "sqlalchemy", "typer", "aiohttp") if m in sys.modules]
logging.debug("too fine")
logging.info("loaded %s", loaded)
if sys.argv[2] == "late":
    atexit.register(logging.error, "on the way out")
if sys.argv[2] == "crash":
    1 / 0
"""


@pytest.mark.parametrize(
    ("end", "code", "more"),
    [("normally", 0, []), ("crash", 1, []), ("late", 0, ["on the way out"])],
)
def test_program_delivers_at_its_end(
    server: IngestServer, end: str, code: int, more: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, server.url, end], timeout=60, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == code
    assert server.messages == ["loaded []", *more]
    assert server.logs[0]["service"] == "shop"


@pytest.mark.slow
def test_program_ends_in_time_without_a_server() -> None:
    nowhere = f"http://127.0.0.1:{servers.free_port()}"
    began = datetime.now(UTC)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, nowhere, "normally"], timeout=60, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0
    assert datetime.now(UTC) - began < timedelta(seconds=9)  # one close_timeout_s, not two
    assert "Trying again" in done.stderr
    assert "lines that were not delivered: 1." in done.stderr


def test_closed_standard_error_breaks_nothing(
    server: IngestServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.post_failures.append(Failure(503))
    for stream in (None, open(os.devnull, "w")):  # noqa: SIM115, PTH123 - closed below
        monkeypatch.setattr(sys, "stderr", stream)
        if stream:
            stream.close()
        handler = make()
        logger_of(handler).info("x")
        assert handler.flush(10)
    assert server.messages == ["x", "x"]
