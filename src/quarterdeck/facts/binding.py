"""Parameters as ClickHouse reads them: text after TSV's rules, arrays as SQL literals.

The embedded engine wants them so; the server's driver writes the same of strings and lists, but
cuts moments to seconds and knows no bool.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.facts.ports import Param

_TSV = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n"})
_SQL = str.maketrans({"\\": "\\\\", "'": "\\'"})
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1


def encode_params(params: Mapping[str, Param]) -> dict[str, str]:
    """The text of every parameter.

    Declare strings as `String`, numbers as `Int64`, `UInt64` or `Float64` (narrower integers wrap
    without an error), moments as `DateTime64(6, 'UTC')`, what may be None as `Nullable(...)`.

    Raises:
        InvalidRequest: text with a lone surrogate, or a number beyond 64 bits.
        ValueError: a moment without a time zone.
    """
    return {name: _encoded(name, value) for name, value in params.items()}


def driver_params(params: Mapping[str, Param]) -> dict[str, str | int | float | list[Any] | None]:
    """The values as clickhouse-connect binds them right. Raises what `encode_params` does."""
    plain: dict[str, str | int | float | list[Any] | None] = {}
    for name, value in params.items():
        text = _encoded(name, value)
        if isinstance(value, datetime | bool):
            plain[name] = text
        elif value is None or isinstance(value, str | int | float):
            plain[name] = value
        else:
            plain[name] = list(value)
    return plain


def _encoded(name: str, value: Param) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, str):
        return _checked(name, value).translate(_TSV)
    if isinstance(value, int):
        return _integer(name, value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, datetime):
        return _moment(value)
    return _array(name, value)


def _array(name: str, values: Sequence[str] | Sequence[int]) -> str:
    items = [
        f"'{_checked(name, value).translate(_SQL)}'"
        if isinstance(value, str)
        else _integer(name, value)
        for value in values
    ]
    return f"[{','.join(items)}]"


def _integer(name: str, value: int) -> str:
    if not _SMALLEST <= value <= _LARGEST:
        raise InvalidRequest.of(name, "the number is too large.")
    return str(int(value))  # int: a bool is 1 or 0


def _checked(name: str, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest.of(name, "half a character (a lone surrogate) is not text.") from None
    return text


def _moment(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError("a moment needs its time zone")
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")
