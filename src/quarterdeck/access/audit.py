"""Who did what, on what, from where, with which outcome. Rows are added, never changed back."""

import logging
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, insert, select, update

from quarterdeck.access.tables import audit
from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.pagination import Page, TotalKind
from quarterdeck.state import Database

log = logging.getLogger("quarterdeck.access")

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line breaks, text direction overrides, halves of surrogate pairs."""

STARTED = "started"
MAX_TEXT = 2000
COUNTED = 10_000
"""The total is exact up to here; counting millions of rows for each page would cost seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAuditEntry:
    """What is known before the deed. Texts come from outside: they are cleaned and cut."""

    principal: str
    role: str
    action: str
    """Such as `queue.pause`."""
    resource: str
    request_id: str
    ip_address: str | None = None
    user_agent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry(NewAuditEntry):
    """One row. `started` as outcome: under way, or the server died before the end was known."""

    id: int
    at: datetime
    outcome: str
    """started | ok | denied | failed"""
    status: int | None
    """The HTTP status of the answer; None while it is not known."""
    detail: Mapping[str, Any] | None


class AuditTrail:
    """Writes the trail and reads it back."""

    def __init__(self, database: Database, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    async def begin(self, entry: NewAuditEntry) -> int:
        """Write down that something is about to be done; durable on return.

        Raises:
            SourceUnavailable: it could not be written; what cannot be recorded must not be done.
        """
        return await self._add(entry, outcome=STARTED)

    async def finish(
        self, audit_id: int, outcome: str, status: int, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Write down how it ended: `ok`, `denied` or `failed`. Only the first end counts."""
        change = (
            update(audit)
            .where(audit.c.id == audit_id, audit.c.outcome == STARTED)
            .values(outcome=outcome, status=status, detail=_clean(detail))
        )
        if not await self._database.write(lambda c: c.execute(change).rowcount):
            log.warning("Audit row %d has an end already; '%s' is not noted.", audit_id, outcome)

    async def record(
        self,
        entry: NewAuditEntry,
        outcome: str,
        status: int,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """`begin` and `finish` in one write, for what is over already."""
        await self._add(entry, outcome=outcome, status=status, detail=_clean(detail))

    async def list_entries(
        self, limit: int, offset: int, *, principal: str | None = None, action: str | None = None
    ) -> Page[AuditEntry]:
        """One page, newest first; the total is exact up to 10,000."""
        query = select(audit)
        if principal is not None:
            query = query.where(audit.c.principal == _clean(principal))
        if action is not None:
            query = query.where(audit.c.action == _clean(action))
        return await self._database.read(lambda c: _page(c, query, limit, offset))

    async def _add(self, entry: NewAuditEntry, **end: Any) -> int:
        values = {name: _clean(value) for name, value in asdict(entry).items()}
        change = insert(audit).values(**values, **end, at=self._clock()).returning(audit.c.id)
        return await self._database.write(lambda c: c.execute(change).scalar_one())


def _page(connection: Connection, query: Select[Any], limit: int, offset: int) -> Page[AuditEntry]:
    some = query.with_only_columns(audit.c.id).limit(COUNTED + 1).subquery()
    total = connection.execute(select(func.count()).select_from(some)).scalar_one()
    rows = connection.execute(query.order_by(audit.c.id.desc()).limit(limit).offset(offset)).all()
    entries = [AuditEntry(**row._mapping) for row in rows]
    if total <= COUNTED:
        return Page(entries, total)
    return Page(entries, max(COUNTED, offset + len(entries)), TotalKind.CAPPED)


def _clean(value: Any) -> Any:
    """Text without what a database or a terminal chokes on, cut to length; also inside `detail`."""
    if isinstance(value, str):
        text = value if len(value) <= MAX_TEXT else value[: MAX_TEXT - 1] + "…"
        return _UNSAFE.sub("\ufffd", text)
    if isinstance(value, Mapping):
        return {_clean(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value
