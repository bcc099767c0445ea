"""The syslog listener with the real rsyslogd and logger, and with senders that misbehave."""

import asyncio
import contextlib
import json
import logging
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from quarterdeck.core.errors import ConfigError, SourceUnavailable, TooManyRequests
from quarterdeck.logs.adapters.syslog import SyslogListener, SyslogOptions
from quarterdeck.logs.model import Line

RSYSLOGD = "/usr/sbin/rsyslogd"
LOGGER = shutil.which("logger")
LOOPBACK = "127.0.0.1:0"
PATIENCE_S = 20.0

needs_rsyslogd = pytest.mark.skipif(not Path(RSYSLOGD).exists(), reason="no rsyslogd here")
needs_logger = pytest.mark.skipif(LOGGER is None, reason="no logger here")


@dataclass
class Store:
    """Takes lines, unless told otherwise."""

    lines: list[Line] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    errors: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.open.set()

    async def deliver(self, lines: Sequence[Line]) -> None:
        if self.errors:
            raise self.errors.pop()
        await self.open.wait()
        self.lines += lines

    @property
    def messages(self) -> list[str]:
        return [line.message for line in self.lines]


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def listening(**options: Any) -> AsyncIterator[tuple[SyslogListener, Store]]:
    store = Store()
    listener = SyslogListener(SyslogOptions(**options), store.deliver)
    await listener.start()
    try:
        yield listener, store
    finally:
        store.open.set()
        await listener.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of its own for localhost, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, private


