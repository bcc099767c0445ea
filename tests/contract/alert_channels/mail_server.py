"""A real mail server on loopback, with conducts like those of the HTTP receiver."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from contract.alert_channels.receivers import Conduct

ANSWERS = {
    Conduct.GOOD: "250 OK",
    Conduct.BREAK: "451 Local error",
    Conduct.BUSY: "421 Too many, s3cret",
    Conduct.REFUSE: "554 Refused, s3cret",
}


@dataclass
class Mail:
    """One that was taken."""

    sender: str
    recipients: list[str]
    raw: bytes
    was_encrypted: bool
    login: Any
    client: str
    """How it introduced itself."""

    @property
    def parsed(self) -> EmailMessage:
        parsed = message_from_bytes(self.raw, policy=default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    @property
    def text(self) -> str:
        return str(self.parsed.get_content())


@dataclass
class MailServer:
    """Also aiosmtpd's handler."""

    port: int = 0
    conduct: Conduct = Conduct.GOOD
    refusals: dict[str, str] = field(default_factory=dict)
    """Recipient to answer."""
    mails: list[Mail] = field(default_factory=list)
    attempts: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """A client has left."""

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """aiosmtpd calls it for each recipient."""
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """aiosmtpd calls it for each mail."""
        self.attempts.set()
        if self.conduct is Conduct.HANG:
            await self.released.wait()
        if self.conduct is Conduct.RESET:
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        if self.conduct in ANSWERS and self.conduct is not Conduct.GOOD:
            return ANSWERS[self.conduct]
        assert isinstance(envelope.content, bytes)
        self.mails.append(
            Mail(
                str(envelope.mail_from), list(envelope.rcpt_tos), envelope.content,
                session.ssl is not None, session.auth_data,
                str(session.host_name),
            )
        )  # fmt: skip
        return "250 OK" if self.conduct is Conduct.GOOD else "-".join(["250"] * 20_000)


class _Protocol(SMTP):
    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.event_handler.gone.set()


def _authenticate(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
) -> AuthResult:
    good = isinstance(data, LoginPassword) and data.password == b"s3cret-password"
    return AuthResult(success=good, handled=False, auth_data=data)


@contextlib.asynccontextmanager
async def mail_server(
    tls: str = "none", certificate: Path | None = None, with_login: bool = False
) -> AsyncIterator[MailServer]:
    """One that listens until the end of the block. The certificate's file holds its key too."""
    state = MailServer()
    context = None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)

    def protocol() -> SMTP:
        return _Protocol(
            state, enable_SMTPUTF8=True, hostname="mail.example.org",
            tls_context=context if tls == "starttls" else None,
            require_starttls=tls == "starttls",
            auth_require_tls=tls == "starttls", authenticator=_authenticate if with_login else None,
            auth_required=with_login and tls == "starttls", loop=asyncio.get_running_loop(),
        )  # fmt: skip

    listening = await asyncio.get_running_loop().create_server(
        protocol, "127.0.0.1", 0, ssl=context if tls == "implicit" else None
    )
    state.port = listening.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        state.released.set()
        listening.close()
        await listening.wait_closed()


def write_certificate(path: Path) -> Path:
    """A certificate of 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path
