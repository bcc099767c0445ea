"""The query language: what becomes which tree, and what is refused where."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.logs.model import BY_SEVERITY, Level
from quarterdeck.logs.query import MAX_DEPTH, MAX_QUERY, MAX_TERMS, field_named, parse
from quarterdeck.logs.syntax import (
    And,
    Anything,
    Comparison,
    Field,
    Key,
    Levels,
    Match,
    Node,
    Not,
    Operator,
    Or,
    Quoted,
    Regex,
    Span,
    Value,
    Word,
)


def word(*parts: str) -> Match:
    return Match(Field.MESSAGE, Word(parts))


def keyed(value: Value, *paths: tuple[str, ...]) -> Match:
    return Match(Key(paths), value)


def levels(*names: Level) -> Match:
    return Match(Field.LEVEL, Levels(names))


def day(number: int, hour: int = 0, minute: int = 0, second: int = 0, micros: int = 0) -> datetime:
    return datetime(2026, 11, number, hour, minute, second, micros, UTC)


def span(start: datetime | None, end: datetime | None) -> Match:
    return Match(Field.TIMESTAMP, Span(start, end))


A, B, C = word("a"), word("b"), word("c")

TREES: dict[str, Node] = {
    "": And(()),
    " \t\n ": And(()),
    "a": A,
    "a b c": And((A, B, C)),
    "a AND b": And((A, B)),
    "a and b": And((A, word("and"), B)),
    "a OR b c": Or((A, And((B, C)))),
    "(a OR b) c": And((Or((A, B)), C)),
    "a OR b OR c": Or((A, B, C)),
    "-a": Not(A),
    "NOT a": Not(A),
    "NOT -a": A,
    "-(a b)": Not(And((A, B))),
    "a-b": word("a-b"),
    "a - b": And((A, word("-"), B)),
    "a -> b": And((A, word("->"), B)),
    "--verbose": word("--verbose"),
    '"a"': Match(Field.MESSAGE, Quoted("a")),
    r'"a \"b\" \\ \n *"': Match(Field.MESSAGE, Quoted('a "b" \\ \\n *')),
    '-"a b"': Not(Match(Field.MESSAGE, Quoted("a b"))),
    "a*": word("a", ""),
    "*a": word("", "a"),
    "*a**b*": word("", "a", "b", ""),
    r"\*a\ \(b\)\_": word("*a (b)_"),
    r"C:\temp": keyed(Word((r"\temp",)), ("C",)),
    r"\temp\\x": word(r"\temp\x"),
    "a\\": word("a\\"),
    "f(a)": And((word("f"), A)),
    'k="a': word('k="a'),
    "*": Match(Field.MESSAGE, Anything()),
    "10:30": word("10:30"),
    "https://x.y/z": word("https://x.y/z"),
    "std::string": word("std::string"),
    "/a b/": Match(Field.MESSAGE, Regex("a b", False)),
    r"/a\/b/i": Match(Field.MESSAGE, Regex(r"a\/b", True)),
    "/v1/send": word("/v1/send"),
    "/v1/send /v2/": And((word("/v1/send"), Match(Field.MESSAGE, Regex("v2", False)))),
    "//": word("//"),
    "message:a": A,
    "message:*": Match(Field.MESSAGE, Anything()),
    "service:smtp": Match(Field.SERVICE, Word(("smtp",))),
    "service:/^s/": Match(Field.SERVICE, Regex("^s", False)),
    "user_id:u*": Match(Field.USER_ID, Word(("u", ""))),
    "tenant_id:-5": Match(Field.TENANT_ID, Word(("-5",))),
    "request_id:AND": Match(Field.REQUEST_ID, Word(("AND",))),
    'request_id:""': Match(Field.REQUEST_ID, Quoted("")),
    "n:>1": keyed(Comparison(Operator.MORE, "1"), ("n",)),
    "n:>= 1": keyed(Comparison(Operator.AT_LEAST, "1"), ("n",)),
    'n:<"a b"': keyed(Comparison(Operator.LESS, "a b"), ("n",)),
    "n:<=a*": keyed(Comparison(Operator.AT_MOST, "a*"), ("n",)),
    "n:a:b": keyed(Word(("a:b",)), ("n",)),
    "-n:(a OR >5)": Not(
        Or((keyed(Word(("a",)), ("n",)), keyed(Comparison(Operator.MORE, "5"), ("n",))))
    ),
    "n:(a -(b:c))": And((keyed(Word(("a",)), ("n",)), Not(keyed(Word(("b:c",)), ("n",))))),
    "a.b:1": keyed(Word(("1",)), ("a.b",), ("a", "b")),
    "a.b.c:1": keyed(Word(("1",)), ("a.b.c",), ("a.b", "c"), ("a", "b.c"), ("a", "b", "c")),
    '"a.b".c:1': keyed(Word(("1",)), ("a.b", "c")),
    '"a b":1': keyed(Word(("1",)), ("a b",)),
    '"level":x': keyed(Word(("x",)), ("level",)),
    "metadata.level:x": keyed(Word(("x",)), ("level",)),
    "metadata:x": keyed(Word(("x",)), ("metadata",)),
    "@timestamp:x": keyed(Word(("x",)), ("@timestamp",)),
    "größe:1": keyed(Word(("1",)), ("größe",)),
    "level:warn": levels(Level.WARNING),
    "level:ERR": levels(Level.ERROR),
    'level:"Info"': levels(Level.INFO),
    "level:>=warning": levels(Level.WARNING, Level.ERROR),
    "level:>error": levels(),
    "level:<info": levels(Level.DEBUG),
    "level:<=info": levels(Level.DEBUG, Level.INFO),
    "level:*R*": levels(Level.WARNING, Level.ERROR),
    "level:/^[de]/": levels(Level.DEBUG, Level.ERROR),
    "level:*": levels(*BY_SEVERITY),
    "timestamp:2026-11-16": span(day(16), day(17)),
    "timestamp:2026-11-16T10:00": span(day(16, 10), day(16, 10, 1)),
    "timestamp:2026-11-16T10:00:01Z": span(day(16, 10, 0, 1), day(16, 10, 0, 2)),
    'timestamp:"2026-11-16 10:00:01.5"': span(
        day(16, 10, 0, 1, 500_000), day(16, 10, 0, 1, 600_000)
    ),
    "timestamp:2026-11-16T10:00:00.1234567": span(
        day(16, 10, 0, 0, 123_456), day(16, 10, 0, 0, 123_457)
    ),
    "timestamp:>2026-11-16T10:00+02:00": span(day(16, 8, 1), None),
    "timestamp:>=2026-11-16T10:00-0030": span(day(16, 10, 30), None),
    "timestamp:<2026-11-16": span(None, day(16)),
    "timestamp:<=2026-11-16": span(None, day(17)),
    "timestamp:*": span(None, None),
}


@pytest.mark.parametrize("query", TREES)
def test_expression_becomes_its_tree(query: str) -> None:
    assert parse(query) == TREES[query]


REFUSED = {
    "a OR": (5, "missing"),
    "OR a": (1, '"OR"'),
    "a AND AND b": (7, '"AND"'),
    "NOT": (4, "missing"),
    "a (b": (3, "close"),
    "a)": (2, "nothing was opened"),
    "()": (2, "missing"),
    'a "b': (3, "quote"),
    "n:": (1, "right after n:"),
    "a n: b": (3, "right after n:"),
    "n:)": (1, "right after n:"),
    "n:>": (4, "value is missing"),
    "n:>(a)": (4, "value is missing"),
    "n:>/a/": (4, "pattern"),
    "n:(a": (3, "close"),
    "n:()": (4, "missing"),
    "level:loud": (7, "error, warning, info, debug"),
    "level:>loud": (8, "error, warning, info, debug"),
    "timestamp:now": (11, "ISO 8601"),
    "timestamp:2026-02-30": (11, "calendar"),
    "timestamp:2026-02-03T10:00+99": (11, "calendar"),
    "timestamp:2026-1*": (11, "whole day"),
    "timestamp:/2/": (11, "whole day"),
    "message:>5": (10, "not compared"),
    "/a(/": (2, "missing )"),
    "x /ab[/i": (6, "missing ]"),
    "/(?=a)/": (2, "invalid perl operator"),
    "/a[/]b/": (1, "close this regular expression"),
    "/a|b": (1, "close this regular expression"),
    "a.b.c.d.e.f.g:1": (1, "more than 6 parts"),
    "a \ud800": (3, "surrogate"),
    "(" * (MAX_DEPTH + 1): (MAX_DEPTH + 1, "50"),
    "a " * (MAX_TERMS + 1): (2 * MAX_TERMS + 1, "200"),
    "a.b.c.d.e.f:1 " * 7: (97, "200"),
    "a" * (MAX_QUERY + 1): (MAX_QUERY + 1, "4096"),
    f"/{'a' * 1001}/": (1002, "1000"),
    r"/\p{L}{1000}/": (2, "too large"),
}


@pytest.mark.parametrize("query", REFUSED, ids=lambda query: query[:20].encode("unicode_escape"))
def test_what_is_no_expression_is_refused_at_its_place(query: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(query)
    position, reason = REFUSED[query]
    message, shown, caret = caught.value.message.split("\n")
    assert message.startswith(f"query: at character {position}: ")
    assert reason in message
    assert message.endswith(".")
    assert caught.value.details[0]["field"] == "query"
    assert len(caret) - 1 <= len(shown)


def test_caret_stands_below_the_place() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(f"{'x ' * 50}(\n\tboom")
    _, shown, caret = caught.value.message.split("\n")
    assert shown[caret.index("^")] == "("
    assert shown.isprintable()


def test_as_much_as_the_limits_allow_is_parsed() -> None:
    parse("(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH)
    parse("a " * MAX_TERMS)
    parse("NOT " * 1000 + "a")
    parse("a" * MAX_QUERY)


SIGNS = st.sampled_from(
    [*'()":/*-\\<>=. \n\t\0[]{}|^$+?', "a", "level:", "timestamp:", "AND", "OR", "NOT", "metadata."]
)


@given(st.one_of(st.lists(SIGNS, max_size=40).map("".join), st.text(max_size=60)))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    try:
        parse(text)
    except InvalidRequest as error:
        assert error.message.startswith("query: at character ")


@given(
    st.text(min_size=1).filter(lambda text: not set(text) & set(map(chr, range(0xD800, 0xE000))))
)
def test_quotes_make_any_text_a_phrase_and_a_name(text: str) -> None:
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if len(quoted) < 1000:
        assert parse(quoted) == Match(Field.MESSAGE, Quoted(text))
        assert parse(f"{quoted}:{quoted}") == keyed(Quoted(text), (text,))


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("level", Field.LEVEL),
        ("metadata.level", Key((("level",),))),
        ("a.b", Key((("a.b",), ("a", "b")))),
        ('"a.b"', Key((("a.b",),))),
        ("a b:c", Key((("a b:c",),))),
        ("1st", Key((("1st",),))),
    ],
)
def test_field_is_named_outside_of_an_expression(name: str, field: Field | Key) -> None:
    assert field_named(name) == field