@contextlib.asynccontextmanager
async def rsyslogd(folder: Path, action: str, settings: str = "") -> AsyncIterator[Path]:
    """A rsyslogd that forwards what is written to the file; stopped by its process id."""
    source = folder / "source.log"
    source.touch()
    config = folder / "rsyslog.conf"
    config.write_text(
        f"""
        global(workDirectory="{folder}" maxMessageSize="64k" {settings})
        module(load="imfile" mode="inotify")
        input(type="imfile" File="{source}" Tag="mailer:" Facility="local3" Severity="error"
              freshStartTail="off")
        action(type="omfwd" target="127.0.0.1" {action}
               queue.type="LinkedList" action.resumeRetryCount="-1" action.resumeInterval="1")
        """
    )
    daemon = await asyncio.create_subprocess_exec(
        RSYSLOGD, "-n", "-f", str(config), "-i", str(folder / "rsyslogd.pid"),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield source
    finally:
        with contextlib.suppress(ProcessLookupError):
            daemon.terminate()
        try:
            await asyncio.wait_for(daemon.wait(), 10)
        except TimeoutError:
            daemon.kill()
            await daemon.wait()


MESSAGES = [f"line {number} über 'x' [y] <z>" for number in range(200)]


def write(source: Path) -> None:
    source.write_text("".join(f"{message}\n" for message in MESSAGES))


def check(lines: Sequence[Line], form: str) -> None:
    told = [json.loads(bytes(line.metadata)) for line in lines]
    assert {line.service for line in lines} == {"mailer"}
    assert {(line.level, line.level_original) for line in lines} == {("error", "err")}
    assert {(t["facility"], t["syslog"], t["peer"]) for t in told} == {
        ("local3", form, "127.0.0.1"),
    }  # fmt: skip
    assert all("hostname" in t for t in told)
    assert {line.original for line in lines} == {""}
    age = [datetime.now(UTC) - datetime.fromisoformat(line.timestamp) for line in lines]
    assert max(age) < timedelta(minutes=5)


@needs_rsyslogd
@pytest.mark.parametrize(
    ("framing", "template", "form"),
    [
        ("octet-counted", "RSYSLOG_SyslogProtocol23Format", "rfc5424"),
        ("traditional", "RSYSLOG_SyslogProtocol23Format", "rfc5424"),
        ("octet-counted", "RSYSLOG_ForwardFormat", "rfc3164"),
        ("traditional", "RSYSLOG_ForwardFormat", "rfc3164"),
    ],
)
async def test_rsyslog_over_tcp_loses_nothing(
    tmp_path: Path, framing: str, template: str, form: str
) -> None:
    async with listening(tcp=LOOPBACK) as (listener, store):
        action = (
            f'port="{listener.ports["tcp"]}" protocol="tcp" TCP_Framing="{framing}" '
            f'template="{template}"'
        )
        async with rsyslogd(tmp_path, action) as source:
            write(source)
            await until(lambda: len(store.lines) >= len(MESSAGES))
    assert store.messages == MESSAGES
    check(store.lines, form)


@needs_rsyslogd
async def test_rsyslog_over_udp_arrives(tmp_path: Path) -> None:
    async with listening(udp=LOOPBACK) as (listener, store):
        action = f'port="{listener.ports["udp"]}" protocol="udp" template="RSYSLOG_ForwardFormat"'
        async with rsyslogd(tmp_path, action) as source:
            write(source)
            await until(lambda: len(store.lines) + listener.stats().dropped >= len(MESSAGES))
    assert store.messages == MESSAGES
    check(store.lines, "rfc3164")


@needs_rsyslogd
async def test_rsyslog_over_tls_loses_nothing(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    cert, key = certificate
    async with listening(tls=LOOPBACK, certificate=str(cert), key=str(key)) as (listener, store):
        action = (
            f'port="{listener.ports["tls"]}" protocol="tcp" TCP_Framing="octet-counted" '
            'template="RSYSLOG_SyslogProtocol23Format" StreamDriver="gtls" StreamDriverMode="1" '
            'StreamDriverAuthMode="x509/name" StreamDriverPermittedPeers="localhost"'
        )
        settings = f'defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile="{cert}"'
        async with rsyslogd(tmp_path, action, settings) as source:
            write(source)
            await until(lambda: len(store.lines) >= len(MESSAGES))
    assert store.messages == MESSAGES
    check(store.lines, "rfc5424")


@needs_rsyslogd
async def test_rsyslog_waits_while_nobody_can_store(tmp_path: Path) -> None:
    async with listening(tcp=LOOPBACK) as (listener, store):
        store.errors = [SourceUnavailable("facts", "the disk is full"), TooManyRequests("busy", 0)]
        action = f'port="{listener.ports["tcp"]}" protocol="tcp" template="RSYSLOG_ForwardFormat"'
        async with rsyslogd(tmp_path, action) as source:
            write(source)
            await until(lambda: len(store.lines) >= len(MESSAGES))
    assert store.messages == MESSAGES


@needs_logger
@pytest.mark.parametrize(
    ("way", "options", "form"),
    [
        ("udp", ["--udp", "--rfc3164"], "rfc3164"),
        ("udp", ["--udp", "--rfc5424", "--sd-id", "x@1", "--sd-param", 'request_id="req_1"'],
         "rfc5424"),
        ("tcp", ["--tcp", "--rfc3164"], "rfc3164"),
        ("tcp", ["--tcp", "--rfc5424", "--octet-count"], "rfc5424"),
    ],
)  # fmt: skip
async def test_logger_is_understood(way: str, options: list[str], form: str) -> None:
    async with listening(udp=LOOPBACK, tcp=LOOPBACK) as (listener, store):
        assert LOGGER is not None
        subprocess.run(
            [LOGGER, "-n", "127.0.0.1", "-P", str(listener.ports[way]), *options,
             "-p", "mail.warning", "-t", "postfix", "--id=77", "queue is full"],
            check=True, timeout=10,
        )  # fmt: skip
        await until(lambda: store.lines)
    [line] = store.lines
    told = json.loads(bytes(line.metadata))
    assert (line.message, line.service, line.level) == ("queue is full", "postfix", "warning")
    assert (told["syslog"], told["facility"], told["process_id"]) == (form, "mail", "77")
    assert line.request_id == ("req_1" if "--sd-id" in options else "")


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port)


async def test_connection_that_resets_loses_no_line_that_came() -> None:
    async with listening(tcp=LOOPBACK) as (listener, store):
        store.open.clear()
        _, writer = await connect(listener.ports["tcp"])
        writer.write(b"<14>first\n")
        await writer.drain()
        await until(lambda: listener.stats().received)
        writer.write(b"<14>second\n<14>third")
        await writer.drain()
        await asyncio.sleep(0.2)
        own = writer.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        writer.transport.abort()
        await asyncio.sleep(0.2)
        store.open.set()
        await until(lambda: len(store.lines) == 3)
    assert store.messages == ["first", "second", "third"]


async def test_sender_is_held_back_while_lines_wait() -> None:
    frame = b"<14>" + b"x" * 1000 + b"\n"
    async with listening(tcp=LOOPBACK) as (listener, store):
        store.open.clear()
        reader, writer = await connect(listener.ports["tcp"])
        del reader
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 100_000:
                writer.write(frame * 100)
                async with asyncio.timeout(1):
                    await writer.drain()
                sent += 100
        assert sent < 100_000  # 100 MB: no machine's socket buffers hold that
        store.open.set()
        writer.close()
        await writer.wait_closed()
        await until(lambda: not listener.stats().connections)
    assert sent <= len(store.lines) <= sent + 100
    assert listener.stats().lost == 0


async def test_flood_of_datagrams_is_dropped_counted_and_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with listening(udp=LOOPBACK, queue_bytes=100_000) as (listener, store):
        store.open.clear()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(("127.0.0.1", listener.ports["udp"]))
            for number in range(2000):
                sender.send(b"<14>%d" % number)
                if number % 50 == 0:
                    await asyncio.sleep(0)
        await until(
            lambda: (
                listener.stats().received + listener.stats().dropped >= 2000
                or listener.stats().waiting_bytes > 99_000
            )
        )
        assert listener.stats().waiting_bytes <= 100_000
        store.open.set()
        await until(lambda: len(store.lines) + listener.stats().dropped == 2000)
        dropped = listener.stats().dropped
        with caplog.at_level(logging.WARNING, "quarterdeck.logs"):
            await listener.close()
    assert dropped > 0
    assert f"{dropped} datagrams were dropped" in caplog.text
    assert store.messages == sorted(store.messages, key=int)


async def test_garbage_huge_frames_and_counts_do_no_harm() -> None:
    async with listening(tcp=LOOPBACK) as (listener, store):
        _, writer = await connect(listener.ports["tcp"])
        writer.write(b"1000000000000 <14>x\n")
        writer.write(b"\xff\x00\xfe garbage\n")
        writer.write(b"<14>" + b"y" * 3_000_000 + b"\n")
        writer.write(b"2000000 <14>" + b"z" * 1_999_996)
        writer.write(b"<14>last\n")
        await writer.drain()
        writer.close()
        await until(lambda: "last" in store.messages)
    assert [line.message[:16] for line in store.lines] == [
        "1000000000000 <1", "\ufffd\x00\ufffd garbage", "y" * 16, "z" * 16, "last",
    ]  # fmt: skip
    assert ["cut" in line.marks for line in store.lines] == [False, False, True, True, False]
    assert listener.stats().cut == 2


async def test_silent_connection_is_closed_and_its_piece_kept() -> None:
    async with listening(tcp=LOOPBACK, idle_s=0.2) as (listener, store):
        reader, writer = await connect(listener.ports["tcp"])
        writer.write(b"50 <14>half a frame")
        assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        await until(lambda: store.lines)
        writer.close()
    assert (store.messages, store.lines[0].marks) == (["half a frame"], "cut,timestamp_missing")


async def test_connections_beyond_the_limit_are_refused_and_counted() -> None:
    async with listening(tcp=LOOPBACK, max_connections=2) as (listener, store):
        writers = [(await connect(listener.ports["tcp"]))[1] for _ in range(2)]
        await until(lambda: listener.stats().connections == 2)
        reader, refused = await connect(listener.ports["tcp"])
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        refused.close()
        writers[0].write(b"<14>still served\n")
        await until(lambda: store.lines)
        assert listener.stats().refused == 1
        for writer in writers:
            writer.close()
        await until(lambda: not listener.stats().connections)
        _, again = await connect(listener.ports["tcp"])
        again.write(b"<14>room again\n")
        await until(lambda: len(store.lines) == 2)
        again.close()


async def test_close_delivers_what_was_received() -> None:
    async with listening(tcp=LOOPBACK, udp=LOOPBACK) as (listener, store):
        store.open.clear()
        _, writer = await connect(listener.ports["tcp"])
        writer.write(b"<14>a\n<14>b\n")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"<14>c", ("127.0.0.1", listener.ports["udp"]))
        await until(lambda: listener.stats().received == 3)
        closing = asyncio.create_task(listener.close())
        await asyncio.sleep(0.1)
        store.open.set()
        await closing
        writer.close()
    assert sorted(store.messages) == ["a", "b", "c"]
    assert listener.stats().lost == 0


