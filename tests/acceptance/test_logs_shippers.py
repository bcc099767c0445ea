"""Programs that others wrote send their lines to the real server, each in its own way."""

import gzip
import json
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from logging.handlers import SysLogHandler
from pathlib import Path
from typing import Any

import elasticsearch
import pytest
from elasticsearch import helpers
from logging_loki import LokiHandler  # type: ignore[import-untyped]
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggingHandler

from acceptance.server_process import ServerProcess, wait_until
from log_world import NOW, SETTINGS, everything, running, stamp
from quarterdeck.core.clock import utc_now
from servers import free_port
from shippers import (
    LEVELS,
    curl,
    documents,
    found,
    free_udp_port,
    make_certificate,
    otel,
    require_now,
    rsyslog,
    say,
    texts,
    url,
)

WRONG = "qd_ingest_aaaaaaaaaaaa_" + "0" * 49
LOCAL3, USER = SysLogHandler.LOG_LOCAL3, SysLogHandler.LOG_USER


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {"udp": free_udp_port(), "tcp": free_port(), "tls": free_port()}


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, ports: dict[str, int]
) -> Iterator[ServerProcess]:
    directory = tmp_path_factory.mktemp("shippers")
    made = make_certificate(directory)
    addresses = "\n".join(f'syslog_{name} = "127.0.0.1:{port}"' for name, port in ports.items())
    settings = f"""{SETTINGS}
[logs]
{addresses}
syslog_tls_cert = "{made.certificate}"
syslog_tls_key = "{made.key}"
"""
    with running(ServerProcess(directory, settings=settings)) as server:
        yield server


