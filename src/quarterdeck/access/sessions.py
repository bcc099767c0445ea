"""Sessions of browsers: a random value in a cookie stands for who signed in.

The cookie never holds the token. The database keeps an HMAC of the value only, so that neither a
copy of the database nor of the cookie's name lets anybody in. A session of a token is as good as
the token: it is looked up with every request, and ends when that is revoked or expires.
"""

import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, delete, insert, literal, select

from quarterdeck.access import tables
from quarterdeck.access.model import Principal, Role
from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import Unauthenticated
from quarterdeck.state import Database

LASTS = timedelta(hours=12)
"""A watch and a half: long enough for an incident, short enough for a laptop left in a train."""

_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")
_ENDED = "Your session has ended. Sign in again."

_BY_MAC = (
    select(
        tables.sessions,
        tables.tokens.c.id.label("token_id"),
        tables.tokens.c.revoked_at,
        tables.tokens.c.expires_at.label("token_expires_at"),
    )
    .select_from(
        tables.sessions.outerjoin(
            tables.tokens, tables.sessions.c.principal == literal("token:") + tables.tokens.c.id
        )
    )
    .where(tables.sessions.c.mac == bindparam("mac"))
)


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that was just opened. `value` is the cookie's, and is never to be had again."""

    value: str = field(repr=False)
    expires_at: datetime


class SessionStore:
    """Opens, reads and ends sessions. `key` is the HMAC key.

    Every method raises `SourceUnavailable` when the database cannot be had.
    """

    def __init__(self, database: Database, key: bytes, clock: Clock = utc_now) -> None:
        self._database = database
        self._key = key
        self._clock = clock

    async def open(self, principal: Principal) -> NewSession:
        """Open a session for who has just shown that they are this principal.

        It lasts 12 hours, and never longer than what it was opened with.
        """
        now = self._clock()
        value = secrets.token_urlsafe(32)
        ends = [now + LASTS, principal.valid_until or now + LASTS]
        row = {
            "mac": self._mac(value),
            "principal": principal.id,
            "name": principal.name,
            "role": principal.role.value,
            "kind": principal.kind,
            "created_at": now,
            "expires_at": min(ends),
        }
        old = delete(tables.sessions).where(tables.sessions.c.expires_at <= now)
        await self._database.write(
            lambda c: (c.execute(old), c.execute(insert(tables.sessions), row))
        )
        return NewSession(value, min(ends))

    async def authenticate(self, value: str) -> Principal:
        """Say whose session this is.

        Raises:
            Unauthenticated: there is none, it has expired, or its token was revoked or has expired.
        """
        if not _VALUE.fullmatch(value):
            raise Unauthenticated(_ENDED)
        mac = self._mac(value)
        row = await self._database.read(lambda c: c.execute(_BY_MAC, {"mac": mac}).one_or_none())
        now = self._clock()
        if row is None or now >= row.expires_at or not _is_basis_good(row, now):
            raise Unauthenticated(_ENDED)
        return Principal(row.principal, row.name, Role(row.role), row.kind, row.expires_at)

    async def end(self, value: str) -> None:
        """End the session. Safe to repeat."""
        change = delete(tables.sessions).where(tables.sessions.c.mac == self._mac(value))
        await self._database.write(lambda c: c.execute(change).rowcount)

    def _mac(self, value: str) -> bytes:
        # The prefix keeps these apart from the MACs of tokens, which have the same key.
        return hmac.digest(self._key, b"session:" + value.encode(), "sha256")


def _is_basis_good(row: Row[Any], now: datetime) -> bool:
    if row.kind != "token":
        return True
    if row.token_id is None or row.revoked_at is not None:
        return False
    return row.token_expires_at is None or now < row.token_expires_at
