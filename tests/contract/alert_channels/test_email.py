"""Mail over a real server: encryption, threads, refusals, hostile texts."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from contract.alert_channels.harness import built
from contract.alert_channels.mail_server import MailServer, mail_server, write_certificate
from contract.alert_channels.notices import HOSTILE, NOON, hostile, notice
from contract.alert_channels.receivers import Conduct
from quarterdeck.alerts.adapters.email import EmailChannel, EmailOptions
from quarterdeck.alerts.model import Transition
from quarterdeck.alerts.ports import Channel, DeliveryError
from quarterdeck.core.errors import ConfigError

GOOD = {
    "name": "mail", "kind": "email", "server": "127.0.0.1", "tls": "none",
    "from": "Quarterdeck <ops@example.org>", "to": ["a@example.org", "b@example.org"],
}  # fmt: skip
LOGIN = {"username": "ops", "password": "s3cret-password"}


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with mail_server() as opened:
        yield opened


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_certificate(tmp_path_factory.mktemp("tls") / "mail.pem")


def mailer(server: MailServer, **changes: Any) -> Channel:
    return built(GOOD | {"port": server.port} | changes)


async def failure(channel: Channel, told: Any = None) -> DeliveryError:
    with pytest.raises(DeliveryError) as failed:
        await channel.send(told or notice())
    assert "s3cret" not in failed.value.message
    return failed.value


async def test_mail_is_as_documented(server: MailServer) -> None:
    options = EmailOptions(
        name="mail", kind="email", server="127.0.0.1", port=server.port, tls="none",
        sender="Quarterdeck <ops@example.org>", to=["a@example.org", "B <b@example.org>"],
    )  # fmt: skip
    await EmailChannel(options, lambda: NOON).send(notice())
    [mail] = server.mails
    assert mail.sender == "ops@example.org"
    assert mail.recipients == ["a@example.org", "b@example.org"]
    headers = mail.parsed
    assert headers["From"] == "Quarterdeck <ops@example.org>"
    assert headers["To"] == "a@example.org, B <b@example.org>"
    assert headers["Subject"] == "Firing: error: SMTP Service: 5400 jobs wait in email:high"
    assert headers["Date"] == "Thu, 04 Dec 2025 12:00:00 +0000"
    assert headers["Auto-Submitted"] == "auto-generated"
    assert headers.get_content_type() == "text/plain"
    for line in ("Rule: queue_backlog", "Value: 5400", "queue: email:high"):
        assert line in mail.text.splitlines()


async def test_all_mails_of_an_alert_are_one_thread(server: MailServer) -> None:
    channel = mailer(server)
    for told in (notice(), notice(), notice(Transition.RESOLVED), notice(id="alert_2")):
        await channel.send(told)
    first, again, resolved, other = (mail.parsed for mail in server.mails)
    assert first["Message-ID"] == again["Message-ID"] != resolved["Message-ID"]
    assert first["References"] == resolved["References"] == resolved["In-Reply-To"]
    assert other["References"] != first["References"]
    assert first["References"] != first["Message-ID"]
    assert "Resolved after 12 min 3 s." in server.mails[2].text


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_mail_and_login_are_encrypted(tls: str, certificate: Path) -> None:
    async with mail_server(tls, certificate, with_login=True) as server:
        channel = mailer(server, tls=tls, ca_file=str(certificate), **LOGIN)
        await channel.send(notice())
        [mail] = server.mails
        assert mail.was_encrypted or tls == "implicit"
        assert mail.login.password == b"s3cret-password"


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_unknown_authority_is_not_trusted(tls: str, certificate: Path) -> None:
    async with mail_server(tls, certificate) as server:
        failed = await failure(mailer(server, tls=tls))
        assert not failed.is_permanent
        assert "TLS certificate" in failed.message
        assert server.mails == []


async def test_mail_never_goes_in_clear_when_encryption_is_not_offered(server: MailServer) -> None:
    failed = await failure(mailer(server, tls="starttls"))
    assert failed.is_permanent
    assert "STARTTLS" in failed.message
    assert server.mails == []


async def test_wrong_password_is_refused_for_good(certificate: Path) -> None:
    async with mail_server("starttls", certificate, with_login=True) as server:
        wrong = LOGIN | {"password": "s3cret-but-wrong"}
        failed = await failure(mailer(server, tls="starttls", ca_file=str(certificate), **wrong))
        assert failed.is_permanent
        assert "username and password (535)" in failed.message


@pytest.mark.parametrize(
    ("answers", "is_permanent"),
    [
        ({"a": "550 No", "b": "553 No"}, True),
        ({"a": "450 Later", "b": "452 Later"}, False),
        ({"a": "550 No", "b": "450 Later"}, False),
    ],
    ids=["for-good", "for-now", "mixed"],
)
async def test_refusal_of_all_recipients_is_by_their_codes(
    server: MailServer, answers: dict[str, str], is_permanent: bool
) -> None:
    server.refusals = {f"{name}@example.org": answer for name, answer in answers.items()}
    failed = await failure(mailer(server))
    assert failed.is_permanent is is_permanent
    assert ", ".join(sorted(answer[:3] for answer in answers.values())) in failed.message


async def test_recipient_refused_for_good_does_not_keep_it_from_the_others(
    server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.refusals = {"b@example.org": "550 No such user"}
    await mailer(server).send(notice())
    assert [mail.recipients for mail in server.mails] == [["a@example.org"]]
    assert "refused 1 of 2 recipients of a notice for good: b@example.org" in caplog.text
    assert [record.levelno for record in caplog.records if "alerts" in record.name] == [
        logging.WARNING
    ]


async def test_recipient_refused_for_now_is_tried_again_alone(server: MailServer) -> None:
    channel = mailer(server)
    server.refusals = {"b@example.org": "450 Greylisted"}
    failed = await failure(channel)
    assert not failed.is_permanent
    assert "1 of 2 recipients (450)" in failed.message
    server.refusals = {}
    await channel.send(notice())
    assert [mail.recipients for mail in server.mails] == [["a@example.org"], ["b@example.org"]]
    await channel.send(notice())
    assert server.mails[2].recipients == ["a@example.org", "b@example.org"]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("transition", Transition)
async def test_foreign_text_adds_no_header_and_no_recipient(
    server: MailServer, text: str, transition: Transition
) -> None:
    await mailer(server).send(hostile(HOSTILE[text], transition))
    [mail] = server.mails
    assert mail.recipients == ["a@example.org", "b@example.org"]
    assert sorted(mail.parsed.keys()) == [
        "Auto-Submitted", "Content-Transfer-Encoding", "Content-Type", "Date", "From",
        "In-Reply-To", "MIME-Version", "Message-ID", "References", "Subject", "To",
        "X-Auto-Response-Suppress",
    ]  # fmt: skip
    assert mail.parsed.defects == []
    assert len(mail.parsed["Subject"]) <= 230
    assert max(map(len, mail.raw.split(b"\r\n"))) <= 998
    assert mail.raw.isascii()


async def test_lines_of_a_dot_arrive_as_they_were(server: MailServer) -> None:
    await mailer(server).send(notice(message="one\n.\n..two\n.three"))
    text = server.mails[0].text.replace("\r\n", "\n")
    assert text.startswith("one\n.\n..two\n.three\n")


async def test_server_without_manners_at_the_end_has_taken_it(server: MailServer) -> None:
    gone = asyncio.get_running_loop().create_future()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        while line := await reader.readline():
            if line.startswith(b"QUIT"):
                break
            if line.startswith(b"DATA"):
                writer.write(b"354 go\r\n")
                await reader.readuntil(b"\r\n.\r\n")
            writer.write(b"250 ok\r\n")
        gone.set_result(None)  # no answer to QUIT, no close
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as rude:
        await built(GOOD | {"port": rude.sockets[0].getsockname()[1]}).send(notice())
        await gone


@pytest.mark.parametrize(
    "greeting", [b"x" * 100_000, b"220-" + b"y" * 8000 + b"\r\n", b"HTTP/1.1 400 s3cret\r\n"],
    ids=["endless-line", "endless-lines", "other-protocol"],
)  # fmt: skip
async def test_server_that_talks_nonsense_is_a_failure_for_now(greeting: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.transport.is_closing():
                writer.write(greeting)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as odd:
        channel = built(GOOD | {"port": odd.sockets[0].getsockname()[1], "timeout_s": 2})
        assert not (await failure(channel)).is_permanent


@pytest.mark.parametrize(
    ("conduct", "code", "is_permanent"),
    [(Conduct.BUSY, 421, False), (Conduct.BREAK, 451, False), (Conduct.REFUSE, 554, True)],
)
async def test_refused_mail_is_by_its_code_and_without_the_servers_words(
    server: MailServer, conduct: Conduct, code: int, is_permanent: bool
) -> None:
    server.conduct = conduct
    failed = await failure(mailer(server))
    assert failed.message == f"127.0.0.1 refused the mail ({code})."
    assert failed.is_permanent is is_permanent


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"from": "nobody"}, "from"),
        ({"from": "a@example.org\r\nBcc: x@example.org"}, "from"),
        ({"from": "ops@bücher.example"}, "from"),
        ({"to": ["a@example.org", ""]}, "to"),
        ({"to": ["<a@example.org>, b@example.org"]}, "to"),
        ({"username": "ops"}, "username"),
        ({**LOGIN, "server": "mail.example.org"}, "tls"),
        ({"tls": "starttls", "ca_file": "/no/such/file"}, "ca_file"),
    ],
    ids=[
        "no-address", "line-break", "no-ascii", "empty", "two-in-one", "no-password",
        "password-in-clear", "no-authorities",
    ],
)  # fmt: skip
def test_wrong_settings_are_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError) as refused:
        built(GOOD | changes)
    assert refused.value.message.startswith(f"alerts.channels 'mail': {named}")
    assert "s3cret" not in refused.value.message


async def test_we_introduce_ourselves_by_name(server: MailServer) -> None:
    await mailer(server, local_hostname="watch.example.org").send(notice())
    await mailer(server).send(notice())
    names = [mail.client for mail in server.mails]
    assert names == ["watch.example.org", socket.gethostname()]
