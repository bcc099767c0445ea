"""Random searches over random lines: the engine finds what the words of the guide say, no more.

The table is the real one, but for blocks of four rows, so that its indexes have blocks to leave
out.
"""

# ruff: noqa: RUF001 - signs that look alike are what is tested here

import json
import random
import string
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from log_oracle import Line, matches
from quarterdeck.core.errors import InvalidRequest
from quarterdeck.facts import Facts, Insert
from quarterdeck.logs.conditions import field_value, where
from quarterdeck.logs.model import COLUMNS, Filter, Level
from quarterdeck.logs.schema import LOGS

pytest_plugins = ("facts_fixtures",)

BLOCKY = LOGS.replace("SETTINGS string", "SETTINGS index_granularity = 4, string")
NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)

WORDS = (
    "timeout", "Timeout", "TIMEOUT", "time", "out", "usr_0747f", "usr_0747fe", "xusr_0747f",
    "10.0.0.1", "110.0.0.12", "a", "b", "ab", "a_b", "Ünïcode", "ÜNÏCODE", "ΛΆΘΟΣ", "λάθος",
    "ΑΣ.Β", "ΑΣ", "σ", "İstanbul", "ſtreet", "Street", "\u212a", "k", "Kelvin", "\0",
    "\n", "\t", "\x0b", "%", "_", "\\", "'", '"', "😀", "é", "e\u0301", "--", "(", ")", "*",
    "/v1/send", "lease lost", "Lease Lost", "failed", "Failed", "9", "100", "\u00a0", "\u2028",
    "NULL", "{p0:String}", "x" * 300,
)  # fmt: skip
GLUE = ("", "", " ", " ", "  ", "_", "-", "/", ".", "\n", ": ", "=")
NAMES = (*WORDS[:20], "smtp", "api", "250", "-1.5e2", "1e3", "nan", "inf", " 5", "0x10", "")

KEYS = (
    "host", "a", "b", "a.b", "b.c", "c", "é", "key with space", 'q"uote', "back\\slash", "level",
    "n", "", "\0",
)  # fmt: skip
NUMBERS = (
    "0", "-0", "-0.0", "1", "1.0", "1.50", "1.5", "100", "1e2", "1E+2", "100.0", "0.5", "5e-1",
    "1e-7", "0.0000012", "123456.789", "1e21", "1e22", "12345678901234567890", "9007199254740993",
    "9007199254740992", "123456789012345678901234567890", "-7", "99.999999999999999999999",
)  # fmt: skip
STRINGS = (
    "node-1", "node-10", "Node-1", "100", "1.5", "1.50", "true", "null", "", "[1]", "{}", "x%y",
    "a_b", "é", "C:\\x", '"', "\0", "a/b", "line\nfeed", "😀", "node-1 node-2", "(", "*", "250ms",
)  # fmt: skip
REGEXES = (
    "time", "^time", "out$", "lease (lost|found)", "fail(ed|ure)?", r"\d+\.\d+", "[a-c]_", ".", "",
    "st+reet", "kelvin", "(?i)ſ", r"\x00", "^$", "a.*b", r"\bab\b", "node-1(0)?$", "(?s)a.b", "é",
    r"\/v1", "x{200}", "TIMEOUT|Failed", "[[:upper:]]",
)  # fmt: skip
LEVELS = ("error", "warn", "WARNING", "err", "info", "debug", "w*", "*r*", "fatal", "/rr/", "*")
TIMES = (
    "2026-11-24", "2026-11-24T10:00", "2026-11-24T10:00:01Z", "2026-11-24T12:00:00.5+02:00",
    "2026-11-24T10:00:00.000001", "2026-11-23", "0001-01-01", "9999-12-31", "2026-02-30", "now",
    "*",
)  # fmt: skip


# Lines


class Number(Struct, frozen=True):
    digits: str


def written(found: Any, dice: random.Random) -> str:
    """A JSON value in one of its many notations."""
    space = dice.choice(("", "", " ", "\n\t"))
    if isinstance(found, dict):
        items = [f"{string_written(k, dice)}{space}:{written(v, dice)}" for k, v in found.items()]
        return "{" + f",{space}".join(items) + space + "}"
    if isinstance(found, list):
        return "[" + f"{space},".join(written(item, dice) for item in found) + "]"
    if isinstance(found, Number):
        return found.digits
    return string_written(found, dice) if isinstance(found, str) else json.dumps(found)


def string_written(text: str, dice: random.Random) -> str:
    plain = json.dumps(text, ensure_ascii=dice.random() < 0.5)
    if dice.random() < 0.3:
        plain = plain.replace("/", "\\/")
    if dice.random() < 0.2:
        # Any sign may be written as an escape.
        escaped = "".join(f"\\u{ord(c):04x}" for c in text if ord(c) < 65536)
        return f'"{escaped}"' if all(ord(c) < 65536 for c in text) else plain
    return plain


