"""Streams of both stores: whole, flat in memory, and over when nobody reads on."""

import asyncio
import json
from contextlib import aclosing
from pathlib import Path

import pytest

from facts_world import count, until
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.facts import Facts, Limits, QueryLimit
from quarterdeck.facts.embedded import EmbeddedFacts

pytest_plugins = ("facts_fixtures",)

ROWS = 100_000
NUMBERS = f"SELECT number AS n, toString(number) AS t FROM numbers({ROWS})"
LONG = "SELECT number, repeat('x', 200) AS t FROM numbers(100000000)"


def resident_mb() -> float:
    """What the process holds of its own, without the engine's code."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1000
    raise AssertionError("no RssAnon")


async def test_a_header_comes_once_however_many_pieces(facts: Facts) -> None:
    text = b"".join([piece async for piece in facts.stream(NUMBERS, "CSVWithNames")])
    lines = text.splitlines()
    assert lines[0] == b'"n","t"'
    assert len(lines) == ROWS + 1
    assert sorted(int(line.split(b",")[0]) for line in lines[1:]) == list(range(ROWS))


async def test_an_empty_result_still_has_its_header(facts: Facts) -> None:
    sql = "SELECT number AS n FROM numbers(10) WHERE n > {m:UInt64}"
    pieces = [piece async for piece in facts.stream(sql, "TSVWithNames", {"m": 99})]
    assert b"".join(pieces) == b"n\n"
    assert b"".join([piece async for piece in facts.stream(sql, "CSV", {"m": 99})]) == b""


async def test_json_lines_are_whole(facts: Facts) -> None:
    text = b"".join([piece async for piece in facts.stream(NUMBERS, "JSONEachRow")])
    assert {json.loads(line)["n"] for line in text.splitlines()} == set(range(ROWS))


async def test_a_format_whose_pieces_could_not_be_joined_is_refused(facts: Facts) -> None:
    with pytest.raises(ValueError, match="cannot be streamed"):
        await anext(facts.stream(NUMBERS, "JSON"))


async def test_closing_early_stops_the_query(facts: Facts) -> None:
    async with aclosing(facts.stream(LONG, "TSV")) as pieces:
        async for piece in pieces:
            assert piece.count(b"x")
            break
    await until(facts, "repeat('x', 200)", 0)
    assert await count(facts, "SELECT 1 AS n") == 1


async def test_cancelling_the_reader_stops_the_query(facts: Facts) -> None:
    async def read() -> None:
        sql = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 4"
        async for _ in facts.stream(sql, "TSV"):
            raise AssertionError("it never gives a row")

    reader = asyncio.create_task(read())
    await until(facts, "sipHash64(number) = 4", 1)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    await until(facts, "sipHash64(number) = 4", 0)


async def test_a_failure_in_the_middle_is_raised(facts: Facts) -> None:
    sql = "SELECT throwIf(number = 900000) AS n FROM numbers(1000000)"
    read = 0
    with pytest.raises(SourceUnavailable):
        async for piece in facts.stream(sql, "TSV", limits=Limits(settings={"max_threads": 1})):
            read += len(piece)
    assert read > 0


async def test_a_stream_keeps_its_time_limit(facts: Facts) -> None:
    with pytest.raises(QueryLimit, match=r"stopped after 0\.3 s"):
        async for _ in facts.stream(LONG, "TSV", limits=Limits(seconds=0.3)):
            await asyncio.sleep(0.01)


async def test_a_large_stream_stays_at_flat_memory(embedded_facts: EmbeddedFacts) -> None:
    sql = "SELECT number, repeat('x', 200) AS t FROM numbers(1000000)"
    before, most, size = resident_mb(), 0.0, 0
    async for piece in embedded_facts.stream(sql, "CSV"):
        size += len(piece)
        most = max(most, resident_mb())
    assert size > 200_000_000
    assert most - before < 60


async def test_more_streams_than_places_wait_in_line(embedded_facts: EmbeddedFacts) -> None:
    async def read() -> int:
        return sum([len(piece) async for piece in embedded_facts.stream(NUMBERS, "TSV")])

    sizes = await asyncio.gather(*(read() for _ in range(7)))
    assert len(set(sizes)) == 1


async def test_an_abandoned_place_in_line_is_given_up(embedded_facts: EmbeddedFacts) -> None:
    held = [embedded_facts.stream(LONG, "TSV") for _ in range(2)]
    for stream in held:
        await anext(stream)
    waiting = asyncio.create_task(anext(embedded_facts.stream("SELECT 1", "TSV")))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    for stream in held:
        await stream.aclose()
    pieces = [piece async for piece in embedded_facts.stream("SELECT 1", "TSV")]
    assert pieces == [b"1\n"]
