"""Rows as msgspec gives them."""

from functools import lru_cache
from typing import Any, TypeVar

from msgspec.json import Decoder

T = TypeVar("T")


def decode_rows(lines: bytes, row: type[T]) -> list[T]:
    """Decode JSONEachRow; moments come as aware datetimes, 64-bit integers as int.

    Raises:
        msgspec.ValidationError: the columns are not those of `row`.
    """
    key: Any = row
    rows: list[T] = _decoder(key).decode_lines(lines)
    return rows


@lru_cache(256)
def _decoder(row: Any) -> Decoder[Any]:
    return Decoder(row)
