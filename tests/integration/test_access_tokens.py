"""Tokens on real databases: made, checked, expired, revoked, noted; and what leaks (nothing)."""

import asyncio
import hmac
import logging
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access_world import Watch
from quarterdeck.access import tokens
from quarterdeck.access.model import Principal, Role
from quarterdeck.access.service import Authenticator
from quarterdeck.access.tokens import TokenStore
from quarterdeck.core.errors import (
    ConfigError,
    InvalidRequest,
    NotFound,
    SourceUnavailable,
    Unauthenticated,
)
from quarterdeck.state import Database, open_database

KEY = b"k" * 32
OTHER_KEY = b"o" * 32


def resealed(body: str) -> str:
    """The body with the checksum that belongs to it, as a forger would make it."""
    return body + tokens._checksum(body)


async def refusal(store: TokenStore, presented: str) -> str:
    with pytest.raises(Unauthenticated) as refused:
        await store.authenticate(presented)
    return refused.value.message


@pytest.mark.parametrize("role", list(Role))
async def test_created_token_says_who_it_is(database: Database, role: Role) -> None:
    store = TokenStore(database, KEY)
    token, secret = await store.create("laptop", role, timedelta(days=90))
    assert secret.startswith(f"qd_{role}_{token.id}_")
    assert await store.authenticate(secret) == Principal(
        f"token:{token.id}", "laptop", role, "token"
    )
    await store.close()


async def test_database_holds_no_secret(sqlite_database: Database, tmp_path: Path) -> None:
    store = TokenStore(sqlite_database, KEY)
    _, secret = await store.create("laptop", Role.OPS, None)
    await store.authenticate(secret)
    await store.close()
    random_part = secret.rsplit("_", 1)[1][:43].encode()
    for file in tmp_path.iterdir():
        assert random_part not in file.read_bytes()


async def test_unknown_id_and_wrong_secret_are_refused_alike(database: Database) -> None:
    store = TokenStore(database, KEY)
    _, secret = await store.create("laptop", Role.OPS, None)
    body = secret[:-6]
    prefix, role, token_id, random_part = body.split("_")
    forgeries = [
        "_".join((prefix, role, "a" * 12, random_part)),
        "_".join((prefix, role, token_id, random_part[::-1])),
        "_".join((prefix, "admin", token_id, random_part)),
    ]
    messages = {await refusal(store, resealed(forgery)) for forgery in forgeries}
    assert messages == {"The token is unknown. Ask an administrator for a new one."}


async def test_other_key_knows_no_token(database: Database) -> None:
    _, secret = await TokenStore(database, KEY).create("laptop", Role.OPS, None)
    assert "unknown" in await refusal(TokenStore(database, OTHER_KEY), secret)


