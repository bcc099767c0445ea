"""A filter as JSON data, for rows that keep one. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

from quarterdeck.logs.model import Filter


def to_data(wanted: Filter) -> dict[str, Any]:
    """What is set, by field name; times in ISO 8601."""
    data: dict[str, Any] = msgspec.to_builtins(wanted)
    return {name: value for name, value in data.items() if value is not None}


def from_data(data: Mapping[str, Any]) -> Filter:
    """Undo `to_data`."""
    return msgspec.convert(data, Filter)
