"""Sessions on real databases: opened, read, ended; and never better than what opened them."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

import servers
from access_world import NOON, Watch
from quarterdeck.access.model import Principal, Role
from quarterdeck.access.sessions import LASTS, SessionStore
from quarterdeck.access.tokens import TokenStore
from quarterdeck.core.errors import SourceUnavailable, Unauthenticated
from quarterdeck.state import Database, open_database

KEY = b"k" * 32
BY_JWT = Principal("jwt:u-1", "ann", Role.VIEWER, "jwt", NOON + timedelta(minutes=10))


async def token_session(
    database: Database, watch: Watch, expires_in: timedelta | None = None
) -> tuple[TokenStore, Principal, SessionStore, str]:
    """A token, who it stands for, and a session that was opened with it."""
    tokens = TokenStore(database, KEY, watch)
    _, secret = await tokens.create("laptop", Role.OPS, expires_in)
    principal = await tokens.authenticate(secret)
    sessions = SessionStore(database, KEY, watch)
    opened = await sessions.open(principal)
    await tokens.close()
    return tokens, principal, sessions, opened.value


async def require_ended(sessions: SessionStore, value: str) -> None:
    with pytest.raises(Unauthenticated, match=r"^Your session has ended\. Sign in again\.$"):
        await sessions.authenticate(value)


async def test_session_says_who_opened_it(database: Database) -> None:
    _, principal, sessions, value = await token_session(database, Watch())
    found = await sessions.authenticate(value)
    assert found == principal
    assert found.valid_until == NOON + LASTS


async def test_each_session_has_a_value_of_its_own(database: Database) -> None:
    _, principal, sessions, first = await token_session(database, Watch())
    second = (await sessions.open(principal)).value
    await sessions.end(first)
    await require_ended(sessions, first)
    assert await sessions.authenticate(second) == principal


async def test_session_ends_by_the_clock(database: Database) -> None:
    watch = Watch()
    _, principal, sessions, value = await token_session(database, watch)
    watch.now = NOON + LASTS - timedelta(seconds=1)
    assert await sessions.authenticate(value) == principal
    watch.now = NOON + LASTS
    await require_ended(sessions, value)


@pytest.mark.parametrize("hours", [1, 100])
async def test_session_ends_no_later_than_its_token(database: Database, hours: int) -> None:
    watch = Watch()
    _, _, sessions, value = await token_session(database, watch, timedelta(hours=hours))
    ends = min(NOON + timedelta(hours=hours), NOON + LASTS)
    assert (await sessions.authenticate(value)).valid_until == ends
    watch.now = ends
    await require_ended(sessions, value)


async def test_revoked_token_ends_all_its_sessions(database: Database) -> None:
    tokens, principal, sessions, first = await token_session(database, Watch())
    second = (await sessions.open(principal)).value
    await tokens.revoke(principal.id.removeprefix("token:"))
    await require_ended(sessions, first)
    await require_ended(sessions, second)


async def test_session_of_a_jwt_ends_with_it_and_opens_none_that_lasts_longer(
    database: Database,
) -> None:
    watch = Watch()
    sessions = SessionStore(database, KEY, watch)
    first = await sessions.open(BY_JWT)
    assert first.expires_at == BY_JWT.valid_until
    watch.forward(minutes=9)
    second = await sessions.open(await sessions.authenticate(first.value))
    assert second.expires_at == BY_JWT.valid_until
    watch.forward(minutes=1)
    await require_ended(sessions, second.value)


async def test_sessions_are_shared_by_all_servers_with_the_key(
    database: Database, database_url: str
) -> None:
    _, principal, _, value = await token_session(database, Watch())
    beside = open_database(database_url, "state")
    try:
        assert await SessionStore(beside, KEY, Watch()).authenticate(value) == principal
        await require_ended(SessionStore(beside, b"o" * 32, Watch()), value)
    finally:
        await beside.close()


@pytest.mark.parametrize("value", ["", "x", "x" * 43, "é" * 43, "x" * 43 + "\n", "x" * 100_000])
async def test_what_is_no_session_is_refused(sqlite_database: Database, value: str) -> None:
    await require_ended(SessionStore(sqlite_database, KEY), value)


async def test_database_holds_no_value(sqlite_database: Database, tmp_path: Path) -> None:
    _, _, _, value = await token_session(sqlite_database, Watch())
    for file in tmp_path.iterdir():
        assert value.encode() not in file.read_bytes()


async def test_opening_sweeps_out_what_has_ended(database: Database) -> None:
    watch = Watch()
    _, principal, sessions, old = await token_session(database, watch)
    watch.now = NOON + LASTS
    await sessions.open(principal)
    watch.now = NOON  # the row is gone, not only too old
    await require_ended(sessions, old)


async def test_ends_at_once_for_who_uses_it_at_the_same_time(database: Database) -> None:
    _, _, sessions, value = await token_session(database, Watch())
    await asyncio.gather(*(sessions.end(value) for _ in range(5)))
    await require_ended(sessions, value)


async def test_lost_database_is_no_refusal() -> None:
    gone = open_database(f"postgresql://ops@127.0.0.1:{servers.free_port()}/ops", "state")
    sessions = SessionStore(gone, KEY)
    try:
        for call in (sessions.authenticate("x" * 43), sessions.open(BY_JWT), sessions.end("x")):
            with pytest.raises(SourceUnavailable):
                await call
    finally:
        await gone.close()
