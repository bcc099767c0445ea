"""An authority and certificates for tests: good ones, one that has ended, one of its own making."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
"""What the probes' clock says; certificates are verified by the system's, though."""


class Authority:
    """Signs for `localhost` and 127.0.0.1."""

    def __init__(self, directory: Path) -> None:
        self._ca = trustme.CA()
        self.ca_file = str(directory / "ca.pem")
        self._ca.cert_pem.write_to_path(self.ca_file)

    def server(self, ends_at: datetime | None = None, name: str = "localhost") -> ssl.SSLContext:
        """The context of a server whose certificate ends then."""
        return _server(self._ca, ends_at, name)

    def pem(self, directory: Path) -> Path:
        """Certificate, chain and key in one file."""
        path = directory / "server.pem"
        cert = self._ca.issue_cert("localhost", "127.0.0.1")
        path.write_bytes(cert.private_key_and_cert_chain_pem.bytes())
        return path


def stranger() -> ssl.SSLContext:
    """A server whose authority nobody knows."""
    return _server(trustme.CA(), None, "localhost")


def _server(ca: trustme.CA, ends_at: datetime | None, name: str) -> ssl.SSLContext:
    cert = ca.issue_cert(
        name, "127.0.0.1" if name == "localhost" else name,
        not_before=datetime(2020, 1, 1, tzinfo=UTC),
        not_after=ends_at or datetime.now(UTC) + timedelta(days=90),
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert.configure_cert(context)
    return context
