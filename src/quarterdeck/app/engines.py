"""The engines of the sources that the settings name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quarterdeck.config import Settings, decode_options
from quarterdeck.core.errors import ConfigError
from quarterdeck.queues.adapters import engine_factory
from quarterdeck.queues.ports import Engine, SqlDatabase
from quarterdeck.state import open_database

OWN_SOURCE = "quarterdeck"
"""The source that shows our own background work among all other queues."""


class Toolbox:
    """What adapters may ask for while they are built."""

    def open_sql(self, url: str, name: str) -> SqlDatabase:
        """See `ports.Toolbox`."""
        return open_database(url, name)

    def build(self, kind: str, source: str, options: Mapping[str, Any]) -> Engine:
        """See `ports.Toolbox`."""
        factory = engine_factory(kind)
        given = {"name": source, "kind": kind, **options}
        return factory(source, decode_options(given, factory.Options, f"source {source}"), self)


def build_engines(settings: Settings, own_url: str) -> dict[str, Engine]:
    """An engine for each source, our own background work first; nothing is connected yet.

    Raises:
        ConfigError: naming the entry and what was expected.
    """
    toolbox = Toolbox()
    engines = {OWN_SOURCE: toolbox.build("sql", OWN_SOURCE, {"url": own_url})}
    for index, entry in enumerate(settings.queues.sources):
        name = entry.get("name")
        if not isinstance(name, str) or not name or name in engines:
            where = f"queues.sources[{index}].name"
            raise ConfigError(f"{where}: expected a name that no other source has.")
        engines[name] = _engine(settings, toolbox, entry, f"queues.sources[{index}]")
    return engines


def _engine(settings: Settings, toolbox: Toolbox, entry: dict[str, Any], where: str) -> Engine:
    try:
        factory = engine_factory(str(entry.get("kind")))
    except ConfigError as error:
        raise ConfigError(f"{where}.kind: {error.message}") from None
    origin = Path(settings.origin) if settings.origin else None
    return factory(entry["name"], decode_options(entry, factory.Options, where, origin), toolbox)
