"""Pages: the slice that was asked for, and how sure we are of the total."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

Item_co = TypeVar("Item_co", covariant=True)

DEFAULT_LIMIT = 50
MAX_LIMIT = 100


class TotalKind(StrEnum):
    """How a total was come by."""

    EXACT = "exact"
    CAPPED = "capped"
    """Counting stopped at a limit: the true total is at least this."""


@dataclass(frozen=True, slots=True)
class Page(Generic[Item_co]):
    """`items` from `offset` on, of `total` in all."""

    items: Sequence[Item_co]
    total: int
    total_kind: TotalKind = TotalKind.EXACT
