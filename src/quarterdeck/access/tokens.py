"""Our own tokens: `qd_<role>_<id>_<secret><checksum>`.

`id` is 12 characters of lower-case base32, `secret` 43 of base62 (256 bits), `checksum` 6 of
base62: the CRC-32 of all that stands before it. None of these alphabets holds `_`, so there is
one way to split a token; the prefix and the checksum let secret scanners know one from noise, and
let us refuse a mistyped one without a look-up. The database keeps an HMAC only: a 256-bit random
secret needs no slow hash (bcrypt would cost 235 ms a request and add nothing).
"""

import asyncio
import hmac
import logging
import re
import secrets
import string
import unicodedata
import zlib
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from quarterdeck.access import tables
from quarterdeck.access.model import Principal, Role, Token
from quarterdeck.core.clock import Clock, iso_z, utc_now
from quarterdeck.core.errors import (
    ConfigError,
    InvalidRequest,
    NotFound,
    SourceUnavailable,
    Unauthenticated,
)
from quarterdeck.state import Database

log = logging.getLogger("quarterdeck.access")

PREFIX = "qd_"
TOUCH_EVERY = timedelta(minutes=1)
MIN_KEY_BYTES = 32
MAX_NAME = 100

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_BASE32 = string.ascii_lowercase + "234567"
_ID = re.compile(r"[a-z2-7]{12}")
_FORM = re.compile(
    rf"(?P<body>qd_(?P<role>{'|'.join(Role)})_(?P<id>{_ID.pattern})_[0-9A-Za-z]{{43}})"
    r"(?P<checksum>[0-9A-Za-z]{6})"
)
_NOBODY = secrets.token_bytes(32)
"""Stands in for the MAC of an unknown id: refusing one takes as long as refusing a wrong secret."""

_BY_ID = select(tables.tokens).where(tables.tokens.c.id == bindparam("token_id"))
_COLUMNS = [column for column in tables.tokens.c if column.name != "mac"]


@dataclass(frozen=True, slots=True)
class ParsedToken:
    """A token that is whole; nothing is known yet of its being ours."""

    id: str
    body: str = field(repr=False)
    """Everything the MAC covers: prefix, role, id and secret."""


def parse(presented: str) -> ParsedToken:
    """Split a token and check its checksum.

    Raises:
        Unauthenticated: it is not of the form, or was mistyped or cut.
    """
    match = _FORM.fullmatch(presented)
    if match is None or _checksum(match["body"]) != match["checksum"]:
        raise Unauthenticated(
            "The token is malformed. Copy it whole: it starts with 'qd_' and ends after its "
            "last letter or digit."
        )
    return ParsedToken(match["id"], match["body"])