@pytest.fixture(scope="module")
def syslog(
    server: ServerProcess, ports: dict[str, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The socket of a rsyslogd that forwards to the server."""
    directory = tmp_path_factory.mktemp("rsyslog")
    with rsyslog(directory / "good", server.directory / "cert.pem", ports) as heard:
        yield heard


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """A logger of one's own, without handlers before and after."""
    made = logging.Logger("shop.payments", logging.DEBUG)
    yield made
    for handler in list(made.handlers):
        made.removeHandler(handler)
        handler.close()


def fail() -> None:
    raise ValueError("card declined")


def test_opentelemetry_sends_what_is_logged(server: ServerProcess, logger: logging.Logger) -> None:
    provider = otel(server, server.tokens["ingest"], "otel-shop")
    with pytest.warns(DeprecationWarning, match="LoggingHandler"):
        logger.addHandler(LoggingHandler(logger_provider=provider))
    for number, level in enumerate(LEVELS):
        about = {"request_id": f"otel-{number}", "user_id": "u7", "order": number, "paid": True}
        logger.log(
            logging.getLevelName(level.upper()), "order %d is %s", number, level, extra=about
        )
    try:
        fail()
    except ValueError:
        logger.critical("no \u20ac today", exc_info=True)
    provider.shutdown()
    logs = found(server, 5, service="otel-shop")
    assert [log["level"] for log in logs] == [*LEVELS, "error"]
    assert [log["message"] for log in logs[:4]] == [
        f"order {number} is {level}" for number, level in enumerate(LEVELS)
    ]
    assert [log["request_id"] for log in logs] == ["otel-0", "otel-1", "otel-2", "otel-3", None]
    assert logs[2]["level_original"] == "WARN"
    assert {log["user_id"] for log in logs[:4]} == {"u7"}
    about = logs[3]["metadata"]
    assert (about["order"], about["paid"], about["scope.name"]) == (3, True, "shop.payments")
    assert about["resource.deployment.environment"] == "test"
    broken = logs[4]
    assert (broken["message"], broken["level_original"]) == ("no \u20ac today", "FATAL")
    assert broken["metadata"]["error_type"] == "ValueError"
    assert broken["metadata"]["error_message"] == "card declined"
    assert "in fail" in broken["metadata"]["stack_trace"]
    for log in logs:
        require_now(log)


def test_opentelemetry_batches_arrive_whole_with_their_times(server: ServerProcess) -> None:
    provider = otel(server, server.tokens["ingest"], "otel-bulk")
    emitter = provider.get_logger("bulk")
    begin = utc_now().replace(microsecond=0) - timedelta(minutes=5)
    for number in range(1000):
        at = begin + timedelta(milliseconds=number)
        emitter.emit(
            LogRecord(
                timestamp=int(at.timestamp() * 1000) * 1_000_000,
                severity_number=SeverityNumber.INFO,
                body=f"bulk {number}",
                attributes={"n": number, "tags": ["a", "b"]},
            )
        )
    provider.shutdown()
    logs = found(server, 1000, service="otel-bulk")
    assert [log["metadata"]["n"] for log in logs] == list(range(1000))
    assert logs[42]["timestamp"] == stamp(begin + timedelta(milliseconds=42))
    assert logs[42]["metadata"]["tags"] == ["a", "b"]


def test_opentelemetry_with_a_wrong_token_is_refused(
    server: ServerProcess, caplog: pytest.LogCaptureFixture
) -> None:
    provider = otel(server, WRONG, "otel-wrong")
    provider.get_logger("x").emit(LogRecord(body="lost"))
    provider.shutdown()
    assert "401" in caplog.text
    assert everything(server, service="otel-wrong") == []


@pytest.mark.parametrize("version", ["0", "1"])
def test_loki_handler_sends_what_is_logged(
    server: ServerProcess, logger: logging.Logger, version: str
) -> None:
    service = f"loki-{version}"
    handler = LokiHandler(
        url(server, "/loki/api/v1/push"),
        tags={"service_name": service, "zone": "eu"},
        auth=("anybody", server.tokens["ingest"]),
        version=version,
    )
    logger.addHandler(handler)
    logger.error('it said "no" \\ \u00e4', extra={"tags": {"request_id": f"rq-{version}"}})
    logger.debug("quiet")
    first, second = found(server, 2, service=service)
    assert (first["level"], first["message"]) == ("error", 'it said "no" \\ \u00e4')
    assert first["request_id"] == f"rq-{version}"
    assert first["metadata"]["zone"] == "eu"
    assert first["metadata"]["logger"] == "shop.payments"
    assert (second["level"], second["message"]) == ("debug", "quiet")
    require_now(first)


def test_loki_handler_with_a_wrong_token_is_refused(
    server: ServerProcess, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = LokiHandler(
        url(server, "/loki/api/v1/push"),
        tags={"service_name": "loki-wrong"},
        auth=("anybody", WRONG),
        version="1",
    )
    logger.addHandler(handler)
    logger.error("lost")
    assert "status code: 401" in capsys.readouterr().err
    assert everything(server, service="loki-wrong") == []


@pytest.mark.parametrize("way", ["api_key", "basic", "compressed"])
def test_elasticsearch_client_sends_in_bulk(server: ServerProcess, way: str) -> None:
    token, service = server.tokens["ingest"], f"elastic-{way}"
    ways: dict[str, dict[str, Any]] = {
        "api_key": {"api_key": ("anybody", token)},
        "basic": {"basic_auth": ("anybody", token)},
        "compressed": {"bearer_auth": token, "http_compress": True},
    }
    with elasticsearch.Elasticsearch(url(server, "/elasticsearch"), **ways[way]) as client:
        assert client.info()["version"]["build_flavor"] == "default"
        assert client.ping()
        assert helpers.bulk(client, documents(service)) == (4, [])
        old = {"@timestamp": "1970-06-01T00:00:00Z", "message": "old"}
        actions = [{"_index": "logs-shop", **old}, *documents(service)]
        taken, errors = helpers.bulk(client, actions, raise_on_error=False)
        assert isinstance(errors, list)
        assert isinstance(errors, list)
        assert (taken, len(errors)) == (4, 1)
        assert errors[0]["index"]["status"] == 400
    logs = found(server, 8, service=service)
    assert {log["message"] for log in logs} == {f"document {number}" for number in range(4)}
    for log in logs:
        number = log["metadata"]["order"]["n"]
        assert log["level"] == LEVELS[number]
        assert log["request_id"] == f"rq-{number}"
        assert log["metadata"]["_index"] == "logs-shop"
        assert datetime.fromisoformat(log["timestamp"]) == NOW + timedelta(seconds=number)


@pytest.mark.parametrize("way", ["api_key", "basic_auth"])
def test_elasticsearch_client_with_a_wrong_token_is_refused(
    server: ServerProcess, way: str
) -> None:
    access: dict[str, Any] = {way: ("anybody", WRONG)}
    client = elasticsearch.Elasticsearch(url(server, "/elasticsearch"), **access)
    with client, pytest.raises(elasticsearch.AuthenticationException):
        helpers.bulk(client, documents("elastic-wrong"))
    assert everything(server, service="elastic-wrong") == []


@pytest.mark.parametrize(
    ("tag", "form"),
    [("by-udp", "rfc3164"), ("by-tcp", "rfc5424"), ("by-lines", "rfc3164"), ("by-tls", "rfc5424")],
)
def test_rsyslog_forwards_what_it_hears(
    server: ServerProcess, syslog: Path, tag: str, form: str
) -> None:
    say(syslog, tag, "err", LOCAL3, "disk \u00e9 is 'full'", "x" * 1500)
    say(syslog, tag, "debug", USER, *(f"number {number}" for number in range(50)))
    errors = found(server, 2, service=tag, level="error")
    assert texts(errors) == {"disk \u00e9 is 'full'", "x" * 1500}
    rest = found(server, 50, service=tag, level="debug")
    assert texts(rest) == {f"number {number}" for number in range(50)}
    for log in errors:
        about = log["metadata"]
        assert (about["facility"], about["syslog"]) == ("local3", form)
        assert (log["level_original"], about["peer"]) == ("err", "127.0.0.1")
        assert about["process_id"] == "4711"
        assert about["hostname"]
        require_now(log)


def test_rsyslog_does_not_send_to_a_stranger(
    server: ServerProcess, ports: dict[str, int], tmp_path: Path
) -> None:
    """Our certificate is not the one it was told to trust; what it said by TCP arrives."""
    other = make_certificate(tmp_path)
    with rsyslog(tmp_path / "rsyslog", other.certificate, ports) as heard:
        say(heard, "by-tls", "alert", USER, "for a friend only")
        say(heard, "by-tcp", "alert", USER, "for anybody")
        found(server, 1, query='"for anybody"')
        wait_until(lambda: "certificate" in (tmp_path / "rsyslog" / "out").read_text())
    assert everything(server, query='"for a friend only"') == []


@pytest.mark.parametrize("chunked", [False, True])
def test_curl_sends_gzip(server: ServerProcess, chunked: bool) -> None:
    service = f"curl-{chunked}"
    at = utc_now()
    rows = [
        {"timestamp": stamp(at), "level": "warn", "service": service, "message": f"m{n}", "n": n}
        for n in range(500)
    ]
    body = gzip.compress("\n".join(map(json.dumps, rows)).encode())
    more = ["-H", "Content-Encoding: gzip", *(["-H", "Transfer-Encoding: chunked"] * chunked)]
    status, answer = curl(server, server.tokens["ingest"], body, *more)
    assert (status, answer["data"]["accepted"]) == (200, 500)
    logs = found(server, 500, service=service)
    assert sorted(log["metadata"]["n"] for log in logs) == list(range(500))
    assert {(log["level"], log["timestamp"]) for log in logs} == {("warning", stamp(at))}


def test_curl_with_a_wrong_token_is_refused(server: ServerProcess) -> None:
    status, answer = curl(server, WRONG, b'{"message":"lost","service":"curl-wrong"}')
    assert (status, answer["error"]["code"]) == (401, "UNAUTHORIZED")
    assert everything(server, service="curl-wrong") == []
