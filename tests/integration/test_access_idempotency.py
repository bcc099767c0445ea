"""Idempotency keys on real databases: one winner, true replays, dead claims."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from access_world import Watch
from quarterdeck.access.idempotency import IdempotencyKeys, StoredAnswer
from quarterdeck.core.errors import InFlight, InvalidRequest, KeyReused
from quarterdeck.state import Database, open_database

ANSWER = StoredAnswer(200, {"content-type": "application/json"}, b'{"success": true}\x00\xff')
OTHER = StoredAnswer(201, {}, b"")
WHO, KEY, PRINT = "token:abc", "key-1", b"f" * 32


@pytest.fixture
async def beside(database_url: str) -> AsyncIterator[Database]:
    """The same database as another server process has it open."""
    opened = open_database(database_url, "state")
    yield opened
    await opened.close()


async def elsewhere(call: Callable[[], Awaitable[object]]) -> object:
    """Run as another request would: in a task, hence a context, of its own."""

    async def run() -> object:
        return await call()

    return await asyncio.create_task(run())


async def test_answer_is_replayed_byte_for_byte(database: Database) -> None:
    keys = IdempotencyKeys(database)
    assert await keys.claim(WHO, KEY, PRINT) is None
    await keys.store(WHO, KEY, ANSWER)
    assert await elsewhere(lambda: keys.claim(WHO, KEY, PRINT)) == ANSWER
    assert await keys.claim(WHO, KEY, PRINT) == ANSWER
    assert "success" not in repr(ANSWER)


async def test_other_request_under_the_same_key_is_refused(database: Database) -> None:
    keys = IdempotencyKeys(database)
    await keys.claim(WHO, KEY, PRINT)
    with pytest.raises(KeyReused):
        await keys.claim(WHO, KEY, b"g" * 32)
    await keys.store(WHO, KEY, ANSWER)
    with pytest.raises(KeyReused):
        await keys.claim(WHO, KEY, b"g" * 32)


async def test_keys_of_two_principals_are_two_keys(database: Database) -> None:
    keys = IdempotencyKeys(database)
    assert await keys.claim(WHO, KEY, PRINT) is None
    assert await keys.claim("token:xyz", KEY, b"g" * 32) is None
    await keys.store(WHO, KEY, ANSWER)
    await keys.store("token:xyz", KEY, OTHER)
    assert await keys.claim(WHO, KEY, PRINT) == ANSWER
    assert await keys.claim("token:xyz", KEY, b"g" * 32) == OTHER


async def test_request_in_flight_is_said_to_be(database: Database) -> None:
    keys = IdempotencyKeys(database)
    await keys.claim(WHO, KEY, PRINT)
    with pytest.raises(InFlight):
        await keys.claim(WHO, KEY, PRINT)


async def test_released_key_is_free_again(database: Database) -> None:
    keys = IdempotencyKeys(database)
    await keys.claim(WHO, KEY, PRINT)
    await keys.release(WHO, KEY)
    assert await keys.claim(WHO, KEY, b"g" * 32) is None


async def test_release_spares_an_answer(database: Database) -> None:
    keys = IdempotencyKeys(database)
    await keys.claim(WHO, KEY, PRINT)
    await keys.store(WHO, KEY, ANSWER)
    await keys.release(WHO, KEY)
    assert await keys.claim(WHO, KEY, PRINT) == ANSWER


async def outcome(keys: IdempotencyKeys) -> str:
    try:
        return "mine" if await keys.claim(WHO, KEY, PRINT) is None else "replayed"
    except InFlight:
        return "in flight"


async def test_of_many_at_once_exactly_one_wins(database: Database, beside: Database) -> None:
    servers = (IdempotencyKeys(database), IdempotencyKeys(beside))
    results = await asyncio.gather(*(outcome(servers[i % 2]) for i in range(60)))
    assert sorted(results) == ["in flight"] * 59 + ["mine"]


async def test_dead_claim_is_taken_over_by_exactly_one(
    database: Database, beside: Database
) -> None:
    watch = Watch()
    died = IdempotencyKeys(database, watch)
    assert await elsewhere(lambda: died.claim(WHO, KEY, PRINT)) is None
    servers = (IdempotencyKeys(database, watch), IdempotencyKeys(beside, watch))
    watch.forward(seconds=59)
    assert await outcome(servers[0]) == "in flight"
    watch.forward(seconds=1)
    with pytest.raises(KeyReused):
        await servers[0].claim(WHO, KEY, b"g" * 32)
    results = await asyncio.gather(*(outcome(servers[i % 2]) for i in range(30)))
    assert sorted(results) == ["in flight"] * 29 + ["mine"]


@pytest.mark.parametrize("late_act", ["store", "release"])
async def test_late_first_request_leaves_its_successor_alone(
    database: Database, late_act: str
) -> None:
    watch = Watch()
    keys = IdempotencyKeys(database, watch)
    claimed, go_on = asyncio.Event(), asyncio.Event()

    async def slow_request() -> None:
        assert await keys.claim(WHO, KEY, PRINT) is None
        claimed.set()
        await go_on.wait()
        if late_act == "store":
            await keys.store(WHO, KEY, OTHER)
        else:
            await keys.release(WHO, KEY)

    slow = asyncio.create_task(slow_request())
    await claimed.wait()
    watch.forward(seconds=61)
    assert await keys.claim(WHO, KEY, PRINT) is None
    go_on.set()
    await slow
    with pytest.raises(InFlight):
        await keys.claim(WHO, KEY, PRINT)
    await keys.store(WHO, KEY, ANSWER)
    assert await keys.claim(WHO, KEY, PRINT) == ANSWER


async def test_store_without_a_claim_does_nothing(database: Database) -> None:
    keys = IdempotencyKeys(database)
    await elsewhere(lambda: keys.claim(WHO, KEY, PRINT))
    await keys.store(WHO, KEY, ANSWER)
    await keys.release(WHO, KEY)
    assert await outcome(keys) == "in flight"


async def test_answers_are_kept_for_a_day(database: Database) -> None:
    watch = Watch()
    keys = IdempotencyKeys(database, watch)
    await keys.claim(WHO, KEY, PRINT)
    await keys.store(WHO, KEY, ANSWER)
    watch.forward(hours=23, minutes=59)
    assert await keys.remove_expired() == 0
    assert await keys.claim(WHO, KEY, PRINT) == ANSWER
    watch.forward(minutes=1)
    assert await keys.claim(WHO, KEY, b"g" * 32) is None
    await keys.store(WHO, KEY, OTHER)
    assert await keys.claim(WHO, KEY, b"g" * 32) == OTHER
    watch.forward(hours=24)
    assert await keys.remove_expired() == 1
    assert await keys.remove_expired() == 0


@pytest.mark.parametrize("key", ["x", "x" * 255, "!~", "'; DROP TABLE idempotency_keys; --"[:2]])
async def test_visible_ascii_keys_are_taken(database: Database, key: str) -> None:
    assert await IdempotencyKeys(database).claim(WHO, key, PRINT) is None


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "é", "a\x00", "a\n", "\x7f", "🚢"])
async def test_other_keys_are_refused(sqlite_database: Database, key: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        await IdempotencyKeys(sqlite_database).claim(WHO, key, PRINT)
    assert error.value.details[0]["field"] == "Idempotency-Key"
    assert error.value.details[0]["source"] == "header"
