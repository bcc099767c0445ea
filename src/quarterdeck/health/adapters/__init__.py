"""The registry: kind -> module:class. A new probe is one file beside this and one line here."""

from importlib import import_module

from quarterdeck.core.errors import ConfigError
from quarterdeck.health.ports import ProbeFactory

PROBES = {
    "http": "quarterdeck.health.adapters.http:HttpProbe",
    "tcp": "quarterdeck.health.adapters.tcp:TcpProbe",
    "smtp": "quarterdeck.health.adapters.smtp:SmtpProbe",
    "dns": "quarterdeck.health.adapters.dns:DnsProbe",
    "postgres": "quarterdeck.health.adapters.postgres:PostgresProbe",
    "mysql": "quarterdeck.health.adapters.mysql:MysqlProbe",
    "redis": "quarterdeck.health.adapters.redis:RedisProbe",
    "rabbitmq": "quarterdeck.health.adapters.rabbitmq:RabbitmqProbe",
    "clickhouse": "quarterdeck.health.adapters.clickhouse:ClickhouseProbe",
    "elasticsearch": "quarterdeck.health.adapters.elasticsearch:ElasticsearchProbe",
    "prometheus": "quarterdeck.health.adapters.prometheus:PrometheusProbe",
    "heartbeat": "quarterdeck.health.adapters.heartbeat:HeartbeatProbe",
    "queue": "quarterdeck.health.adapters.queue:QueueProbe",
}

EXTRAS = {
    "postgres": "postgres",
    "mysql": "mysql",
    "redis": "redis",
    "rabbitmq": "rabbitmq",
}
"""The extra of the package that holds a probe's driver, where it needs one."""


def probe_factory(kind: str) -> ProbeFactory:
    """The class that builds probes of this kind.

    Raises:
        ConfigError: no such kind, or its driver is not installed.
    """
    if kind not in PROBES:
        raise ConfigError(f"there is no probe kind '{kind}'; known are {', '.join(PROBES)}")
    module, _, name = PROBES[kind].partition(":")
    try:
        factory: ProbeFactory = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if kind not in EXTRAS or (error.name or "").startswith("quarterdeck"):
            raise
        raise ConfigError(
            f"the probe kind '{kind}' needs a driver; run: "
            f"pip install 'quarterdeck[{EXTRAS[kind]}]'"
        ) from error
    return factory
