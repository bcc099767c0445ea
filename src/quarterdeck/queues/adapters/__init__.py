"""The registry: kind -> module:class. A new engine is one file beside this and one line here."""

from importlib import import_module

from quarterdeck.core.errors import ConfigError
from quarterdeck.queues.ports import EngineFactory

ENGINES = {
    "sql": "quarterdeck.queues.adapters.sql:SqlEngine",
    "hybrid": "quarterdeck.queues.adapters.hybrid:HybridEngine",
    "procrastinate": "quarterdeck.queues.adapters.procrastinate:ProcrastinateEngine",
    "bullmq": "quarterdeck.queues.adapters.bullmq:BullmqEngine",
    "bullmq-postgres": "quarterdeck.queues.adapters.bullmq_postgres:BullmqPostgresEngine",
    "rq": "quarterdeck.queues.adapters.rq:RqEngine",
    "sidekiq": "quarterdeck.queues.adapters.sidekiq:SidekiqEngine",
    "celery": "quarterdeck.queues.adapters.celery:CeleryEngine",
}

EXTRAS = {
    "hybrid": "redis",
    "procrastinate": "procrastinate",
    "bullmq": "bullmq",
    "bullmq-postgres": "bullmq-postgres",
    "rq": "rq",
    "sidekiq": "sidekiq",
    "celery": "celery",
}
"""The extra of the package that holds an engine's driver, where it needs one."""


def engine_factory(kind: str) -> EngineFactory:
    """The class that builds engines of this kind.

    Raises:
        ConfigError: no such kind, or its driver is not installed.
    """
    if kind not in ENGINES:
        raise ConfigError(f"there is no engine kind '{kind}'; known are {', '.join(ENGINES)}")
    module, _, name = ENGINES[kind].partition(":")
    try:
        factory: EngineFactory = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if kind not in EXTRAS or (error.name or "").startswith("quarterdeck"):
            raise
        raise ConfigError(
            f"the engine kind '{kind}' needs a driver; run: "
            f"pip install 'quarterdeck[{EXTRAS[kind]}]'"
        ) from error
    return factory
