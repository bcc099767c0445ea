"""The examples of docs/query-language.md, executed."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.facts import Facts, Insert
from quarterdeck.logs.conditions import where
from quarterdeck.logs.model import COLUMNS, Filter
from quarterdeck.logs.query import MAX_DEPTH, MAX_QUERY, MAX_TERMS, parse
from quarterdeck.logs.regex import MAX_PATTERN
from quarterdeck.logs.schema import LOGS

pytest_plugins = ("facts_fixtures",)

GUIDE = (Path(__file__).parents[2] / "docs" / "query-language.md").read_text()
TIMES = (
    "2026-11-16T10:00:30Z", "2026-11-16T10:01:30Z", "2026-11-17T10:00:30Z", "2026-11-18T10:00:30Z",
)  # fmt: skip


class Found(Struct):
    original: int


def table(head: str) -> list[list[str]]:
    """The rows of the table with this heading; a pipe in a cell is written with a backslash."""
    _, _, rest = GUIDE.partition(f"{head}\n")
    lines = rest.partition("\n\n")[0].splitlines()[1:]
    return [
        [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in lines
    ]


def code(cell: str) -> str:
    return cell.removeprefix("`").removesuffix("`")


async def store_lines(facts: Facts) -> None:
    await facts.execute(LOGS)
    rows = table("| # | level | service | user | message | metadata |")
    for at, (number, level, service, user, message, metadata) in zip(TIMES, rows, strict=True):
        row = [at, level, service, code(message), "", user, "", code(metadata), "", "", number]
        data = json.dumps(row).encode() + b"\n"
        await facts.insert(Insert("logs", COLUMNS, [data], 1, number))


async def test_examples_find_what_they_say(facts: Facts) -> None:
    await store_lines(facts)
    examples = table("| query | finds |")
    assert len(examples) > 40
    wrong = {}
    for cell, finds in examples:
        condition = where(Filter(query=code(cell)))
        sql = f"SELECT toUInt32(original) AS original FROM logs WHERE {condition.sql} ORDER BY 1"
        found = [row.original for row in await facts.fetch(sql, Found, condition.params)]
        if found != [int(number) for number in finds.split()]:
            wrong[cell] = found
    assert wrong == {}


async def test_bounds_of_a_filter_belong_to_it(facts: Facts) -> None:
    await store_lines(facts)
    moment = datetime(2026, 11, 16, 10, 1, 30, tzinfo=UTC)
    condition = where(Filter(start=moment, end=moment))
    sql = f"SELECT toUInt32(original) AS original FROM logs WHERE {condition.sql}"
    assert await facts.fetch(sql, Found, condition.params) == [Found(2)]


def test_every_expression_of_the_guide_is_one() -> None:
    for head in ("| you write | you find lines |", "| you write | the value |"):
        for cell, _ in table(head):
            for query in re.findall(r"`([^`]+)`", cell):
                parse(query)


def test_error_of_the_guide_is_the_real_one() -> None:
    (shown,) = re.findall(r"```text\n(.*?)\n```", GUIDE, re.DOTALL)
    try:
        parse(shown.splitlines()[1])
    except InvalidRequest as error:
        assert error.message == shown
    else:
        raise AssertionError("this is no error")


def test_limits_of_the_guide_are_the_real_ones() -> None:
    section = GUIDE.partition("## Limits and errors")[2].partition("```")[0]
    numbers = {int(digits.replace(",", "")) for digits in re.findall(r"\d[\d,]*", section)}
    assert {MAX_QUERY, MAX_TERMS, MAX_DEPTH, MAX_PATTERN} <= numbers