texts = st.one_of(
    st.sampled_from(WORDS),
    st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(GLUE)), max_size=5).map(
        lambda pairs: "".join(word + glue for word, glue in pairs)
    ),
    st.text(max_size=8),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(NUMBERS).map(Number),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda found: Number(repr(found))),
    st.sampled_from(STRINGS),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)
    ),
    max_leaves=5,
)
metadata = st.builds(
    lambda found, host, seed: written({"host": host} | found, random.Random(seed)),
    st.dictionaries(st.sampled_from(KEYS), values, max_size=3),
    st.one_of(scalars, st.lists(scalars, max_size=3)),
    st.integers(0, 1000),
)
moments = st.one_of(
    st.sampled_from((NOW, NOW + timedelta(seconds=1), NOW - timedelta(days=1))),
    st.integers(-(10**11), 10**6).map(lambda us: NOW + timedelta(microseconds=us)),
)
names = st.sampled_from(NAMES)
log_lines: st.SearchStrategy[Line] = st.fixed_dictionaries(
    {
        "timestamp": moments,
        "level": st.sampled_from([level.value for level in Level]),
        "service": names,
        "message": texts,
        "request_id": names,
        "user_id": names,
        "tenant_id": names,
        "metadata": metadata,
    }
)

# Queries


def bare(text: str) -> str:
    return "".join(c if c.isalnum() else f"\\{c}" for c in text) or '""'


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def starred(text: str, where_to: list[int]) -> str:
    for number in where_to:
        at = number % (len(text) + 1)
        text = f"{text[:at]}*{text[at:]}"
    return text


plain_values = st.one_of(st.sampled_from((*STRINGS, *NUMBERS, *WORDS)), texts)
query_values = st.one_of(
    plain_values.map(bare),
    plain_values.map(quoted),
    st.builds(
        starred,
        st.sampled_from((*STRINGS[:5], *WORDS)).filter(lambda text: not set(text) & set('()"\\')),
        st.lists(st.integers(0, 9), min_size=1, max_size=2),
    ),
    st.just("*"),
    st.builds(
        lambda regex, flag: f"/{regex}/{flag}", st.sampled_from(REGEXES), st.sampled_from(("", "i"))
    ),
)
compared = st.builds(
    lambda sign, value: sign + value,
    st.sampled_from(("<", ">", "<=", ">=")),
    st.sampled_from((*NUMBERS, *STRINGS)).map(quoted),
)
field_names = st.sampled_from(
    (
        "service", "request_id", "user_id", "tenant_id", "message", "host", "a", "b", "a.b", "b.c",
        "a.b.c", "a.a", '"a.b"', '"a.b".c', "é", '"key with space"', r'"q\"uote"', "metadata.level",
        "metadata.a.b", "n", r'"back\\slash"', "none",
    )
)  # fmt: skip
group = st.lists(st.one_of(query_values, compared), min_size=1, max_size=3).flatmap(
    lambda found: st.sampled_from((" OR ", " ", " AND NOT ")).map(
        lambda glue: f"({glue.join(found)})"
    )
)
terms = st.one_of(
    query_values,
    st.builds(
        lambda name, value: f"{name}:{value}",
        field_names,
        st.one_of(query_values, compared, group),
    ),
    st.one_of(query_values, compared).map("host:{}".format),
    names.map(lambda name: f"service:{quoted(name)}"),
    st.builds(
        lambda sign, value: f"level:{sign}{value}",
        st.sampled_from(("", ">=", "<")),
        st.sampled_from(LEVELS),
    ),
    st.builds(
        lambda sign, value: f"timestamp:{sign}{value}",
        st.sampled_from(("", ">", ">=", "<", "<=")),
        st.sampled_from(TIMES),
    ),
)
queries = st.recursive(
    terms,
    lambda inner: st.builds(
        lambda form, left, right: form.format(left, right),
        st.sampled_from(("{} {}", "{} OR {}", "-({})", "({} OR {})", "{} NOT {}", "({}) AND {}")),
        inner,
        inner,
    ),
    max_leaves=4,
)
maybe_names = st.one_of(st.none(), names)
maybe_moments = st.one_of(st.none(), moments)
filters = st.builds(
    Filter,
    query=st.one_of(st.none(), queries),
    level=st.one_of(st.none(), st.none(), st.sampled_from(Level)),
    min_level=st.one_of(st.none(), st.none(), st.sampled_from(Level)),
    service=maybe_names,
    start=maybe_moments,
    end=maybe_moments,
    request_id=maybe_names,
)


class Found(Struct):
    original: str


