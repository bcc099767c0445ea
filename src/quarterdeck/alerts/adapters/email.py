"""Mail over SMTP. Let it leave by another way than the platform that is watched."""

import asyncio
import hashlib
import logging
import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, getaddresses
from typing import Annotated, ClassVar, Literal

import aiosmtplib
from msgspec import Meta, Struct, field

from quarterdeck.alerts.channel_options import ChannelOptions
from quarterdeck.alerts.model import Notification
from quarterdeck.alerts.ports import DeliveryError
from quarterdeck.alerts.taken import Taken
from quarterdeck.alerts.wording import headline, plain
from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import ConfigError

log = logging.getLogger("quarterdeck.alerts")

PORTS: Mapping[str, int] = {"none": 25, "starttls": 587, "implicit": 465}
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
MAX_SUBJECT = 200
MAX_MESSAGE = 50_000
QUIT_TIMEOUT_S = 1.0
"""The mail is taken by then; nobody waits long for a goodbye."""


class EmailOptions(ChannelOptions, frozen=True):
    """One mail server, one sender, one or more recipients."""

    server: Annotated[str, Meta(min_length=1)]
    sender: str = field(name="from")
    """`ops@example.org` or `Quarterdeck <ops@example.org>`."""
    to: Annotated[list[str], Meta(min_length=1, max_length=50)]
    tls: Literal["none", "starttls", "implicit"] = "starttls"
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """0: 587 with `starttls`, 465 with `implicit`, 25 with `none`."""
    username: str = ""
    password: str = ""
    ca_file: str = ""
    """PEM file of the authorities to trust instead of the system's."""
    local_hostname: str = ""
    """How we introduce ourselves; empty: this machine's name."""


class EmailChannel:
    """One mail to all recipients for each notice; all transitions are told."""

    Options: ClassVar[type[Struct]] = EmailOptions

    def __init__(self, options: EmailOptions, clock: Clock = utc_now) -> None:
        _check_login(options)
        self._options = options
        self._sender = _address(options.sender, options.at("from"))
        self._to = [_address(each, options.at("to")) for each in options.to]
        self._tls = _tls_context(options)
        self._clock = clock
        self._taken = Taken()

    async def send(self, notification: Notification) -> None:
        """See `Channel`. Those who have the mail already do not get it again."""
        told = self._taken.by(notification.id)
        wanted = sorted({each.addr_spec for each in self._to} - told)
        try:
            async with asyncio.timeout(self._options.timeout_s):
                refused = await self._transact(self._mail(notification), wanted)
        except (aiosmtplib.SMTPException, OSError) as error:
            raise _failure(error, self._options) from None
        later = {address for address, code in refused.items() if not _is_permanent(code)}
        never = refused.keys() - later
        if never:
            log.warning(
                "%s refused %d of %d recipients of a notice for good: %s",
                self._options.server, len(never), len(self._to), ", ".join(sorted(never)),
            )  # fmt: skip
        if later:
            self._taken.add(notification.id, frozenset(wanted) - later)
            raise DeliveryError(
                f"{self._options.server} does not take it yet for {len(later)} of "
                f"{len(self._to)} recipients ({_codes(refused[each] for each in later)})."
            )
        self._taken.forget(notification.id)

    async def close(self) -> None:
        """See `Channel`. Each mail has a connection of its own."""

    async def _transact(self, mail: bytes, recipients: Sequence[str]) -> Mapping[str, int]:
        """Send it; who was refused, and the code, where others were not."""
        options = self._options
        client = aiosmtplib.SMTP(
            hostname=options.server,
            port=options.port or PORTS[options.tls],
            username=options.username or None,
            password=options.password or None,
            timeout=options.timeout_s,
            use_tls=options.tls == "implicit",
            start_tls=options.tls == "starttls",
            tls_context=self._tls,
            # Else a resolver is asked for our own name, and it may take its time.
            local_hostname=options.local_hostname or socket.gethostname() or "localhost",
        )
        try:
            await client.connect()
            refused, _ = await client.sendmail(self._sender.addr_spec, recipients, mail)
            with suppress(aiosmtplib.SMTPException, OSError):
                await client.quit(timeout=QUIT_TIMEOUT_S)
        finally:
            # Not `async with`: it says goodbye, and waits for the answer, when it is cancelled too.
            client.close()
        return {address: response.code for address, response in refused.items()}

    def _mail(self, notification: Notification) -> bytes:
        domain = self._sender.domain
        thread = f"<alert.{_digest(notification.alert.id)}@{domain}>"
        mail = EmailMessage(policy=SMTP_POLICY)
        mail["From"] = self._sender
        mail["To"] = self._to
        # What looks like an encoded word would be decoded, line breaks and all.
        mail["Subject"] = headline(notification, MAX_SUBJECT).replace("=?", "= ?")
        mail["Date"] = format_datetime(self._clock())
        mail["Message-ID"] = f"<{_digest(notification.id)}@{domain}>"
        mail["In-Reply-To"] = thread
        mail["References"] = thread
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Auto-Response-Suppress"] = "All"
        mail.set_content(plain(notification, MAX_MESSAGE), cte="quoted-printable")
        return mail.as_bytes()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:40]


