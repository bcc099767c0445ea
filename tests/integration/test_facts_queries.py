"""Queries of both stores: parameters, rows, limits, cancelling. The engines are real."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from msgspec import Struct

from facts_world import Count, count, running_queries, until
from quarterdeck.core.errors import InvalidRequest, SourceUnavailable
from quarterdeck.facts import Facts, Limits, Param, QueryLimit

pytest_plugins = ("facts_fixtures",)

HOSTILE = (
    "", "'", '"', "`", "\\", "\\'", "'; DROP TABLE lines --", "a\tb", "a\nb", "a\r\nb", "\r",
    "a\0b", "\\N", "\\t", "trailing\\", "{x:String}", "{{x}}", "%", "%s %(x)s %%", "100%_", "$1",
    "?", "émojis 😀 \U0010ffff", "\u2028", "\x01\x1b\x7f", " padded ", "NULL", "null", "[1,2]",
    "--", "/*", "\ufeffbom", "x" * 1_000_000,
)  # fmt: skip
ENDLESS = "SELECT count() AS n FROM numbers(1000000000000) WHERE sipHash64(number) = 3"
HUGE = "SELECT length(groupArray(number)) AS n FROM numbers(1000000000)"


class Echo(Struct):
    x: str
    size: int


class Listed(Struct):
    x: list[str]


class Moment(Struct):
    x: datetime


class Wide(Struct):
    small: int
    large: int
    negative: int
    ratio: float
    flag: bool
    nothing: str | None


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:24])
async def test_hostile_text_comes_back_byte_for_byte(facts: Facts, text: str) -> None:
    (row,) = await facts.fetch(
        "SELECT {x:String} AS x, length({x:String}) AS size", Echo, {"x": text}
    )
    assert row == Echo(text, len(text.encode()))


async def test_hostile_text_in_lists_comes_back_byte_for_byte(facts: Facts) -> None:
    (row,) = await facts.fetch("SELECT {x:Array(String)} AS x", Listed, {"x": HOSTILE})
    assert tuple(row.x) == HOSTILE


async def test_hostile_text_of_nullable_type_comes_back(facts: Facts) -> None:
    for text in HOSTILE:
        (row,) = await facts.fetch("SELECT {x:Nullable(String)} AS x", dict[str, Any], {"x": text})
        assert row == {"x": text}


async def test_hostile_text_finds_only_itself(facts: Facts) -> None:
    sql = (
        "SELECT count() AS n FROM (SELECT arrayJoin({all:Array(String)}) AS t) WHERE t = {x:String}"
    )
    assert await count(facts, sql, all=["'", "\\", "%"], x="\\") == 1


async def test_numbers_and_null_keep_their_values(facts: Facts) -> None:
    params: dict[str, Param] = {
        "small": 7, "large": 2**64 - 1, "negative": -(2**63), "ratio": 1e-300, "flag": True,
        "nothing": None,
    }  # fmt: skip
    sql = """SELECT {small:UInt8} AS small, {large:UInt64} AS large, {negative:Int64} AS negative,
        {ratio:Float64} AS ratio, {flag:Bool} AS flag, {nothing:Nullable(String)} AS nothing"""
    assert await facts.fetch(sql, Wide, params) == [
        Wide(7, 2**64 - 1, -(2**63), 1e-300, True, None)
    ]


async def test_lists_of_numbers_and_empty_lists_keep_their_values(facts: Facts) -> None:
    sql = "SELECT {a:Array(Int64)} AS a, {b:Array(String)} AS b"
    rows = await facts.fetch(sql, dict[str, Any], {"a": [1, -2], "b": []})
    assert rows == [{"a": [1, -2], "b": []}]


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 11, 24, 10, 0, 0, 123456, UTC),
        datetime(2026, 11, 24, 10, 0, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2026, 11, 24, 1, 0, 0, 1, timezone(timedelta(hours=-9, minutes=-30))),
    ],
)
async def test_moments_come_back_aware_to_the_microsecond(facts: Facts, moment: datetime) -> None:
    for kind in ("DateTime64(6, 'UTC')", "DateTime64(6)"):
        (row,) = await facts.fetch(f"SELECT {{x:{kind}}} AS x", Moment, {"x": moment})
        assert row.x == moment
        assert row.x.utcoffset() == timedelta(0)


@pytest.mark.parametrize("value", ["\ud800", "a\udfffb", ["fine", "\udc00"], 2**64, -(2**63) - 1])
async def test_what_no_column_can_hold_is_an_invalid_request(facts: Facts, value: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^x: "):
        await facts.fetch("SELECT 1 AS n", Count, {"x": value})


async def test_a_moment_without_zone_is_a_mistake_of_ours(facts: Facts) -> None:
    naive = datetime(2026, 11, 24)  # noqa: DTZ001 - the point of the test
    with pytest.raises(ValueError, match="time zone"):
        await facts.fetch("SELECT 1 AS n", Count, {"x": naive})


async def test_a_query_may_end_in_a_comment(facts: Facts) -> None:
    rows = await facts.fetch("SELECT 1 AS n UNION ALL SELECT 2 AS n -- both", Count)
    assert sorted(row.n for row in rows) == [1, 2]


async def test_text_that_is_no_utf8_is_shown_as_such(facts: Facts) -> None:
    (row,) = await facts.fetch("SELECT unhex('61FF62') AS x, 0 AS size", Echo)
    assert row.x == "a\ufffdb"


async def test_a_long_query_is_stopped_at_its_time_limit(facts: Facts) -> None:
    with pytest.raises(QueryLimit, match=r"stopped after 0\.3 s; narrow its time range"):
        await facts.fetch(ENDLESS, Count, limits=Limits(seconds=0.3))
    assert await count(facts, "SELECT 1 AS n") == 1


async def test_a_large_query_is_stopped_at_its_memory_limit(facts: Facts) -> None:
    with pytest.raises(QueryLimit, match="more memory than it may take"):
        await facts.fetch(HUGE, Count, limits=Limits(memory_bytes=50_000_000))
    assert await count(facts, "SELECT 1 AS n") == 1


async def test_a_wrong_query_says_so_without_showing_it(facts: Facts) -> None:
    with pytest.raises(SourceUnavailable) as caught:
        await facts.fetch("SELECT secret FROM hidden.place", Count)
    assert caught.value.source == "facts"
    assert "secret" not in caught.value.message
    assert "hidden" not in caught.value.message


async def test_cancelling_stops_the_query_in_the_engine(facts: Facts) -> None:
    calls = [asyncio.create_task(facts.fetch(ENDLESS, Count)) for _ in range(3)]
    await until(facts, "sipHash64(number) = 3", 3)
    for call in calls:
        call.cancel()
    assert all(
        isinstance(result, asyncio.CancelledError)
        for result in await asyncio.gather(*calls, return_exceptions=True)
    )
    await until(facts, "sipHash64(number) = 3", 0)
    assert await count(facts, "SELECT 1 AS n") == 1


async def test_cancelling_at_any_moment_leaves_nothing_running(facts: Facts) -> None:
    for delay_ms in range(12):
        call = asyncio.create_task(facts.fetch(ENDLESS, Count))
        await asyncio.sleep(delay_ms / 1000)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    await until(facts, "sipHash64(number) = 3", 0)
    assert await count(facts, "SELECT 1 AS n") == 1


async def test_a_cancelled_statement_stops_too(facts: Facts) -> None:
    call = asyncio.create_task(facts.execute(ENDLESS))
    await until(facts, "sipHash64(number) = 3", 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(facts, "sipHash64(number) = 3", 0)
    assert await running_queries(facts, "sipHash64") == 0
