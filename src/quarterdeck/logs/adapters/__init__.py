"""The registry: kind -> module:class. A new protocol is one file beside this and one line here."""

from importlib import import_module

from quarterdeck.core.errors import ConfigError
from quarterdeck.logs.ports import DialectFactory

DIALECTS = {
    "ndjson": "quarterdeck.logs.adapters.ndjson:NdjsonDialect",
    "otlp": "quarterdeck.logs.adapters.otlp:OtlpDialect",
    "loki": "quarterdeck.logs.adapters.loki:LokiDialect",
    "elasticsearch": "quarterdeck.logs.adapters.elasticsearch:ElasticsearchDialect",
}
"""Protocols that send bodies over HTTP."""

LISTENERS = {"syslog": "quarterdeck.logs.adapters.syslog:SyslogListener"}
"""Protocols that want sockets of their own."""


def dialect_factory(kind: str) -> DialectFactory:
    """The class that reads this protocol.

    Raises:
        ConfigError: no such kind.
    """
    if kind not in DIALECTS:
        raise ConfigError(f"there is no log protocol '{kind}'; known are {', '.join(DIALECTS)}")
    module, _, name = DIALECTS[kind].partition(":")
    factory: DialectFactory = getattr(import_module(module), name)
    return factory
