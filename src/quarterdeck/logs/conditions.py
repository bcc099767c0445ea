"""A search as one boolean expression of ClickHouse. Pure: every value is a bound parameter.

The expressions are of such a form that the table's indexes serve them (see `schema.py`): level,
service and timestamp as they are, `request_id =` for its filter, and for the message a LIKE on
`lowerUTF8(message)`, whose filter of 4-grams tells which blocks cannot hold it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.facts import Param
from quarterdeck.logs.binding import (
    EVERY_LINE,
    NO_LINE,
    NUMBER,
    NUMBER_SQL,
    Binder,
    all_of,
    any_of,
    like_text,
    regex_text,
)
from quarterdeck.logs.metadata import metadata_condition, metadata_text
from quarterdeck.logs.model import BY_SEVERITY, Filter
from quarterdeck.logs.plain_regex import is_plain
from quarterdeck.logs.query import field_named, parse
from quarterdeck.logs.regex import literals
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
    Or,
    Quoted,
    Regex,
    Span,
    Value,
    Word,
)

USEFUL_LITERAL = 4
"""Characters; the filter of 4-grams knows no shorter ones."""
TELLING_LITERAL = 3
"""Characters; shorter ones are in most messages, and RE2 gains nothing by them."""

LOWER = "lowerUTF8({})"
# A sigma at the end of a word has a form of its own, and whether a text ends there depends on what
# follows. Texts with a sigma are compared by its other form, without the index.
LOWER_GREEK = "replaceAll(lowerUTF8({}), '\u03c2', '\u03c3')"
SIGMAS = re.compile("[\u03a3\u03c2\u03c3]")

TOKEN = re.compile(r"[0-9A-Za-z\x80-\U0010ffff]+")
"""What `hasToken` takes for one: ASCII letters and digits, and everything beyond ASCII."""

SEPARATOR = r"[^0-9a-z\x{80}-\x{10ffff}]"
UNSPACED = r"[^\x{9}-\x{d} ]*"

_SURROGATE = re.compile("[\ud800-\udfff]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Condition:
    """An expression and the values of its parameters; `sql` stands beside an AND as it is."""

    sql: str
    params: Mapping[str, Param]


def where(wanted: Filter) -> Condition:
    """The expression that is true of the lines that are wanted.

    Raises:
        InvalidRequest: the query is no expression of the query language, or a value no text.
    """
    binder = Binder()
    found = [*_fields(wanted, binder), *_query(wanted, binder)]
    return Condition(all_of(*found), binder.params)


def field_value(name: str) -> Condition:
    """The expression that gives a field of a line as text; empty: the line has no such field.

    Raises:
        InvalidRequest: this is no name of a field, or of one without values to tell apart.
    """
    binder = Binder("f")
    place = field_named(name)
    if place in {Field.MESSAGE, Field.TIMESTAMP}:
        raise InvalidRequest.of("field", f"{name} has no values to be counted; name another field.")
    if isinstance(place, Key):
        return Condition(metadata_text(place, binder), binder.params)
    return Condition(f"toString({place})", {})


def _fields(wanted: Filter, binder: Binder) -> list[str]:
    found = []
    if wanted.level is not None:
        found.append(f"level = {binder.bind(wanted.level)}")
    if wanted.min_level is not None:
        found.append(_levels(BY_SEVERITY[BY_SEVERITY.index(wanted.min_level) :], binder))
    for name in ("service", "request_id", "user_id", "tenant_id"):
        value: str | None = getattr(wanted, name)
        if value is not None:
            if _SURROGATE.search(value):
                raise InvalidRequest.of(name, "half a character (a lone surrogate) is not text.")
            found.append(f"{name} = {binder.bind(value)}")
    if wanted.start is not None:
        found.append(f"timestamp >= {_moment(wanted.start, binder)}")
    if wanted.end is not None:
        found.append(f"timestamp <= {_moment(wanted.end, binder)}")
    return found


def _query(wanted: Filter, binder: Binder) -> list[str]:
    if not wanted.query:
        return []
    tree = parse(wanted.query)
    return [] if tree == And(()) else [_node(tree, binder)]


def _node(node: Node, binder: Binder) -> str:
    match node:
        case And(terms):
            found = all_of(*[_node(term, binder) for term in terms])
        case Or(terms):
            found = any_of(*[_node(term, binder) for term in terms])
        case Not(term):
            found = f"NOT ({_node(term, binder)})"
        case Match(Key() as key, value):
            found = metadata_condition(key, value, binder)
        case Match(Field.MESSAGE, value):
            found = _message(value, binder)
        case Match(Field() as field, value):
            found = _column(field, value, binder)
    return found


def _column(name: Field, value: Value, binder: Binder) -> str:
    match value:
        case Levels(names):
            found = _levels(names, binder)
        case Span(start, end):
            found = _span(start, end, binder)
        case Anything():
            found = f"{name} != ''"
        case Word((text,)) | Quoted(text):
            found = f"{name} = {binder.bind(text)}"
        case Word(parts):
            found = f"{name} LIKE {binder.bind('%'.join(map(like_text, parts)))}"
        case Regex():
            found = f"({name} != '' AND match({name}, {binder.regex(value)}))"
        case Comparison(operator, text) if NUMBER.fullmatch(text):
            number = binder.bind(float(text), "Float64")
            found = (
                f"(match({name}, '{NUMBER_SQL}') AND toFloat64OrZero({name}) {operator} {number})"
            )
        case Comparison(operator, text):
            found = f"({name} != '' AND {name} {operator} {binder.bind(text)})"
    return found


def _levels(names: tuple[str, ...], binder: Binder) -> str:
    if len(names) == len(BY_SEVERITY):
        return EVERY_LINE
    return f"level IN ({', '.join(map(binder.bind, names))})" if names else NO_LINE


def _span(start: datetime | None, end: datetime | None, binder: Binder) -> str:
    found = []
    if start is not None:
        found.append(f"timestamp >= {_moment(start, binder)}")
    if end is not None:
        found.append(f"timestamp < {_moment(end, binder)}")
    return all_of(*found) if found else EVERY_LINE


def _moment(moment: datetime, binder: Binder) -> str:
    micros = (moment - _EPOCH) // timedelta(microseconds=1)
    return f"fromUnixTimestamp64Micro({binder.bind(micros, 'Int64')}, 'UTC')"


def _message(value: Value, binder: Binder) -> str:
    match value:
        case Quoted(text):
            return _contains((text,), binder)
        case Word((text,)) if TOKEN.fullmatch(text):
            lower = _lower(text)
            token = f"hasToken({lower.format('message')}, {lower.format(binder.bind(text))})"
            return f"({token} AND {_contains((text,), binder)})"
        case Word(parts):
            return _word(parts, binder)
        case Regex():
            return _regex(value, binder)
    return "message != ''"


def _regex(value: Regex, binder: Binder) -> str:
    needed = literals(value.pattern, value.ignores_case)
    known, bound = _known(needed, binder), binder.regex(value)
    if known:
        return f"({known} AND match(message, {bound}))"
    if not _is_telling(needed) and is_plain(value.pattern, value.ignores_case):
        return f"multiMatchAny(message, [{bound}])"
    return f"match(message, {bound})"


def _is_telling(alternatives: tuple[tuple[str, ...], ...]) -> bool:
    """Whether each match holds a text that few messages do: RE2 looks for that first."""
    longest = [max(map(len, texts)) for texts in alternatives]
    return bool(longest) and min(longest) >= TELLING_LITERAL


def _lower(text: str) -> str:
    return LOWER_GREEK if SIGMAS.search(text) else LOWER


def _contains(texts: tuple[str, ...], binder: Binder) -> str:
    """One text after another is in the message."""
    lower = _lower("".join(texts))
    pattern = binder.bind(f"%{'%'.join(map(like_text, texts))}%")
    return f"{lower.format('message')} LIKE {lower.format(pattern)}"


def _word(parts: tuple[str, ...], binder: Binder) -> str:
    """The parts are in the message without white space between them, and no token goes on at an end
    that has no `*`."""
    first, last = parts[0], parts[-1]
    texts = tuple(part for part in parts if part)
    found = _contains(texts, binder)
    starts_free = not first or not TOKEN.match(first)
    ends_free = not last or not TOKEN.match(last[-1])
    if starts_free and ends_free and len(texts) == 1:
        return found
    pattern = UNSPACED.join(map(regex_text, texts))
    if not starts_free:
        pattern = f"(?:^|{SEPARATOR}){pattern}"
    if not ends_free:
        pattern = f"{pattern}(?:$|{SEPARATOR})"
    lower = _lower("".join(texts))
    bound = lower.format(binder.bind(pattern))
    return f"({found} AND match({lower.format('message')}, {bound}))"


def _known(alternatives: tuple[tuple[str, ...], ...], binder: Binder) -> str | None:
    """The condition for one of these sequences of texts, if the index can make use of it.

    The index knows all texts. A line is asked for the longest alone: to find one text is much
    faster than an expression, to find several in order is not.
    """
    longest = {max(texts, key=len) for texts in alternatives}
    if not longest or min(map(len, longest)) < USEFUL_LITERAL:
        return None
    known = any_of(*[_contains((text,), binder) for text in sorted(longest)])
    if max(map(len, alternatives)) == 1:
        return known
    every = any_of(*[_contains(texts, binder) for texts in alternatives])
    return f"{known} AND indexHint({every})"
