"""Where one RabbitMQ is, by the settings of its source."""

import base64
import ssl
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from quarterdeck.core.errors import ConfigError
from quarterdeck.net.tls import client_context
from quarterdeck.queues.adapters.celery.options import Options

_MANAGEMENT = {"amqp": ("http", 15672), "amqps": ("https", 15671)}


@dataclass(frozen=True, slots=True)
class Place:
    """Both of its doors."""

    amqp_url: str = field(repr=False)
    management_url: str
    """Without user and without a slash at its end."""
    authorization: str = field(repr=False)
    """Of the management's user, as HTTP has it."""
    vhost: str
    context: ssl.SSLContext
    """For TLS, at either door."""

    @property
    def vhost_in_path(self) -> str:
        """As a segment of a path."""
        return quote(self.vhost, safe="")


def place_of(options: Options, where: str) -> Place:
    """The doors that the settings name; the management's is beside the broker's by default.

    Raises:
        ConfigError: a URL is none, or `result_url` is missing.
    """
    if not options.result_url:
        raise ConfigError(
            f"{where}.result_url: missing. RabbitMQ keeps no finished tasks: set the Redis of your "
            "`result_backend`, or any Redis that may hold what the events of workers tell."
        )
    try:
        broker, management = urlsplit(options.url), urlsplit(options.management_url)
        scheme, port = _MANAGEMENT[broker.scheme]
        host = f"[{broker.hostname}]" if ":" in (broker.hostname or "") else broker.hostname
        given = management if options.management_url else urlsplit(f"{scheme}://{host}:{port}")
        # Reading a port checks it.
        is_right = bool(broker.hostname) and broker.port != 0 and given.port != 0
        is_right = is_right and given.scheme in {"http", "https"} and bool(given.hostname)
    except ValueError:
        is_right = False
    if not is_right:
        raise ConfigError(
            f"{where}: `url` must be amqp(s)://user:password@host:5672/vhost, and "
            "`management_url`, where it is set, http(s)://host:15672."
        )
    login = given if given.username else broker
    user, password = (unquote(each or "guest") for each in (login.username, login.password))
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return Place(
        amqp_url=options.url,
        management_url=f"{given.scheme}://{given.netloc.rpartition('@')[2]}{given.path}".rstrip(
            "/"
        ),
        authorization=f"Basic {pair}",
        vhost=unquote(broker.path.removeprefix("/")) or "/",
        context=client_context(ca_file=options.ca_file),
    )