def _address(text: str, where: str) -> Address:
    try:
        [(name, spec)] = getaddresses([text])
        if not text.isprintable() or not spec.isascii():
            raise ValueError
        address = Address(display_name=name, addr_spec=spec)
    except (ValueError, IndexError):
        address = Address()
    if not (address.username and address.domain):
        raise ConfigError(
            f"{where}: expected an address such as ops@example.org; "
            "write a domain of other letters in its xn-- form."
        )
    return address


def _check_login(options: EmailOptions) -> None:
    if bool(options.username) != bool(options.password):
        raise ConfigError(f"{options.at('username')} and password belong together.")
    if options.password and options.tls == "none" and options.server not in LOOPBACK:
        raise ConfigError(
            f"{options.at('tls')}: a password needs 'starttls' or 'implicit', "
            "else everybody on the way reads it."
        )


def _tls_context(options: EmailOptions) -> ssl.SSLContext | None:
    if options.tls == "none":
        return None
    try:
        return ssl.create_default_context(cafile=options.ca_file or None)
    except (OSError, ValueError):
        raise ConfigError(
            f"{options.at('ca_file')}: {options.ca_file} cannot be read as PEM certificates."
        ) from None


def _is_permanent(code: int) -> bool:
    return 500 <= code < 600


def _codes(codes: Iterable[int]) -> str:
    return ", ".join(str(code) for code in sorted(set(codes)))


def _failure(error: Exception, options: EmailOptions) -> DeliveryError:
    """What went wrong, without the server's own words: they may repeat ours."""
    server = options.server
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        codes = [each.code for each in error.recipients]
        return DeliveryError(
            f"{server} refused the recipients ({_codes(codes)}).",
            is_permanent=all(map(_is_permanent, codes)),
        )
    if isinstance(error, aiosmtplib.SMTPResponseException):
        what = next((text for kind, text in _REFUSED if isinstance(error, kind)), "a command")
        return DeliveryError(
            f"{server} refused {what} ({error.code}).", is_permanent=_is_permanent(error.code)
        )
    # The bare class is how aiosmtplib says that the server offers no STARTTLS, or no login.
    if type(error) in {aiosmtplib.SMTPException, aiosmtplib.SMTPNotSupported}:
        return DeliveryError(
            f"{server} does not offer what is configured: STARTTLS, or a way to log in. "
            "Check `tls`, `port` and `username` of the channel.",
            is_permanent=True,
        )
    return DeliveryError(f"Cannot send mail over {server}: {_reason(error, options)}.")


_REFUSED: Sequence[tuple[type[Exception], str]] = (
    (aiosmtplib.SMTPConnectError, "the connection"),
    (aiosmtplib.SMTPHeloError, "our greeting"),
    (aiosmtplib.SMTPAuthenticationError, "the username and password"),
    (aiosmtplib.SMTPSenderRefused, "the sender"),
    (aiosmtplib.SMTPDataError, "the mail"),
)


def _reason(error: Exception, options: EmailOptions) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {options.timeout_s:g} s"
    cause = error.__cause__ if error.__cause__ else error
    if isinstance(cause, ssl.SSLError):
        return "its TLS certificate or handshake is not good"
    if isinstance(cause, socket.gaierror):
        return "its name cannot be resolved"
    return "the connection failed or broke off"
