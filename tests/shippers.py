"""What tests need to ship lines as others do: rsyslog, certificates, clients."""

import json
import logging.handlers
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

from acceptance.server_process import PREFIX, ServerProcess, wait_until
from log_world import NOW, Log, everything, search, stamp
from quarterdeck.core.clock import utc_now
from servers import program, running

LEVELS = ("debug", "info", "warning", "error")

NAME = "logs.example.test"
"""Whom the certificate is for."""


@dataclass(frozen=True)
class Certificate:
    """PEM files."""

    certificate: Path
    key: Path


def make_certificate(directory: Path) -> Certificate:
    """A certificate that signs itself."""
    made = Certificate(directory / "cert.pem", directory / "key.pem")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}",
            "-keyout", str(made.key), "-out", str(made.certificate),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return made


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


RSYSLOG = """
global(workDirectory="{directory}" defaultNetstreamDriverCAFile="{trusted}" net.enableDNS="off"
       maxMessageSize="64k")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{directory}/log" RateLimit.Interval="0" UsePIDFromSystem="on"
      useSpecialParser="off" ParseHostname="off")
if $programname == "by-udp" then action(
  type="omfwd" target="127.0.0.1" port="{udp}" protocol="udp"
  template="RSYSLOG_ForwardFormat")
if $programname == "by-tcp" then action(
  type="omfwd" target="127.0.0.1" port="{tcp}" protocol="tcp" TCP_Framing="octet-counted"
  template="RSYSLOG_SyslogProtocol23Format")
if $programname == "by-lines" then action(
  type="omfwd" target="127.0.0.1" port="{tcp}" protocol="tcp" TCP_Framing="traditional"
  template="RSYSLOG_TraditionalForwardFormat")
if $programname == "by-tls" then action(
  type="omfwd" target="127.0.0.1" port="{tls}" protocol="tcp" TCP_Framing="octet-counted"
  StreamDriver="gtls" StreamDriverMode="1" StreamDriverAuthMode="x509/name"
  StreamDriverPermittedPeers="{name}" template="RSYSLOG_SyslogProtocol23Format")
"""


@contextmanager
def rsyslog(
    directory: Path, trusted: Path, ports: Mapping[str, int], name: str = NAME
) -> Iterator[Path]:
    """A rsyslogd that forwards what it hears at a socket, whose path is given, by program name."""
    directory.mkdir()
    config = directory / "rsyslog.conf"
    config.write_text(RSYSLOG.format(directory=directory, trusted=trusted, name=name, **ports))
    command = [
        program("rsyslogd"), "-n", "-f", str(config), "-i", str(directory / "pid"),
    ]  # fmt: skip
    with (directory / "out").open("wb") as out, running(command, stdout=out, stderr=out):
        heard = directory / "log"
        wait_until(heard.exists)
        yield heard


def say(heard: Path, tag: str, priority: str, facility: int, *messages: str) -> None:
    """Log as a program would, through `syslog`'s socket."""
    handler = logging.handlers.SysLogHandler(str(heard))
    number = handler.encodePriority(facility, priority)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.connect(str(heard))
        for message in messages:
            client.send(f"<{number}>{tag}[4711]: {message}".encode())
    handler.close()


def url(server: ServerProcess, path: str = "") -> str:
    return f"http://127.0.0.1:{server.port}{path}"


def found(server: ServerProcess, lines: int, **query: object) -> list[Log]:
    """So many lines of a search, oldest first, as soon as they are there."""
    wait_until(lambda: search(server, **query)["pagination"]["total"] >= lines, 20)
    logs = everything(server, **query)
    assert len(logs) == lines
    return logs[::-1]


def require_now(log: Log) -> None:
    moment = datetime.fromisoformat(log["timestamp"])
    assert abs(utc_now() - moment) < timedelta(seconds=60), log


def otel(server: ServerProcess, token: str, service: str) -> LoggerProvider:
    exporter = OTLPLogExporter(
        url(server, "/v1/logs"),
        headers={"Authorization": f"Bearer {token}"},
        compression=Compression.Gzip,
        timeout=5,
    )
    named = Resource.create({"service.name": service, "deployment.environment": "test"})
    provider = LoggerProvider(named, shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    return provider


def documents(service: str) -> Iterator[dict[str, Any]]:
    for number, level in enumerate(LEVELS):
        yield {
            "_op_type": "create",
            "_index": "logs-shop",
            "@timestamp": stamp(NOW + timedelta(seconds=number)),
            "message": f"document {number}",
            "log.level": level.upper(),
            "service": {"name": service},
            "http": {"request": {"id": f"rq-{number}"}},
            "order": {"n": number},
        }


def texts(logs: list[Log]) -> set[str]:
    """For rsyslog the blank behind a tag is the message's, and so it is in its RFC 5424."""
    return {log["message"].removeprefix(" ") for log in logs}


def curl(server: ServerProcess, token: str, body: bytes, *more: str) -> tuple[int, Any]:
    done = subprocess.run(
        ["curl", "-sS", "-H", f"Authorization: Bearer {token}", "--data-binary", "@-",
         "-w", "\n%{http_code}", *more, url(server, f"{PREFIX}/logs")],
        input=body, capture_output=True, check=True, timeout=30,
    )  # fmt: skip
    answer, _, status = done.stdout.rpartition(b"\n")
    return int(status), json.loads(answer)