async def test_unknown_id_is_compared_as_well(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def watched(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    await refusal(TokenStore(sqlite_database, KEY), resealed(f"qd_ops_{'a' * 12}_{'x' * 43}"))
    assert [(len(one), len(other)) for one, other in compared] == [(32, 32)]


async def test_expiry_is_told_to_the_holder_only(database: Database) -> None:
    watch = Watch()
    store = TokenStore(database, KEY, watch)
    _, secret = await store.create("laptop", Role.OPS, timedelta(hours=1))
    watch.forward(minutes=59, seconds=59)
    await store.authenticate(secret)
    watch.forward(seconds=1)
    assert (await refusal(store, secret)).startswith("The token expired at 2025-12-04T13:00:00Z.")
    body = secret[:-6]
    guess = resealed(body[:-1] + ("a" if body[-1] != "a" else "b"))
    assert "unknown" in await refusal(store, guess)
    await store.close()


async def test_revocation_holds_at_once_and_the_first_stands(database: Database) -> None:
    watch = Watch()
    store = TokenStore(database, KEY, watch)
    token, secret = await store.create("laptop", Role.OPS, None)
    await store.authenticate(secret)
    revoked = await store.revoke(token.id)
    assert revoked.revoked_at == watch.now
    watch.forward(hours=1)
    assert (await store.revoke(token.id)).revoked_at == revoked.revoked_at
    assert (await refusal(store, secret)).startswith("This token was revoked.")
    await store.close()


async def test_revocation_by_another_process_holds_at_once(
    database: Database, database_url: str
) -> None:
    store = TokenStore(database, KEY)
    token, secret = await store.create("laptop", Role.OPS, None)
    await store.authenticate(secret)
    beside = open_database(database_url, "state")
    await TokenStore(beside, KEY).revoke(token.id)
    await beside.close()
    assert "revoked" in await refusal(store, secret)
    await store.close()


@pytest.mark.parametrize("token_id", ["a" * 12, "", "x", "token:abc", "\x00" * 12, "é" * 12])
async def test_revoking_what_is_not_there_is_not_found(database: Database, token_id: str) -> None:
    with pytest.raises(NotFound):
        await TokenStore(database, KEY).revoke(token_id)


async def test_list_shows_all_oldest_first_without_secrets(database: Database) -> None:
    watch = Watch()
    store = TokenStore(database, KEY, watch)
    made = []
    for name in ("b", "a", "c"):
        made.append(await store.create(name, Role.VIEWER, None))
        watch.forward(seconds=1)
    listed = await store.list_tokens()
    assert listed == [token for token, _ in made]
    for _, secret in made:
        assert secret[-20:] not in repr(listed)


@pytest.mark.parametrize("name", ["x", "x" * 100, "Ünïcode 🚢", "a'b\"c;--", "%_"])
async def test_good_names_are_kept(database: Database, name: str) -> None:
    store = TokenStore(database, KEY)
    await store.create(name, Role.OPS, None)
    assert [token.name for token in await store.list_tokens()] == [name]


@pytest.mark.parametrize(
    "name", ["", "   ", "x" * 101, "a\x00b", "a\nb", "a\x1b[31mb", "a\u2028b", "\ud800"]
)
async def test_bad_names_are_refused(sqlite_database: Database, name: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        await TokenStore(sqlite_database, KEY).create(name, Role.OPS, None)
    assert error.value.details[0]["field"] == "name"


@pytest.mark.parametrize("span", [timedelta(0), timedelta(days=-1), timedelta.max])
async def test_impossible_lifetimes_are_refused(sqlite_database: Database, span: timedelta) -> None:
    with pytest.raises(InvalidRequest) as error:
        await TokenStore(sqlite_database, KEY).create("laptop", Role.OPS, span)
    assert error.value.details[0]["field"] == "expires_in"


def test_short_key_stops_the_start() -> None:
    with pytest.raises(ConfigError, match=r"^access\.secret"):
        TokenStore(open_database("sqlite:///never-opened", "state"), b"k" * 31)


async def test_use_is_noted_once_a_minute(database: Database) -> None:
    watch = Watch()
    store = TokenStore(database, KEY, watch)
    _, secret = await store.create("laptop", Role.OPS, None)
    assert (await store.list_tokens())[0].last_used_at is None
    noted = []
    for _ in range(4):
        await asyncio.gather(*(store.authenticate(secret) for _ in range(5)))
        await store.close()
        noted.append((await store.list_tokens())[0].last_used_at)
        watch.forward(seconds=30)
    start = noted[0]
    assert start is not None
    assert noted == [start, start, start + timedelta(minutes=1), start + timedelta(minutes=1)]


async def test_failing_note_of_use_is_logged_and_nothing_else(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    store = TokenStore(database, KEY)
    token, secret = await store.create("laptop", Role.OPS, None)
    await database.write(lambda c: [c.exec_driver_sql(s) for s in _refuse_updates(database)])
    for _ in range(3):
        assert (await store.authenticate(secret)).name == "laptop"
        await store.close()
    notes = [r.getMessage() for r in caplog.records if "was not noted" in r.getMessage()]
    assert len(notes) == 1
    assert token.id in notes[0]


def _refuse_updates(database: Database) -> list[str]:
    if database.dialect == "sqlite":
        return [
            "CREATE TRIGGER refuse BEFORE UPDATE ON tokens "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        ]
    return [
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql "
        "AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$",
        "CREATE TRIGGER refuse BEFORE UPDATE ON tokens FOR EACH ROW EXECUTE FUNCTION refuse()",
    ]


async def test_request_does_not_wait_for_the_note_of_use(
    sqlite_database: Database, tmp_path: Path
) -> None:
    store = TokenStore(sqlite_database, KEY)
    _, secret = await store.create("laptop", Role.OPS, None)
    other = sqlite3.connect(tmp_path / "state.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert (await store.authenticate(secret)).name == "laptop"
    assert (await store.list_tokens())[0].last_used_at is None
    other.execute("ROLLBACK")
    other.close()
    await store.close()
    assert (await store.list_tokens())[0].last_used_at is not None


async def test_database_that_is_gone_is_unavailable_not_unauthenticated(
    sqlite_database: Database, tmp_path: Path
) -> None:
    store = TokenStore(sqlite_database, KEY)
    _, secret = await store.create("laptop", Role.OPS, None)
    (tmp_path / "state.sqlite3").rename(tmp_path / "away")
    with pytest.raises(SourceUnavailable):
        await store.authenticate(secret)


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "BEARER {}", " Bearer   {} "])
async def test_header_scheme_is_bearer_in_any_case(sqlite_database: Database, form: str) -> None:
    store = TokenStore(sqlite_database, KEY)
    _, secret = await store.create("laptop", Role.OPS, None)
    assert (await Authenticator(store, None).authenticate(form.format(secret))).name == "laptop"
    await store.close()


@pytest.mark.parametrize(
    ("header", "hint"),
    [
        (None, "Send a token"),
        ("", "Send a token"),
        ("Bearer", "not understood"),
        ("Basic b3BzOnNlY3JldA==", "not understood"),
        ("{secret}", "not understood"),
        ("Bearer {secret} {secret}", "malformed"),
        ("Bearer {secret}.a.b", "malformed"),
        ("Bearer a.b.c", "no identity provider is configured"),
        ("Bearer a.b.c.d.e", "malformed"),
    ],
)
async def test_other_headers_are_refused_with_a_hint(
    sqlite_database: Database, header: str | None, hint: str
) -> None:
    store = TokenStore(sqlite_database, KEY)
    _, secret = await store.create("laptop", Role.OPS, None)
    given_header = header.format(secret=secret) if header else header
    with pytest.raises(Unauthenticated, match=hint) as refused:
        await Authenticator(store, None).authenticate(given_header)
    assert secret not in refused.value.message


def test_no_header_crashes_the_authenticator(sqlite_url: str) -> None:
    with asyncio.Runner() as runner:
        opened = open_database(sqlite_url, "state")
        authenticator = Authenticator(TokenStore(opened, KEY), None)

        @given(st.one_of(st.text(), st.text().map("Bearer {}".format)))
        def refuses(header: str) -> None:
            with pytest.raises(Unauthenticated):
                runner.run(authenticator.authenticate(header))

        refuses()
        runner.run(opened.close())


async def test_secrets_never_reach_the_logs(
    sqlite_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    store = TokenStore(sqlite_database, KEY)
    token, secret = await store.create("laptop", Role.OPS, None)
    principal = await store.authenticate(secret)
    await refusal(store, secret[:-1])
    await store.revoke(token.id)
    await refusal(store, secret)
    await store.close()
    seen = caplog.text + repr(token) + repr(principal) + repr(store)
    assert secret[20:40] not in seen
    assert KEY.decode() not in seen
