"""Why a connection failed, as a clause without secrets and without anything the other side said."""

import errno
import os
import socket
import ssl
from collections.abc import Iterator

from quarterdeck.net.guard import AddressRefused

_CERTIFICATE = {
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    18: "its certificate is self-signed",
    19: "its certificate comes from an authority that is not trusted here",
    20: "its certificate comes from an authority that is not trusted here",
    21: "its certificate comes without the chain to an authority",
    23: "its certificate was revoked",
    62: "its certificate is for another name",
    64: "its certificate is for another address",
}
"""OpenSSL's verification codes."""

_NO_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"}

_BROKEN = {errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.EBADF, errno.ESHUTDOWN}


def reason_of(error: BaseException) -> str | None:
    """What the network had to do with an error; None: nothing, as far as one can see."""
    # What it began with knows most; aiohttp's errors are of the system's classes without content.
    found = list(causes(error))[::-1]
    for kind, explain in (
        (AddressRefused, str),
        (ssl.SSLError, _tls),
        (socket.gaierror, _name),
        (OSError, _system),
        (EOFError, _ended),
    ):
        for cause in found:
            if isinstance(cause, kind):
                return explain(cause)
    return None


def is_certificate_refused(error: BaseException) -> bool:
    """Whether the other side's certificate was not trusted."""
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes(error))


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it was made of; drivers wrap, and aiohttp keeps it in an attribute."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None)
        error = inner or error.__cause__ or error.__context__


def _tls(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE.get(error.verify_code, "its certificate cannot be trusted")
    if getattr(error, "reason", None) in _NO_TLS:
        return "it does not speak TLS there"
    return "the TLS handshake failed"


def _name(_: BaseException) -> str:
    return "its name cannot be resolved"


def _ended(_: BaseException) -> str:
    return "it closed the connection"


def _system(error: BaseException) -> str:
    # By number, not by class: aiohttp's errors carry one and are of no class of the system's.
    number = getattr(error, "errno", None)
    if number == errno.ECONNREFUSED:
        return "nothing listens there (connection refused)"
    if not number or number in _BROKEN:
        return "it broke the connection off"
    return os.strerror(number).lower()
