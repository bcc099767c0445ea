"""TLS as a client, and until when the other side's certificate is good."""

import asyncio
import contextlib
import ssl
from datetime import datetime
from typing import Self

from cryptography import x509

from quarterdeck.core.errors import ConfigError
from quarterdeck.net.guard import Guard


class PeerContext(ssl.SSLContext):
    """A client's context that remembers with whom it last spoke.

    Drivers keep the connection to themselves, and without verification Python tells nothing of
    the certificate but its bytes.
    """

    _peer: ssl.SSLObject | None = None

    def __new__(cls) -> Self:
        """With the defaults of a client: TLS 1.2, names and authorities are verified."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """What asyncio and uvloop call for each connection."""
        self._peer = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        return self._peer

    def forget(self) -> None:
        """Know nothing of the last connection."""
        self._peer = None

    def certificate_ends_at(self) -> datetime | None:
        """When the last peer's certificate ends; None without a finished handshake."""
        with contextlib.suppress(ValueError):  # not finished, or no certificate one can read
            der = self._peer.getpeercert(binary_form=True) if self._peer else None
            return x509.load_der_x509_certificate(der).not_valid_after_utc if der else None
        return None


def client_context(verify: bool = True, ca_file: str = "") -> PeerContext:
    """The context of one probe. `ca_file` is a PEM file of authorities, besides the system's.

    Raises:
        ConfigError: that file cannot be used.
    """
    context = PeerContext()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    context.load_default_certs()
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:  # ssl.SSLError is one
            raise ConfigError(f"ca_file: cannot be used: {error.strerror or error}.") from None
    return context


async def unverified_end(guard: Guard, host: str, port: int) -> datetime | None:
    """When a certificate ends that was refused: a handshake that trusts it, and sends nothing.

    None when there is no answer to this.
    """
    context = client_context(verify=False)
    with contextlib.suppress(OSError, EOFError):
        sock = await guard.connect(host, port)
        try:
            _, writer = await asyncio.open_connection(sock=sock, ssl=context, server_hostname=host)
        except BaseException:
            sock.close()
            raise
        writer.transport.abort()
    return context.certificate_ends_at()


def days_until(end: datetime | None, now: datetime) -> float | None:
    """Days between two moments, to a hundredth; negative: it is past."""
    return None if end is None else round((end - now).total_seconds() / 86400, 2)
