"""What the listener is told, and what it tells."""

import ssl
from dataclasses import dataclass
from datetime import timedelta

from quarterdeck.core.errors import ConfigError

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what `:port` asks for


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogOptions:
    """Addresses are `host:port`, `:port` (all of IPv4) or `[v6]:port`; empty: not by this way."""

    udp: str = ""
    tcp: str = ""
    tls: str = ""
    certificate: str = ""
    """PEM file of the certificate for TLS and its chain."""
    key: str = ""
    """PEM file of its key; empty: it is in the same file."""
    retention: timedelta = timedelta(days=90)
    idle_s: float = 3600
    """A connection that says nothing for so long is closed."""
    max_connections: int = 200
    queue_bytes: int = 8 * 1024 * 1024
    """Datagrams that wait to be delivered; further ones are dropped and counted."""
    grace_s: float = 5
    """How long lines that were received may take to be delivered when the listener stops."""


@dataclass(slots=True)
class SyslogStats:
    """Since the start, but for `connections` and `waiting_bytes`, which are now."""

    received: int = 0
    """Frames."""
    delivered: int = 0
    rejected: int = 0
    """Older than the retention."""
    cut: int = 0
    dropped: int = 0
    """Datagrams for which there was no room, in our queue or in the system's."""
    lost: int = 0
    """Lines that could not be delivered before the listener had to stop."""
    refused: int = 0
    """Connections beyond the limit."""
    connections: int = 0
    waiting_bytes: int = 0


def split_address(name: str, address: str) -> tuple[str, int]:
    """Host and port of `host:port`.

    Raises:
        ConfigError: it is none.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"logs.syslog_{name}: expected host:port, not '{address}'")
    return host.strip("[]") or EVERYWHERE, int(port)


def tls_context(options: SyslogOptions) -> ssl.SSLContext:
    """What a server needs to speak TLS.

    Raises:
        ConfigError: there is no certificate, or it cannot be used.
    """
    if not options.certificate:
        raise ConfigError("logs.syslog_tls_cert: TLS needs a certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(options.certificate, options.key or None)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(f"logs.syslog_tls_cert: cannot be used: {error}") from error
    return context