async def test_close_counts_what_could_not_be_delivered(caplog: pytest.LogCaptureFixture) -> None:
    async with listening(tcp=LOOPBACK, udp=LOOPBACK, grace_s=0.1) as (listener, store):
        store.open.clear()
        _, writer = await connect(listener.ports["tcp"])
        writer.write(b"<14>a\n<14>b\n")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"<14>c", ("127.0.0.1", listener.ports["udp"]))
        await until(lambda: listener.stats().received == 3)
        with caplog.at_level(logging.WARNING, "quarterdeck.logs"):
            await listener.close()
        writer.close()
    assert listener.stats().lost == 3
    assert "3 lines could not be stored" in caplog.text


async def test_old_line_is_counted_and_told(caplog: pytest.LogCaptureFixture) -> None:
    async with listening(udp=LOOPBACK) as (listener, store):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"<14>1 2001-01-01T00:00:00Z h a - - - m",
                          ("127.0.0.1", listener.ports["udp"]))  # fmt: skip
        await until(lambda: listener.stats().rejected == 1)
        with caplog.at_level(logging.WARNING, "quarterdeck.logs"):
            await listener.close()
    assert not store.lines
    assert "1 lines were older than the retention" in caplog.text


async def test_plain_text_on_the_tls_port_is_refused(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    async with listening(tls=LOOPBACK, certificate=str(cert), key=str(key)) as (listener, store):
        reader, writer = await connect(listener.ports["tls"])
        writer.write(b"<14>in the clear\n" * 10)
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), PATIENCE_S)
        writer.close()
        trusting = ssl.create_default_context(cafile=cert)
        _, tls = await asyncio.open_connection(
            "127.0.0.1", listener.ports["tls"], ssl=trusting, server_hostname="localhost"
        )
        tls.write(b"<14>hidden\n")
        await until(lambda: store.lines)
        tls.close()
    assert store.messages == ["hidden"]


async def test_address_in_use_is_a_config_error() -> None:
    async with listening(tcp=LOOPBACK) as (listener, _):
        taken = f"127.0.0.1:{listener.ports['tcp']}"
        other = SyslogListener(SyslogOptions(udp=LOOPBACK, tcp=taken), Store().deliver)
        with pytest.raises(ConfigError, match=r"logs\.syslog_tcp: cannot listen on"):
            await other.start()
