"""Idempotency-Key: a request that is sent twice is carried out once.

A claim is bound to the asyncio task (its context) that made it: only there do `store` and
`release` act for it. So a request that was so slow that its claim was taken over cannot overwrite
what its successor stored, though both speak of the same principal and key.
"""

import logging
import re
import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from quarterdeck.access.tables import idempotency_keys as table
from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import InFlight, InvalidRequest, KeyReused
from quarterdeck.state import Database

log = logging.getLogger("quarterdeck.access")

KEPT_FOR = timedelta(hours=24)
DEAD_AFTER = timedelta(seconds=60)
"""A claim without an answer for so long belongs to a server that died; the next may have it."""

_KEY = re.compile(r"[\x21-\x7e]{1,255}")

_claims: ContextVar[Mapping[tuple[str, str], str]] = ContextVar(
    "idempotency_claims", default=MappingProxyType({})
)
"""The claims that this context holds: (principal, key) -> claim."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer to be replayed byte for byte."""

    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)


class IdempotencyKeys:
    """Claims keys, keeps answers."""

    def __init__(self, database: Database, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    async def claim(self, principal: str, key: str, fingerprint: bytes) -> StoredAnswer | None:
        """Claim the key. None: it is yours, go on; then `store` or `release` in this same task.

        Of several at once exactly one gets None. `fingerprint` covers method, path and body.

        Raises:
            InvalidRequest: the key is not 1..255 visible ASCII characters.
            KeyReused: the key belongs to another request of this principal.
            InFlight: the same request is being carried out right now.
        """
        if not _KEY.fullmatch(key):
            raise InvalidRequest.of(
                "Idempotency-Key", "must be 1 to 255 visible ASCII characters", "header"
            )
        now = self._clock()
        claim = secrets.token_hex(16)
        values = {
            "principal": principal,
            "key": key,
            "fingerprint": fingerprint,
            "claim": claim,
            "claimed_at": now,
        }
        row = await self._database.write(lambda c: _claim(c, values, now))
        if row is None:
            _claims.set({**_claims.get(), (principal, key): claim})
            return None
        if row.fingerprint != fingerprint:
            raise KeyReused(
                "This Idempotency-Key was used for another request. Use a new key for a new one."
            )
        if row.status is None:
            raise InFlight(
                "A request with this Idempotency-Key is being carried out. "
                "Wait a moment and send it again to get its answer."
            )
        return StoredAnswer(row.status, row.headers, row.body)

    async def store(self, principal: str, key: str, answer: StoredAnswer) -> None:
        """Keep the answer for 24 h from the claim; nothing happens if the claim was taken over."""
        change = update(table).where(*_held(principal, key)).values(
            status=answer.status, headers=answer.headers, body=answer.body
        )  # fmt: skip
        if not await self._database.write(lambda c: c.execute(change).rowcount):
            log.warning("An answer came after its Idempotency-Key was claimed by another request.")
        _forget(principal, key)

    async def release(self, principal: str, key: str) -> None:
        """Give the claim back: nothing was done, the next may try."""
        change = delete(table).where(*_held(principal, key))
        await self._database.write(lambda c: c.execute(change).rowcount)
        _forget(principal, key)

    async def remove_expired(self) -> int:
        """Remove what is older than 24 h; gives how many. To be called now and then."""
        change = delete(table).where(table.c.claimed_at <= self._clock() - KEPT_FOR)
        return await self._database.write(lambda c: c.execute(change).rowcount)


def _held(principal: str, key: str) -> tuple[Any, ...]:
    claim = _claims.get().get((principal, key), "")
    return (
        table.c.principal == principal,
        table.c.key == key,
        table.c.claim == claim,
        table.c.status.is_(None),
    )


def _forget(principal: str, key: str) -> None:
    _claims.set({k: v for k, v in _claims.get().items() if k != (principal, key)})


def _claim(connection: Connection, values: Mapping[str, Any], now: datetime) -> Row[Any] | None:
    """Insert the claim, or take over an expired or dead one; else give the row that stands.

    One statement: the primary key decides between two at once, and the loser's row is locked, so
    that it is still there when it is read.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    dead = and_(
        table.c.status.is_(None),
        table.c.claimed_at <= now - DEAD_AFTER,
        table.c.fingerprint == values["fingerprint"],
    )
    attempt = (
        dialect.insert(table)
        .values(**values)
        .on_conflict_do_update(
            index_elements=[table.c.principal, table.c.key],
            set_={**values, "status": None, "headers": None, "body": None},
            where=or_(table.c.claimed_at <= now - KEPT_FOR, dead),
        )
        .returning(table.c.claim)
    )
    if connection.execute(attempt).one_or_none() is not None:
        return None
    query = select(table).where(
        table.c.principal == values["principal"], table.c.key == values["key"]
    )
    return connection.execute(query).one()
