"""Saved searches: a name for a filter, for everybody who may read the logs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import Conflict, InvalidRequest, NotFound
from quarterdeck.core.ids import mint
from quarterdeck.core.pagination import Page
from quarterdeck.core.text import is_storable
from quarterdeck.logs.conditions import where
from quarterdeck.logs.kept_filter import from_data, to_data
from quarterdeck.logs.model import Filter
from quarterdeck.logs.tables import saved_searches
from quarterdeck.state import Database

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

MAX_NAME = 100
MOST = 1000
"""Nobody finds anything in a longer list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedSearch:
    """A filter under a name that no other one has."""

    id: str
    name: str
    filter: Filter
    created_by: str
    created_at: datetime
    updated_at: datetime


class SavedSearches:
    """Keeps them. They are shared: an incident is searched by many."""

    def __init__(self, database: Database, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    async def create(self, name: str, wanted: Filter, principal: str) -> SavedSearch:
        """Save a filter.

        Raises:
            InvalidRequest: the name or the query is not valid.
            Conflict: the name is taken, or there are enough of them.
        """
        name = _checked(name)
        where(wanted)
        now = self._clock()
        values = {
            "id": mint("search"),
            "name": name,
            "filter": to_data(wanted),
            "created_by": principal,
            "created_at": now,
            "updated_at": now,
        }
        try:
            row = await self._database.write(lambda c: _insert(c, values))
        except IntegrityError:
            raise Conflict(
                f"There is a saved search '{name}' already. Take another name, or delete it first."
            ) from None
        if row is None:
            raise Conflict(f"There are {MOST} saved searches already; delete one first.")
        return _saved(row)

    async def list_searches(self, limit: int, offset: int) -> Page[SavedSearch]:
        """One page, by name."""
        # Both databases compare code points then; PostgreSQL's own order depends on its locale.
        query = select(saved_searches).order_by(saved_searches.c.name.collate(self._by_code_point))
        count = select(func.count()).select_from(saved_searches)

        def read(connection: Connection) -> Page[SavedSearch]:
            rows = connection.execute(query.limit(limit).offset(offset))
            return Page([_saved(row) for row in rows], connection.execute(count).scalar_one())

        return await self._database.read(read)

    async def get(self, search_id: str) -> SavedSearch:
        """One of them.

        Raises:
            NotFound: there is none of this id.
        """
        query = select(saved_searches).where(saved_searches.c.id == search_id)
        row = None
        if is_storable(search_id):
            row = await self._database.read(lambda c: c.execute(query).one_or_none())
        if row is None:
            raise _unknown()
        return _saved(row)

    async def get_named(self, name: str) -> SavedSearch:
        """The one of this name.

        Raises:
            NotFound: there is none.
        """
        query = select(saved_searches).where(saved_searches.c.name == name)
        row = await self._database.read(lambda c: c.execute(query).one_or_none())
        if row is None:
            raise NotFound(f"There is no saved search named '{name}'.")
        return _saved(row)

    async def delete(self, search_id: str) -> None:
        """Remove one.

        Raises:
            NotFound: there is none of this id.
        """
        change = delete(saved_searches).where(saved_searches.c.id == search_id)
        if not is_storable(search_id) or not await self._database.write(
            lambda c: c.execute(change).rowcount
        ):
            raise _unknown()

    @property
    def _by_code_point(self) -> str:
        return "C" if self._database.dialect == "postgresql" else "BINARY"


def _insert(connection: Connection, values: Mapping[str, Any]) -> Row[*tuple[Any, ...]] | None:
    count = select(func.count()).select_from(saved_searches)
    if connection.execute(count).scalar_one() >= MOST:
        return None
    return connection.execute(insert(saved_searches).returning(saved_searches), values).one()


def _checked(name: str) -> str:
    name = name.strip()
    if not name or len(name) > MAX_NAME:
        raise InvalidRequest.of("name", f"give a name of 1 to {MAX_NAME} characters.", "body")
    if _UNSAFE.search(name):
        raise InvalidRequest.of("name", "give a name without control characters.", "body")
    return name


def _unknown() -> NotFound:
    return NotFound("There is no such saved search; GET /logs/searches lists them all.")


def _saved(row: Row[*tuple[Any, ...]]) -> SavedSearch:
    return SavedSearch(
        id=row.id,
        name=row.name,
        filter=from_data(row.filter),
        created_by=row.created_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
