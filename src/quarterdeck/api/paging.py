"""Pages of lists, alike everywhere."""

from typing import Any

from msgspec import Struct

from quarterdeck.core.pagination import Page, TotalKind


class Pagination(Struct, frozen=True):
    """Which slice this is. `total_kind` is `capped` when counting stopped early."""

    total: int
    limit: int
    offset: int
    total_kind: TotalKind


def pagination(page: Page[Any], limit: int, offset: int) -> Pagination:
    """Which slice a page is."""
    return Pagination(page.total, limit, offset, page.total_kind)
