"""Which store of facts the settings ask for."""

from pathlib import Path

from quarterdeck import config
from quarterdeck.facts.ports import Facts


def open_facts(settings: config.Facts, data_dir: Path) -> Facts:
    """Open ClickHouse: the server at `settings.url`, or in this process below `data_dir`.

    A server is not contacted yet. The embedded engine is loaded and opened: one or two seconds.

    Raises:
        ConfigError: a driver's extra is not installed, the URL is none, or another process has
            the embedded engine's directory.
    """
    if settings.url:
        from quarterdeck.facts.server import ServerFacts  # noqa: PLC0415 - one driver each

        return ServerFacts(settings.url)
    from quarterdeck.facts.embedded import EmbeddedFacts, EmbeddedOptions  # noqa: PLC0415

    options = EmbeddedOptions(settings.memory_mb, settings.searches)
    return EmbeddedFacts(data_dir / "facts", options)