async def store(facts: Facts, lines: list[Line]) -> None:
    await facts.execute("DROP TABLE IF EXISTS logs SYNC")
    await facts.execute(BLOCKY)
    rows = []
    for number, line in enumerate(lines):
        full = dict.fromkeys(COLUMNS, "") | line
        full["timestamp"] = line["timestamp"].strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        full["original"] = str(number)
        rows.append(json.dumps(list(full.values()), ensure_ascii=False).encode() + b"\n")
    by_day: dict[str, list[bytes]] = {}
    for line, row in zip(lines, rows, strict=True):
        by_day.setdefault(line["timestamp"].date().isoformat(), []).append(row)
    for day, some in by_day.items():
        await facts.insert(Insert("logs", COLUMNS, some, len(some), f"{day}{random.random()}"))


async def found_by(facts: Facts, wanted: Filter) -> set[int]:
    condition = where(wanted)
    sql = f"SELECT original FROM logs WHERE {condition.sql} AND length(original) > 0"
    return {int(row.original) for row in await facts.fetch(sql, Found, condition.params)}


def expected(lines: list[Line], wanted: Filter) -> set[int]:
    return {number for number, line in enumerate(lines) if matches(wanted, line)}


@settings(
    max_examples=40, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(
    lines=st.lists(log_lines, min_size=8, max_size=24),
    searches=st.lists(
        st.one_of(
            terms.map(lambda query: Filter(query=query)),
            queries.map(lambda query: Filter(query=query)),
            filters,
        ),
        min_size=15,
        max_size=30,
    ),
)
async def test_random_searches_find_what_the_guide_says(
    embedded_facts: Facts, lines: list[Line], searches: list[Filter]
) -> None:
    await store(embedded_facts, lines)
    for wanted in searches:
        try:
            where(wanted)
        except InvalidRequest:
            continue
        assert await found_by(embedded_facts, wanted) == expected(lines, wanted), wanted


HOSTILE = (
    *WORDS, "'; DROP TABLE logs --", "{p0:String}", "{{x}}", "%s", "$1", "?", "\\N", "\\t", "a\\",
    "/*", "*/", "`", "\ufeff", "\x1b[31m", "a\tb", "a\r\nb", "[1,2]", "\\x41", "(?i)x", ".*", "\\E",
    "x" * 5000, string.printable,
)  # fmt: skip


async def test_hostile_text_is_found_as_itself_in_every_field(embedded_facts: Facts) -> None:
    lines = [
        {
            "timestamp": NOW, "level": "info", "service": text, "message": f"before {text} after",
            "request_id": text, "user_id": text, "tenant_id": text,
            "metadata": json.dumps({"value": text, text: "v"}, ensure_ascii=number % 2 == 0),
        }
        for number, text in enumerate(HOSTILE)
    ]  # fmt: skip
    await store(embedded_facts, lines)
    for number, text in enumerate(HOSTILE):
        for name in ("service", "request_id", "user_id", "tenant_id"):
            fields: dict[str, Any] = {name: text}
            wanted = Filter(**fields)
            assert await found_by(embedded_facts, wanted) == expected(lines, wanted), (name, text)
        if len(text) > 4000:
            continue
        for query in (quoted(text), f"value:{quoted(text)}", f"{quoted(text)}:v", bare(text)):
            wanted = Filter(query=query)
            found = await found_by(embedded_facts, wanted)
            assert found == expected(lines, wanted), query
            assert number in found, query


async def test_zero_of_every_notation_is_found(embedded_facts: Facts) -> None:
    zeros = ("0", "-0", "-0.0", "0e0", "[-0.0]", "[-0]", "[0.0]", "5e-324", "[5e-324]", "[null]")
    line = dict.fromkeys(COLUMNS, "") | {"timestamp": NOW, "level": "info"}
    lines = [line | {"metadata": f'{{"host": {zero}}}'} for zero in zeros]
    await store(embedded_facts, lines)
    for query in ("host:0", "host:-0", "host:0.0", "host:>0", "host:5e-324", "host:/-/"):
        wanted = Filter(query=query)
        assert await found_by(embedded_facts, wanted) == expected(lines, wanted), query


async def test_values_of_a_field_are_given_as_text(embedded_facts: Facts) -> None:
    line = {
        "timestamp": NOW, "level": "info", "service": "api", "message": "m", "request_id": "",
        "user_id": "", "tenant_id": "", "metadata": '{"http":{"status":500},"a.b":"x"}',
    }  # fmt: skip
    await store(embedded_facts, [line])
    for name, text in (
        ("service", "api"), ("level", "info"), ("http.status", "500"), ("a.b", "x"), ("none", ""),
        ("user_id", ""), ("a b", ""),
    ):  # fmt: skip
        value = field_value(name)
        sql = f"SELECT {value.sql} AS original FROM logs"
        assert await embedded_facts.fetch(sql, Found, value.params) == [Found(text)]


@pytest.mark.parametrize("name", ["", "message", "timestamp", "a.b.c.d.e.f.g", "\ud800"])
def test_field_without_values_to_count_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest):
        field_value(name)
