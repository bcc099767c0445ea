"""Inserts of both stores: all or nothing, in order, each token once."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from facts_world import LINES, count, lines
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.facts import Facts, Insert
from quarterdeck.facts.embedded import EmbeddedFacts

pytest_plugins = ("facts_fixtures",)


async def test_rows_are_there_when_the_insert_returns(facts: Facts) -> None:
    await facts.execute(LINES)
    await facts.insert(lines(0, 1000, "a", text="tab\t, quote ', \\ and 😀"))
    rows = await facts.fetch("SELECT DISTINCT text FROM lines", dict[str, str])
    assert rows == [{"text": "tab\t, quote ', \\ and 😀"}]
    assert await count(facts) == 1000


async def test_the_same_token_adds_nothing(facts: Facts) -> None:
    await facts.execute(LINES)
    for _ in range(3):
        await facts.insert(lines(0, 10, "a"))
    await facts.insert(lines(0, 10, "b"))
    assert await count(facts) == 20


async def test_a_retry_over_two_days_adds_only_what_is_missing(facts: Facts) -> None:
    await facts.execute(LINES)
    first, second = lines(0, 10, "a"), lines(10, 10, "a", day="2026-11-25")
    await facts.insert(first)  # all that a crash left of the whole
    for _ in range(2):
        await facts.insert(replace(first, rows=[*first.rows, *second.rows], count=20))
    assert await count(facts) == 20
    assert await count(facts, "SELECT uniqExact(n) AS n FROM lines") == 20


@pytest.mark.parametrize(
    "bad",
    [b'["2026-11-24T10:00:00Z",-1,"negative"]\n', b'["2026-11-24T10:00:00Z",1]\n', b"nonsense\n"],
)
async def test_one_bad_row_refuses_all(facts: Facts, bad: bytes) -> None:
    await facts.execute(LINES)
    insert = lines(0, 100, "a")
    with pytest.raises(SourceUnavailable, match="refused 101 rows"):
        await facts.insert(replace(insert, rows=[*insert.rows, bad], count=101))
    assert await count(facts) == 0
    await facts.insert(insert)
    assert await count(facts) == 100


async def test_what_a_constraint_refuses_is_an_error(facts: Facts) -> None:
    await facts.execute(LINES.replace("text String)", "text String, CONSTRAINT c CHECK n < 50)"))
    with pytest.raises(SourceUnavailable):
        await facts.insert(lines(0, 100, "a"))
    assert await count(facts) == 0


async def test_a_missing_table_is_an_error_that_names_nothing(facts: Facts) -> None:
    with pytest.raises(SourceUnavailable) as caught:
        await facts.insert(lines(0, 10, "a"))
    assert "lines" not in caught.value.message


async def test_inserts_are_committed_in_the_order_of_calls(facts: Facts) -> None:
    await facts.execute(LINES)
    calls = [asyncio.create_task(facts.insert(lines(n, 1, f"t{n}"))) for n in range(8)]
    seen = 0
    for done, call in enumerate(calls, 1):
        await call
        rows = await facts.fetch("SELECT n FROM lines ORDER BY n", dict[str, int])
        assert [row["n"] for row in rows] == list(range(len(rows)))
        seen = len(rows)
        assert seen >= done
    assert seen == 8


async def test_one_large_insert_of_one_day_is_one_part(embedded_facts: EmbeddedFacts) -> None:
    await embedded_facts.execute(LINES)
    await embedded_facts.insert(lines(0, 150_000, "a", text="x" * 60))
    sql = "SELECT count() AS n FROM system.parts WHERE active AND table = 'lines'"
    assert await count(embedded_facts, sql) == 1
    assert await count(embedded_facts) == 150_000


async def test_nothing_is_left_of_the_rows_file(embedded_facts: EmbeddedFacts) -> None:
    await embedded_facts.execute(LINES)
    await embedded_facts.insert(lines(0, 10, "a"))
    with pytest.raises(SourceUnavailable):
        await embedded_facts.insert(replace(lines(0, 10, "b"), table="nowhere"))
    targets = [str(entry.readlink()) for entry in open_files()]
    assert not [target for target in targets if "quarterdeck-rows" in target]


async def test_without_memory_files_the_rows_are_spooled(
    embedded_facts: EmbeddedFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "memfd_create")
    await embedded_facts.execute(LINES)
    await embedded_facts.insert(lines(0, 10, "a"))
    assert await count(embedded_facts) == 10
    assert not list(embedded_facts.path.glob("rows-*"))


async def test_an_insert_without_rows_adds_nothing(facts: Facts) -> None:
    await facts.execute(LINES)
    await facts.insert(lines(0, 0, "a"))
    assert await count(facts) == 0


async def test_a_table_name_is_quoted(facts: Facts) -> None:
    await facts.execute(LINES.replace("TABLE lines", "TABLE `li``nes`"))
    insert: Insert = replace(lines(0, 5, "a"), table="li`nes")
    await facts.insert(insert)
    assert await count(facts, "SELECT count() AS n FROM `li``nes`") == 5


def open_files() -> list[Path]:
    """The descriptors that this process has open now."""
    return [entry for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
