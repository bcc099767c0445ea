"""What stands for a store of facts where none is wanted: when settings are only looked at."""

from collections.abc import AsyncGenerator, Mapping
from importlib.util import find_spec
from typing import NoReturn, TypeVar

from quarterdeck import config
from quarterdeck.core.errors import ConfigError, SourceUnavailable
from quarterdeck.facts.ports import NO_PARAMS, USUAL, Insert, Limits, Param

T = TypeVar("T")

DRIVERS = {"clickhouse_connect": "clickhouse", "chdb": "embedded"}
"""Module -> the extra that brings it."""


class UnopenedFacts:
    """Answers everything with `SourceUnavailable`.

    Raises:
        ConfigError: opening would fail, because the driver is not installed.
    """

    def __init__(self, settings: config.Facts) -> None:
        module = "clickhouse_connect" if settings.url else "chdb"
        if find_spec(module) is None:
            raise ConfigError(
                "The store of facts needs a driver. "
                f"Run: pip install 'quarterdeck[{DRIVERS[module]}]'"
            )

    async def fetch(
        self,
        sql: str,
        row: type[T],
        params: Mapping[str, Param] = NO_PARAMS,
        limits: Limits = USUAL,
    ) -> list[T]:
        """See `Facts.fetch`."""
        _refuse()

    async def stream(
        self,
        sql: str,
        form: str,
        params: Mapping[str, Param] = NO_PARAMS,
        limits: Limits = USUAL,
    ) -> AsyncGenerator[bytes]:
        """See `Facts.stream`."""
        _refuse()
        yield b""

    async def execute(self, sql: str, params: Mapping[str, Param] = NO_PARAMS) -> None:
        """See `Facts.execute`."""
        _refuse()

    async def insert(self, insert: Insert) -> None:
        """See `Facts.insert`."""
        _refuse()

    async def close(self) -> None:
        """See `Facts.close`."""


def _refuse() -> NoReturn:
    raise SourceUnavailable("facts", "The store of facts is not open.")
