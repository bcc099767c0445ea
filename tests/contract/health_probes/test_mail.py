"""How far a mail server takes the probe, and what it is never sent."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contract.health_probes.answering import Mailbox, mail_server
from contract.health_probes.certificates import Authority, stranger
from contract.health_probes.conftest import SHORT_S, Build
from contract.health_probes.faults import Fault, serving
from quarterdeck.health.model import Outcome, Reading


async def talk(build: Build, port: int, **options: Any) -> Reading:
    return await build("smtp", {"host": "localhost", "port": port, **options}).check()


def script(*answers: bytes) -> Callable[..., Any]:
    """A server that says one thing after another, whatever it hears, and then nothing."""

    async def behave(_: Fault, reader: Any, writer: Any) -> None:
        for answer in answers:
            writer.write(answer)
            if not await reader.readline():
                return
        while await reader.read(4096):
            pass

    return behave


async def test_plain_server_is_taken_through_to_quit(build: Build) -> None:
    mailbox = Mailbox()
    async with mail_server(mailbox) as port:
        reading = await talk(build, port, ehlo_name="monitor.example")
    assert reading.outcome is Outcome.OK
    assert reading.latency_ms
    assert mailbox.commands == ["EHLO monitor.example", "NOOP", "QUIT"]


@pytest.mark.parametrize("wanted", ["offered", "required"])
async def test_offered_starttls_is_used(build: Build, authority: Authority, wanted: str) -> None:
    mailbox, end = Mailbox(), datetime.now(UTC) + timedelta(days=40, hours=1)
    async with mail_server(mailbox, starttls=authority.server(end)) as port:
        reading = await talk(build, port, tls=wanted, ca_file=authority.ca_file)
    assert (reading.outcome, reading.reason) == (Outcome.OK, None)
    assert int(reading.metrics["tls_expires_in_days"] or 0) == 40
    assert [command.split()[0] for command in mailbox.commands] == ["EHLO", "EHLO", "NOOP", "QUIT"]


async def test_offered_starttls_is_left_alone_when_not_wanted(build: Build) -> None:
    async with mail_server(Mailbox(), starttls=stranger()) as port:
        assert (await talk(build, port, tls="none")).outcome is Outcome.OK
        assert (await talk(build, port, verify_tls=False)).outcome is Outcome.OK
        reading = await talk(build, port)
    assert reading.reason == "its certificate comes from an authority that is not trusted here"


async def test_missing_starttls_fails_only_when_required(build: Build) -> None:
    async with mail_server(Mailbox()) as port:
        reading = await talk(build, port, tls="required")
    assert reading.reason == "it does not offer STARTTLS"


async def test_tls_from_the_start_is_spoken(build: Build, authority: Authority) -> None:
    end = datetime.now(UTC) + timedelta(days=3, hours=1)
    async with mail_server(Mailbox(), implicit=authority.server(end)) as port:
        reading = await talk(build, port, tls="implicit", ca_file=authority.ca_file)
    assert reading.outcome is Outcome.OK
    assert int(reading.metrics["tls_expires_in_days"] or 0) == 3


async def test_expired_certificate_tells_since_when(build: Build, authority: Authority) -> None:
    end = datetime(2026, 2, 1, tzinfo=UTC)
    async with mail_server(Mailbox(), implicit=authority.server(end)) as port:
        probe = build(
            "smtp",
            {"host": "localhost", "port": port, "tls": "implicit", "ca_file": authority.ca_file},
            clock=lambda: end + timedelta(days=2),
        )
        reading = await probe.check()
    assert reading.reason == "its certificate has expired"
    assert reading.metrics == {"tls_expires_in_days": -2.0}


EHLO = b"250-mail.example\r\n250 STARTTLS\r\n"


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([b"554 s3cret\r\n"], "its SMTP banner is 554, expected 220"),
        ([b"220 hi\r\n", b"502 s3cret\r\n"], "answered 502 to EHLO"),
        ([b"220 hi\r\n"], f"no answer to EHLO within {SHORT_S} s"),
        ([b"220 hi\r\n", EHLO, b"454 s3cret\r\n"], "answered 454 to STARTTLS"),
        ([b"220 hi\r\n", EHLO], f"no end of STARTTLS within {SHORT_S} s"),
        ([b"220 hi\r\n", b"250 me\r\n", b"421 s3cret\r\n"], "answered 421 to NOOP"),
        ([b"220 hi\r\n", b"250 me\r\n"], f"no answer to NOOP within {SHORT_S} s"),
        ([b"220 hi\r\n", b"250 me\r\n", b"250 ok\r\n", b"500 what\r\n"], None),
    ],
    ids=["banner", "ehlo", "no-ehlo", "starttls", "no-tls", "noop", "no-noop", "quit"],
)
async def test_conversation_that_breaks_off_tells_where(
    build: Build, answers: list[bytes], reason: str | None
) -> None:
    async with serving(script(*answers)) as fault:
        timeout_s = SHORT_S if reason is None or "within" in reason else 20
        probe = build("smtp", {"host": "localhost", "port": fault.port}, timeout_s)
        reading = await probe.check()
    assert reading.reason == reason
