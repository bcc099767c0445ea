"""URLs of probes' targets: taken apart, and shown without what may be secret."""

import base64
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from quarterdeck.core.errors import ConfigError

_LONG = re.compile(r"(?=[^/]*[0-9])[^/]{16,}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service is, and as whom one comes."""

    scheme: str
    host: str
    port: int
    path: str
    user: str | None
    password: str | None

    def __repr__(self) -> str:
        return f"Place({self.shown!r})"

    @property
    def origin(self) -> str:
        """`scheme://host:port`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def basic_authorization(self) -> dict[str, str]:
        """HTTP's header for user and password; empty without."""
        return basic(self.user, self.password or "") if self.user is not None else {}

    @property
    def shown(self) -> str:
        """For people: no user, no query; long path segments with digits may be tokens."""
        return self.origin + _LONG.sub("…", self.path)


def place_of(url: str, ports: dict[str, int], key: str = "url") -> Place:
    """Take a URL apart. `ports` are the schemes that are right, with their default ports.

    Raises:
        ConfigError: it is none of these; the text does not repeat it.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = SplitResult("", "", "", "", ""), None
    if parts.scheme not in ports or not parts.hostname:
        schemes = " or ".join(f"{scheme}://" for scheme in ports)
        raise ConfigError(f"{key}: expected an address that begins with {schemes} and has a host.")
    return Place(
        parts.scheme,
        parts.hostname,
        port or ports[parts.scheme],
        parts.path,
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
    )


def basic(user: str, password: str) -> dict[str, str]:
    """HTTP's header for this user and password."""
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def shown_address(host: str, port: int) -> str:
    """`host:port` for people."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