class TokenStore:
    """Makes, checks, lists and revokes tokens. `key` is the HMAC key, at least 32 bytes."""

    def __init__(self, database: Database, key: bytes, clock: Clock = utc_now) -> None:
        if len(key) < MIN_KEY_BYTES:
            raise ConfigError(
                f"access.secret: expected at least {MIN_KEY_BYTES} bytes, got {len(key)}."
            )
        self._database = database
        self._key = key
        self._clock = clock
        self._touched_at: dict[str, datetime] = {}
        self._touches: set[asyncio.Task[None]] = set()

    async def create(
        self, name: str, role: Role, expires_in: timedelta | None
    ) -> tuple[Token, str]:
        """Make a token. The second value is its text, which is never to be had again.

        Raises:
            InvalidRequest: the name is not 1..100 characters without control characters, or
                `expires_in` is not positive or beyond the calendar.
        """
        now = self._clock()
        token = Token(
            id=_random(_BASE32, 12),
            name=_valid_name(name),
            role=Role(role),
            created_at=now,
            expires_at=_expiry(now, expires_in),
            revoked_at=None,
            last_used_at=None,
        )
        body = f"{PREFIX}{token.role}_{token.id}_{_random(_BASE62, 43)}"
        row = asdict(token) | {"mac": self._mac(body)}
        await self._database.write(lambda c: c.execute(insert(tables.tokens), row).rowcount)
        return token, body + _checksum(body)

    async def authenticate(self, presented: str) -> Principal:
        """Say whose token this is.

        Only who holds the secret learns that a token has expired or was revoked.

        Raises:
            Unauthenticated: malformed, unknown, expired or revoked.
            SourceUnavailable: the database cannot be had.
        """
        parsed = parse(presented)
        row = await self._database.read(
            lambda c: c.execute(_BY_ID, {"token_id": parsed.id}).one_or_none()
        )
        known = _NOBODY if row is None else row.mac
        matches = hmac.compare_digest(self._mac(parsed.body), known)
        if row is None or not matches:
            raise Unauthenticated("The token is unknown. Ask an administrator for a new one.")
        token = _token(row)
        now = self._clock()
        _require_valid(token, now)
        self._touch(token, now)
        return Principal(f"token:{token.id}", token.name, token.role, "token", token.expires_at)

    async def list_tokens(self) -> list[Token]:
        """Every token that was ever made, oldest first."""
        query = select(*_COLUMNS).order_by(tables.tokens.c.created_at, tables.tokens.c.id)
        rows = await self._database.read(lambda c: c.execute(query).all())
        return [_token(row) for row in rows]

    async def revoke(self, token_id: str) -> Token:
        """Refuse this token from now on. Safe to repeat: the first time stands.

        Raises:
            NotFound: no such token.
        """
        row = None
        if _ID.fullmatch(token_id):
            now = self._clock()
            row = await self._database.write(lambda c: _revoke(c, token_id, now))
        if row is None:
            raise NotFound(f"There is no token {token_id!r}. Look its id up in the list of tokens.")
        return _token(row)

    async def close(self) -> None:
        """Wait for pending notes of use; call it before the database is closed."""
        while self._touches:
            await asyncio.gather(*self._touches)

    def _mac(self, body: str) -> bytes:
        return hmac.digest(self._key, body.encode(), "sha256")

    def _touch(self, token: Token, now: datetime) -> None:
        """Note the use beside the request, which neither waits for it nor fails with it."""
        last = max(filter(None, (token.last_used_at, self._touched_at.get(token.id))), default=None)
        if last is not None and now - last < TOUCH_EVERY:
            return
        # Remembered before it is written: when the write fails, the next try is a minute away.
        self._touched_at[token.id] = now
        task = asyncio.create_task(self._write_use(token.id, now))
        self._touches.add(task)
        task.add_done_callback(self._touches.discard)

    async def _write_use(self, token_id: str, now: datetime) -> None:
        t = tables.tokens.c
        change = (
            update(tables.tokens)
            .where(t.id == token_id)
            .where(or_(t.last_used_at.is_(None), t.last_used_at <= now - TOUCH_EVERY))
            .values(last_used_at=now)
        )
        try:
            await self._database.write(lambda c: c.execute(change).rowcount)
        except (SourceUnavailable, SQLAlchemyError) as error:
            log.warning("The use of token %s was not noted: %s", token_id, error)


def _token(row: Row[Any]) -> Token:
    return Token(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )


def _require_valid(token: Token, now: datetime) -> None:
    if token.revoked_at is not None:
        raise Unauthenticated("This token was revoked. Ask an administrator for a new one.")
    if token.expires_at is not None and now >= token.expires_at:
        raise Unauthenticated(
            f"The token expired at {iso_z(token.expires_at)}. Ask an administrator for a new one."
        )


def _revoke(connection: Connection, token_id: str, now: datetime) -> Row[Any] | None:
    t = tables.tokens
    connection.execute(
        update(t).where(t.c.id == token_id, t.c.revoked_at.is_(None)).values(revoked_at=now)
    )
    return connection.execute(select(*_COLUMNS).where(t.c.id == token_id)).one_or_none()


def _valid_name(name: str) -> str:
    name = name.strip()
    # Cc control, Cs half a surrogate pair, Zl and Zp line breaks: they garble lists and logs.
    if any(unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"} for letter in name):
        raise InvalidRequest.of("name", "must not hold control characters or line breaks", "body")
    if not 1 <= len(name) <= MAX_NAME:
        raise InvalidRequest.of("name", f"must have 1 to {MAX_NAME} characters", "body")
    return name


def _expiry(now: datetime, expires_in: timedelta | None) -> datetime | None:
    if expires_in is None:
        return None
    if expires_in <= timedelta(0):
        raise InvalidRequest.of("expires_in", "must be longer than zero", "body")
    try:
        return now + expires_in
    except OverflowError:
        raise InvalidRequest.of("expires_in", "lies beyond the year 9999", "body") from None


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def _checksum(body: str) -> str:
    value, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        value, digit = divmod(value, 62)
        digits = _BASE62[digit] + digits
    return digits
