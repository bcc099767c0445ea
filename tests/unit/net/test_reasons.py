"""Errors of the network become clauses without anything that the other side said."""

import errno
import socket
import ssl

import pytest

from quarterdeck.net.guard import AddressRefused
from quarterdeck.net.reasons import is_certificate_refused, reason_of


def certificate(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "s3cret")
    error.verify_code = code
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "s3cret"), "nothing listens there"),
        (OSError(errno.ECONNREFUSED, "s3cret"), "nothing listens there"),
        (ConnectionResetError(errno.ECONNRESET, "s3cret"), "it broke the connection off"),
        (OSError("Multiple exceptions: s3cret"), "it broke the connection off"),
        (OSError(errno.EHOSTUNREACH, "s3cret"), "no route to host"),
        (socket.gaierror(socket.EAI_NONAME, "s3cret"), "its name cannot be resolved"),
        (EOFError("s3cret"), "it closed the connection"),
        (certificate(10), "its certificate has expired"),
        (certificate(18), "its certificate is self-signed"),
        (certificate(999), "its certificate cannot be trusted"),
        (ssl.SSLError(1, "s3cret"), "the TLS handshake failed"),
        (AddressRefused("connections to ::1 are not allowed"), "connections to ::1 are not"),
        (ValueError("s3cret"), "None"),
    ],
    ids=lambda one: one if isinstance(one, str) else type(one).__name__,
)
def test_error_becomes_a_clause(error: Exception, reason: str) -> None:
    assert str(reason_of(error)).startswith(reason)


def test_what_a_driver_wrapped_is_found() -> None:
    try:
        try:
            raise certificate(62)
        except OSError as inner:
            raise RuntimeError("s3cret") from inner
    except RuntimeError as error:
        assert reason_of(error) == "its certificate is for another name"
        assert is_certificate_refused(error)
    assert not is_certificate_refused(RuntimeError())
